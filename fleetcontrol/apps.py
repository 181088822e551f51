from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class FleetControlConfig(AppConfig):
    name = "fleetcontrol"
    verbose_name = _("FleetControl")

    def ready(self) -> None:
        autodiscover_modules("duties", "imports")
        # They need the models: the receivers connect themselves, the duties register.
        from fleetcontrol import audit_duties, sign_in_events  # noqa: F401


class AdminConfig(admin_apps.AdminConfig):
    """The Django admin with a site of our own."""

    default = False
    default_site = "fleetcontrol.admin_site.Site"
