from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OperationsConfig(AppConfig):
    name = "fleetcontrol.operations"
    label = "operations"
    verbose_name = _("Operations")

    def ready(self) -> None:
        from fleetcontrol import health
        from fleetcontrol.operations import watches

        health.watch(watches.watch_worker, watches.watch_duties, watches.watch_queue, watches.watch_replica)
