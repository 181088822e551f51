from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class FleetControlConfig(AppConfig):
    name = "fleetcontrol"
    verbose_name = _("FleetControl")
