"""manage.py export_credentials [FILE] --fleet SLUG: a fleet's credentials without their secrets."""

from collections.abc import Iterator, Sequence

from credentials.export import header, rows
from fleetcontrol.imports.command import ExportCommand
from fleetcontrol.people.models import Fleet


class Command(ExportCommand):
    help = "Export OEM credentials, without their secrets."

    def rows(self, fleet: Fleet) -> tuple[Sequence[str], Iterator[list[str]]]:
        return header(), rows(fleet, list(fleet.credentials.values_list("pk", flat=True)), "en")
