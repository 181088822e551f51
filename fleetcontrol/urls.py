"""The addresses of all pages. Those of the API are in `fleetcontrol.api_urls`."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from fleetcontrol import views
from fleetcontrol.operations import views as operations
from fleetcontrol.pages.styleguide import styleguide

own: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("health/", operations.health, name="health"),
    path(".well-known/security.txt", views.security_txt, name="security_txt"),
]
if settings.STYLEGUIDE:
    own.append(path("styleguide/", styleguide, name="styleguide"))
# Pages of allauth that stay shut. People are invited instead of signing up, keep the address they were invited with,
# and are matched with their account at the provider by its verified address instead of connecting it by hand.
shut: list[URLPattern | URLResolver] = [
    path("accounts/signup/", views.shut, name="account_signup"),
    path("accounts/email/", views.shut, name="account_email"),
    path("accounts/confirm-email/", views.shut, name="account_email_verification_sent"),
    path("accounts/confirm-email/<str:key>/", views.shut, name="account_confirm_email"),
    path("accounts/3rdparty/", views.shut, name="socialaccount_connections"),
    path("accounts/3rdparty/signup/", views.shut, name="socialaccount_signup"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((own, "fleetcontrol"))),
    path("", include("fleetcontrol.people.urls")),
    path("", include("fleetcontrol.operations.urls")),
    path("", include("fleetcontrol.api.urls")),
    path("f/<slug:fleet>/audit/", include("fleetcontrol.history.urls")),
    path("f/<slug:fleet>/credentials/", include("credentials.urls")),
    path("f/<slug:fleet>/vehicles/", include("vehicles.urls")),
    path("f/<slug:fleet>/imports/", include("fleetcontrol.imports.urls")),
    *shut,
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler500 = "fleetcontrol.views.failed"
