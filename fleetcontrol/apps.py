from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FleetControlConfig(AppConfig):
    """The project itself, whose management commands know every app."""

    name = "fleetcontrol"
    verbose_name = _("FleetControl")
