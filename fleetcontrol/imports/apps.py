from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ImportsConfig(AppConfig):
    name = "fleetcontrol.imports"
    label = "imports"
    verbose_name = _("Imports")

    def ready(self) -> None:
        from fleetcontrol.duties import register
        from fleetcontrol.imports import duties
        from fleetcontrol.imports.models import ImportRun
        from fleetcontrol.pages import badges

        register(duties.take_up_imports, duties.erase_left_imports, duties.prune_tasks)
        badges.register("imports:index", busy=ImportRun.is_any_running)
