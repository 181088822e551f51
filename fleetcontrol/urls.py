"""Every address of FleetControl."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from fleetcontrol import api_pages, audit_views, client_views, fleet_views, join_views, member_views, views

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one door for everybody

own: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("health/", views.health, name="health"),
]
docs = [
    path("openapi.json", api_pages.openapi_json, name="openapi"),
    path("docs/", api_pages.docs, name="index"),
    path("problems/<slug:name>", api_pages.problem, name="problem"),
]
people = [
    path("preferences/", views.preferences, name="preferences"),
    path("profile/", views.profile, name="profile"),
    path("second-factor/<slug:fleet>/", fleet_views.second_factor_needed, name="second_factor_needed"),
]
fleets = [
    path("fleets/add/", fleet_views.add, name="add"),
    path("f/<slug:fleet>/settings/", fleet_views.settings, name="change"),
    path("f/<slug:fleet>/settings/delete/", fleet_views.remove, name="remove"),
]
clients = [
    path("", client_views.index, name="index"),
    path("add/", client_views.add, name="add"),
    path("<slug:id>/change/", client_views.change, name="change"),
    path("<slug:id>/secret/", client_views.replace, name="replace_secret"),
    path("<slug:id>/stop/", client_views.stop_former, name="stop_former"),
    path("<slug:id>/revoke/", client_views.revoke, name="revoke"),
]
members = [
    path("", member_views.index, name="index"),
    path("invite/", member_views.invite, name="invite"),
    path("<int:pk>/role/", member_views.change, name="change"),
    path("<int:pk>/remove/", member_views.remove, name="remove"),
]
invitations = [
    path("invitations/<str:token>/", join_views.accept, name="accept"),
    path("f/<slug:fleet>/invitations/<str:pk>/resend/", member_views.resend, name="resend"),
    path("f/<slug:fleet>/invitations/<str:pk>/revoke/", member_views.revoke, name="revoke"),
]
history = [
    path("", audit_views.index, name="index"),
    re_path(r"^export\.(?P<kind>csv|jsonl)$", audit_views.export, name="export"),
]
# Doors of allauth that stay shut: people are invited, their address is what they were invited with, and an account at
# the provider is found by its verified address and not tied by hand.
shut: list[URLPattern | URLResolver] = [
    path("accounts/signup/", views.shut, name="account_signup"),
    path("accounts/email/", views.shut, name="account_email"),
    path("accounts/confirm-email/", views.shut, name="account_email_verification_sent"),
    path("accounts/confirm-email/<str:key>/", views.shut, name="account_confirm_email"),
    path("accounts/3rdparty/", views.shut, name="socialaccount_connections"),
    path("accounts/3rdparty/signup/", views.shut, name="socialaccount_signup"),
]
if settings.DEBUG or settings.TESTING:
    own.append(path("styleguide/", views.styleguide, name="styleguide"))

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((own, "fleetcontrol"))),
    path("", include((docs, "docs"))),
    path("", include((people, "people"))),
    path("", include((fleets, "fleets"))),
    path("", include((invitations, "invitations"))),
    path("f/<slug:fleet>/clients/", include((clients, "clients"))),
    path("f/<slug:fleet>/members/", include((members, "members"))),
    path("f/<slug:fleet>/audit/", include((history, "history"))),
    path("f/<slug:fleet>/credentials/", include("credentials.urls")),
    path("f/<slug:fleet>/vehicles/", include("vehicles.urls")),
    path("f/<slug:fleet>/imports/", include("fleetcontrol.import_urls")),
    *shut,
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler500 = "fleetcontrol.views.failed"
