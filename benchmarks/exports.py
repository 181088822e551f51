"""python -m benchmarks.exports [ROWS]: the export of vehicles against PostgreSQL's COPY TO of the same columns.

Every figure is measured in this run, on this machine, in a database of its own. Each pair is measured alternately,
three times, and the medians are compared. COPY TO runs on the server's side of the connection into a file here, with
psycopg and nothing else. The vehicles are those of the import's benchmark; a second round gives each of them two tags
and custom fields, whose cells need more than what COPY does by itself.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import files
from benchmarks.database import connection, own_database, own_peak, peak_of
from benchmarks.import_vehicles import a_fleet, run
from fleetcontrol.people.models import Fleet
from vehicles.export import export_of

TIMES = 3
COPY = """
COPY (
    SELECT v.name, telematics_brand, telematics_unit_id, c.name, vin, license_plate, make, model, custom_name,
        fuel_type, year, transmission, vehicle_type, operation_status, tags, custom_fields, v.id
    FROM vehicles_vehicle v LEFT JOIN credentials_credential c ON c.id = v.credential_id
    WHERE v.fleet_id = %s ORDER BY v.name
) TO STDOUT (FORMAT csv)
"""


def copy(fleet: Fleet, path: Path) -> None:
    with path.open("wb") as file, connection.cursor() as cursor, cursor.copy(COPY, [fleet.pk]) as rows:
        for row in rows:
            file.write(row)


def export(fleet: Fleet, format: str = "csv", *, for_excel: bool = False) -> int:
    whole = export_of(fleet.vehicles.all()).make(format, for_excel=for_excel)
    whole.file.close()
    return whole.rows


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(rows: int) -> None:
    with own_database(), tempfile.TemporaryDirectory() as folder:
        fleet, path = a_fleet(), Path(folder) / "vehicles.csv"
        files.vehicles(path, rows)
        run(path, fleet)
        compare(fleet, path, rows, "plain vehicles")
        compare_memory(fleet)
        with connection.cursor() as cursor:
            cursor.execute(
                """UPDATE vehicles_vehicle SET tags = '{North,Pool car}', custom_fields = '{"cost": 7, "of": "Lea"}'"""
            )
            cursor.execute("VACUUM ANALYZE vehicles_vehicle")
        compare(fleet, path, rows, "vehicles with tags and custom fields")


def compare(fleet: Fleet, path: Path, rows: int, what: str) -> None:
    works: dict[str, Callable[[], object]] = {
        "COPY TO": lambda: copy(fleet, path),
        "export": lambda: export(fleet),
        "export for Excel": lambda: export(fleet, for_excel=True),
        "export of JSON Lines": lambda: export(fleet, "jsonl"),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _round in range(TIMES):
        for name, work in works.items():
            times[name].append(seconds(work))
    took = {name: statistics.median(found) for name, found in times.items()}
    for name, found in took.items():
        print(f"{what}, {name}: {rows / found:,.0f} rows/s, ratio to COPY {took['COPY TO'] / found:.2f}")


def compare_memory(fleet: Fleet) -> None:
    peaks = [peak_of("benchmarks.exports", str(fleet.pk), which) for which in ("none", "all")]
    print(f"peak memory of an export without rows: {peaks[0] / 2**20:.1f} MiB, of all rows: {peaks[1] / 2**20:.1f} MiB")


def measure_memory(database: str, fleet: str, which: str) -> None:
    """Run as the child process: export one fleet and print the peak memory."""
    connection.settings_dict["NAME"] = database
    vehicles = Fleet.objects.get(pk=fleet).vehicles.all()
    export_of(vehicles if which == "all" else vehicles.filter(name="none has this name")).make().file.close()
    print(own_peak())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure_memory(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
