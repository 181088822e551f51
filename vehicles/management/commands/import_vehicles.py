"""manage.py import_vehicles FILE --fleet SLUG: vehicles from CSV, XLSX or JSON Lines."""

from fleetcontrol.imports.command import ImportCommand
from vehicles.imports import VehicleImporter


class Command(ImportCommand):
    help = "Import vehicles. Nothing is written if any row is wrong, unless --on-error skip is given."
    importer = VehicleImporter
