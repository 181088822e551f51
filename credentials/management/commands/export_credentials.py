"""manage.py export_credentials [FILE] --fleet SLUG: a fleet's credentials without their secrets."""

from credentials.export import export_of
from fleetcontrol.imports.command import ExportCommand
from fleetcontrol.pages.export import Export
from fleetcontrol.people.models import Fleet


class Command(ExportCommand):
    help = "Export OEM credentials, without their secrets."

    def export(self, fleet: Fleet) -> Export:
        return export_of(fleet, language="en")
