"""manage.py export_vehicles [FILE] --fleet SLUG: a fleet's vehicles as a file that imports again unchanged."""

from fleetcontrol.imports.command import ExportCommand
from fleetcontrol.pages.export import Export
from fleetcontrol.people.models import Fleet
from vehicles.export import export_of


class Command(ExportCommand):
    help = "Export vehicles, without their unit passwords."

    def export(self, fleet: Fleet) -> Export:
        return export_of(fleet.vehicles.all())
