"""manage.py export_vehicles [FILE] --fleet SLUG: a fleet's vehicles as a file that imports again unchanged."""

from collections.abc import Iterator, Sequence

from fleetcontrol.imports.command import ExportCommand
from fleetcontrol.people.models import Fleet
from vehicles.export import HEADER, rows


class Command(ExportCommand):
    help = "Export vehicles, without their unit passwords."

    def rows(self, fleet: Fleet) -> tuple[Sequence[str], Iterator[list[str]]]:
        return HEADER, rows(fleet.vehicles.select_related("credential"))
