"""python -m benchmarks.import_vehicles [ROWS]: the import against raw COPY, django-import-export and itself.

Every figure is measured in this run, on this machine, in a database of its own. Each pair is measured alternately,
three times, and the medians are compared. Every measurement starts with empty tables and ends with a commit.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import files
from benchmarks.database import connection, copy, empty, own_database, own_peak, peak_of, rows_of
from benchmarks.import_export import run as run_import_export
from credentials.models import Credential
from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.imports.columns import match_columns
from fleetcontrol.imports.importer import Options
from fleetcontrol.imports.load import Report, bulk_import
from fleetcontrol.people.models import Fleet
from vehicles.imports import VehicleImporter

ACTOR = Actor.command("benchmark")
TIMES = 3
ROWS_OF_IMPORT_EXPORT = 2_000
_TABLES = ("vehicles_vehicle", "audit_auditevent")


def run(path: Path, fleet: Fleet, *, dry_run: bool = False) -> Report:
    """Import a file as the command does."""
    with path.open("rb") as file:
        table = tabular.read(file)
        columns = match_columns(VehicleImporter.fields, table.header)
        importer = VehicleImporter(fleet, ACTOR, Options(dry_run=dry_run), columns.given)
        report = bulk_import(importer, table, columns)
    assert not report.errors, report
    return report


def seconds(work: Callable[[], object]) -> float:
    empty(*_TABLES)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def a_fleet() -> Fleet:
    fleet = Fleet.add(name="Benchmark", actor=ACTOR)
    for number in range(files.CREDENTIALS):
        values = {"client_id": str(number), "client_secret": "secret"}
        name = f"Mercedes-Benz {number}"
        Credential.add(fleet=fleet, actor=ACTOR, brand="MERCEDES_BENZ", name=name, values=values)
    return fleet


def main(rows: int) -> None:
    with own_database(), tempfile.TemporaryDirectory() as folder:
        fleet, path = a_fleet(), Path(folder) / "vehicles.csv"
        files.vehicles(path, rows)
        run(path, fleet)
        same = rows_of("vehicles_vehicle")
        times: dict[str, list[float]] = {"copy": [], "import": [], "dry run": []}
        for _round in range(TIMES):
            times["copy"].append(seconds(lambda: copy("vehicles_vehicle", *same)))
            times["import"].append(seconds(lambda: run(path, fleet)))
            times["dry run"].append(seconds(lambda: run(path, fleet, dry_run=True)))
        took = {name: statistics.median(found) for name, found in times.items()}
        for name, found in took.items():
            print(f"{name}: {rows / found:,.0f} rows/s")
        print(f"ratio to COPY: {took['copy'] / took['import']:.2f}")
        print(f"ratio of dry run to import: {took['import'] / took['dry run']:.2f}")
        compare_with_import_export(fleet, path, rows / took["import"])
        compare_memory(fleet, Path(folder))


def compare_with_import_export(fleet: Fleet, path: Path, rate: float) -> None:
    part = path.with_name("part.csv")
    files.vehicles(part, ROWS_OF_IMPORT_EXPORT)
    for name, checked in (("django-import-export", True), ("django-import-export without checks", False)):
        took = seconds(lambda: run_import_export(part, fleet, checked=checked))  # noqa: B023 - called at once
        theirs = ROWS_OF_IMPORT_EXPORT / took
        print(f"{name}, use_bulk: {theirs:,.0f} rows/s")
        print(f"ratio to {name}: {rate / theirs:.1f}")


def compare_memory(fleet: Fleet, folder: Path) -> None:
    peaks = []
    for rows in (10_000, 1_000_000):
        path = folder / f"{rows}.csv"
        files.vehicles(path, rows)
        empty(*_TABLES)
        peaks.append(peak_of("benchmarks.import_vehicles", str(path), str(fleet.pk)))
        print(f"peak memory for {rows:,} rows: {peaks[-1] / 2**20:.1f} MiB")
    print(f"memory above that for 10,000 rows: {(peaks[1] - peaks[0]) / 2**20:.1f} MiB")


def measure_memory(database: str, path: str, fleet: str) -> None:
    """Run as the child process: import one file and print the peak memory."""
    connection.settings_dict["NAME"] = database
    run(Path(path), Fleet.objects.get(pk=fleet))
    print(own_peak())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure_memory(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
