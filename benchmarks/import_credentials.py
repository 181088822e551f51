"""python -m benchmarks.import_credentials [ROWS]: the import of credentials against Fernet alone.

Fernet alone is the library's `encrypt` on texts as long as the sealed ones, on one core; the import seals, cleans,
takes fingerprints, and writes credentials, secrets and audit events with their commit.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from cryptography.fernet import Fernet

from benchmarks import files
from benchmarks.database import empty, own_database
from credentials.imports import CredentialImporter
from credentials.versions import CredentialSecret
from fleetcontrol import bulk_columns, tabular
from fleetcontrol.bulk import bulk_import
from fleetcontrol.bulk_importer import Options
from fleetcontrol.models import Actor, Fleet, new_id

ACTOR = Actor.command("benchmark")
TIMES = 3


def run(path: Path, fleet: Fleet) -> None:
    """Import a file as the command does."""
    with path.open("rb") as file:
        table = tabular.read(file)
        columns = bulk_columns.match(CredentialImporter.fields, table.header)
        report = bulk_import(CredentialImporter(fleet, ACTOR, Options(), columns.given), table, columns)
    assert not report.errors, report


def encrypt(rows: int) -> None:
    """As many texts as there are rows, each as long as a sealed secret's."""
    fernet = Fernet(Fernet.generate_key())
    start = CredentialSecret.owner(new_id(), 1)
    for number in range(rows):
        fernet.encrypt(f'{start}\0{{"client_secret": "s3cr3t-{number:024}"}}'.encode())


def main(rows: int) -> None:
    with own_database(), tempfile.TemporaryDirectory() as folder:
        fleet, path = Fleet.add(name="Benchmark", actor=ACTOR), Path(folder) / "credentials.csv"
        files.credentials(path, rows)
        times: dict[str, list[float]] = {"Fernet alone": [], "import": []}
        for _round in range(TIMES):
            empty("credentials_credential", "fleetcontrol_auditevent")
            start = time.perf_counter()
            encrypt(rows)
            between = time.perf_counter()
            run(path, fleet)
            times["Fernet alone"].append(between - start)
            times["import"].append(time.perf_counter() - between)
        took = {name: statistics.median(found) for name, found in times.items()}
        for name, found in took.items():
            print(f"{name}: {rows / found:,.0f} rows/s")
        print(f"ratio to Fernet: {took['Fernet alone'] / took['import']:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30_000)
