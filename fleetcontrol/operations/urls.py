"""The address of the page *System*. `fleetcontrol.urls` has that of the health check, the middleware the probes'."""

from django.urls import path

from fleetcontrol.operations import views

app_name = "operations"
urlpatterns = [path("system/", views.system, name="system")]
