"""Addresses of the pages about the API: its description, and the API clients of a fleet."""

from django.urls import include, path

from fleetcontrol.api import docs, views

of_docs = [
    path("openapi.json", docs.openapi_json, name="openapi"),
    path(".well-known/oauth-authorization-server", docs.metadata, name="oauth_metadata"),
    path(".well-known/openid-configuration", docs.metadata, name="openid_metadata"),
    path("docs/", docs.docs, name="index"),
    path("problems/<slug:name>", docs.problem, name="problem"),
]
of_clients = [
    path("", views.index, name="index"),
    path("add/", views.add, name="add"),
    path("<slug:id>/change/", views.change, name="change"),
    path("<slug:id>/secret/", views.replace_secret, name="replace_secret"),
    path("<slug:id>/stop/", views.stop_former, name="stop_former"),
    path("<slug:id>/revoke/", views.revoke, name="revoke"),
]
urlpatterns = [
    path("", include((of_docs, "docs"))),
    path("f/<slug:fleet>/clients/", include((of_clients, "clients"))),
]
