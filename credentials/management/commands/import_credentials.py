"""manage.py import_credentials FILE --fleet SLUG: OEM credentials from CSV, XLSX or JSON Lines."""

from credentials.imports import CredentialImporter
from fleetcontrol.imports.command import ImportCommand


class Command(ImportCommand):
    help = "Import OEM credentials. Nothing is written if any row is wrong, unless --on-error skip is given."
    importer = CredentialImporter
