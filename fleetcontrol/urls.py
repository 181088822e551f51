"""Every address of FleetControl."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path

from fleetcontrol import api_pages, audit_views, client_views, fleet_views, join_views, member_views, views

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one door for everybody

pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("health/", views.health, name="health"),
    path("openapi.json", api_pages.openapi_json, name="openapi"),
    path("docs/", api_pages.docs, name="docs"),
    path("problems/<slug:name>", api_pages.problem, name="problem"),
    path("preferences/", views.preferences, name="preferences"),
    path("profile/", views.profile, name="profile"),
    path("invitations/<str:token>/", join_views.accept, name="invitation_accept"),
    path("fleets/add/", fleet_views.add, name="fleet_add"),
    path("second-factor/<slug:fleet>/", fleet_views.second_factor_needed, name="second_factor_needed"),
    path("f/<slug:fleet>/clients/", client_views.index, name="clients"),
    path("f/<slug:fleet>/clients/add/", client_views.add, name="client_add"),
    path("f/<slug:fleet>/clients/<slug:id>/change/", client_views.change, name="client_change"),
    path("f/<slug:fleet>/clients/<slug:id>/secret/", client_views.replace, name="client_replace"),
    path("f/<slug:fleet>/clients/<slug:id>/stop/", client_views.stop_former, name="client_stop_former"),
    path("f/<slug:fleet>/clients/<slug:id>/revoke/", client_views.revoke, name="client_revoke"),
    path("f/<slug:fleet>/members/", member_views.index, name="members"),
    path("f/<slug:fleet>/members/invite/", member_views.invite, name="member_invite"),
    path("f/<slug:fleet>/members/<int:pk>/role/", member_views.change, name="member_change"),
    path("f/<slug:fleet>/members/<int:pk>/remove/", member_views.remove, name="member_remove"),
    path("f/<slug:fleet>/invitations/<str:pk>/resend/", member_views.resend, name="invitation_resend"),
    path("f/<slug:fleet>/invitations/<str:pk>/revoke/", member_views.revoke, name="invitation_revoke"),
    path("f/<slug:fleet>/audit/", audit_views.index, name="audit"),
    re_path(r"^f/(?P<fleet>[-\w]+)/audit/export\.(?P<kind>csv|jsonl)$", audit_views.export, name="audit_export"),
    path("f/<slug:fleet>/settings/", fleet_views.settings, name="settings"),
    path("f/<slug:fleet>/settings/delete/", fleet_views.remove, name="settings_remove"),
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
    pages.append(path("styleguide/", views.styleguide, name="styleguide"))

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((pages, "fleetcontrol"))),
    path("f/<slug:fleet>/credentials/", include("credentials.urls")),
    path("f/<slug:fleet>/vehicles/", include("vehicles.urls")),
    path("f/<slug:fleet>/imports/", include("fleetcontrol.import_urls")),
    *shut,
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler500 = "fleetcontrol.views.failed"
