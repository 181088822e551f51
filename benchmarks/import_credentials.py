"""python -m benchmarks.import_credentials [ROWS]: the import of credentials against Fernet alone and COPY alone.

Fernet alone calls the library's `encrypt` on texts as long as the sealed ones, on one core. COPY alone writes the same
rows as the import, prepared and sealed before: credentials, secrets and audit events, with their constraints, indexes
and commit. The import reads, cleans, fingerprints, seals and writes them.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet
from django.db import transaction

from benchmarks import files
from benchmarks.database import copy, empty, own_database, rows_of
from credentials.imports import CredentialImporter
from credentials.models import CredentialSecret
from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import new_id
from fleetcontrol.imports.columns import match_columns
from fleetcontrol.imports.importer import Options
from fleetcontrol.imports.load import bulk_import
from fleetcontrol.people.models import Fleet

ACTOR = Actor.command("benchmark")
TIMES = 3
TABLES = {
    "credentials_credential": "true",
    "credentials_credentialsecret": "true",
    "audit_auditevent": "action = 'credential.add'",
}


def run(path: Path, fleet: Fleet) -> None:
    """Import a file as the command does."""
    with path.open("rb") as file:
        table = tabular.read(file)
        columns = match_columns(CredentialImporter.fields, table.header)
        report = bulk_import(CredentialImporter(fleet, ACTOR, Options(), columns.given), table, columns)
    assert not report.errors, report


def encrypt(rows: int) -> None:
    """Encrypt a text for each row, as long as the text of a sealed secret."""
    fernet = Fernet(Fernet.generate_key())
    start = CredentialSecret.owner(new_id(), 1)
    for number in range(rows):
        fernet.encrypt(f'{start}\0{{"client_secret": "s3cr3t-{number:024}"}}'.encode())


def copy_all(same: list[tuple[str, list[str], list[tuple[object, ...]]]]) -> None:
    """Write only the finished, sealed rows, with their constraints and indexes."""
    with transaction.atomic():
        for table, columns, rows in same:
            copy(table, columns, rows)


def main(rows: int) -> None:
    with own_database(), tempfile.TemporaryDirectory() as folder:
        fleet, path = Fleet.add(name="Benchmark", actor=ACTOR), Path(folder) / "credentials.csv"
        files.credentials(path, rows)
        run(path, fleet)
        same = [(table, *rows_of(table, condition)) for table, condition in TABLES.items()]
        work: dict[str, Callable[[], None]] = {
            "Fernet alone": lambda: encrypt(rows),
            "COPY alone": lambda: copy_all(same),
            "import": lambda: run(path, fleet),
        }
        times: dict[str, list[float]] = {name: [] for name in work}
        for _round in range(TIMES):
            for name, function in work.items():
                empty(*TABLES)
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
        took = {name: statistics.median(found) for name, found in times.items()}
        for name, found in took.items():
            print(f"{name}: {rows / found:,.0f} rows/s")
        print(f"ratio to COPY: {took['COPY alone'] / took['import']:.2f}")
        print(f"ratio of COPY to Fernet: {took['Fernet alone'] / took['COPY alone']:.2f}")
        print(f"ratio to Fernet: {took['Fernet alone'] / took['import']:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000)
