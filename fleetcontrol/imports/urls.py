from django.urls import path

from fleetcontrol.imports import views

app_name = "imports"
urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.add, name="add"),
    path("template/<slug:kind>.csv", views.template, name="template"),
    path("<ulid:id>/", views.show, name="report"),
    path("<ulid:id>/check/", views.show, name="check"),
    path("<ulid:id>/progress/", views.show, name="progress"),
    path("<ulid:id>/columns/", views.columns, name="columns"),
    path("<ulid:id>/import/", views.write, name="write"),
    path("<ulid:id>/cancel/", views.cancel, name="cancel"),
    path("<ulid:id>/refused.csv", views.refused, name="refused"),
]
