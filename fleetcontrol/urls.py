"""Every address of FleetControl."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from fleetcontrol import views

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]  # one door for everybody

pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("health/", views.health, name="health"),
    path("preferences/", views.preferences, name="preferences"),
]
if settings.DEBUG or settings.TESTING:
    pages.append(path("styleguide/", views.styleguide, name="styleguide"))

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include((pages, "fleetcontrol"))),
    path("f/<slug:fleet>/credentials/", include("credentials.urls")),
    path("f/<slug:fleet>/vehicles/", include("vehicles.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

handler500 = "fleetcontrol.views.failed"
