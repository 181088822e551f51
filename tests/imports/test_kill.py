"""An import that is killed leaves nothing behind, and imports of one fleet wait for each other."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from vehicles.models import Vehicle

ROWS = 2000
TIMES = 20
pytestmark = pytest.mark.django_db(transaction=True)


class Importer:
    """A running tests/support/import_process.py."""

    def __init__(self) -> None:
        database = {key: connection.settings_dict[key] for key in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.import_process", json.dumps(database)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def start(self, path: Path, fleet: Fleet) -> int:
        return int(self._ask(f"{path} {fleet.slug}"))

    def wait(self) -> list[int]:
        return [int(code) for code in self._ask("wait").split()]

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


@pytest.fixture
def importer(transactional_db: None) -> Iterator[Importer]:
    found = Importer()
    with found.process as process:
        yield found
        assert process.stdin is not None
        process.stdin.close()


def a_file(path: Path, start: int) -> Path:
    rows = (f"Van {number},CLOUDBOXX,{number:016X}\n" for number in range(start, start + ROWS))
    path.write_text("name,telematics_brand,qnr\n" + "".join(rows), encoding="utf-8")
    return path


def counts() -> tuple[int, int]:
    """Count vehicles and their audit events once all other sessions are idle."""
    working = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
    for _try in range(200):
        with connection.cursor() as cursor:
            cursor.execute(working + " AND pid <> pg_backend_pid()")
            if not cursor.fetchone()[0]:
                break
        time.sleep(0.05)
    return Vehicle.objects.count(), AuditEvent.objects.filter(action="vehicle.add").count()


def test_an_import_killed_at_any_moment_leaves_all_or_nothing(importer: Importer, tmp_path: Path) -> None:
    fleet = factory.a_fleet()
    whole, chance, killed, takes = 0, random.Random(6), 0, 0.0
    for number in range(2):  # the first import also loads Django
        start = time.monotonic()
        importer.start(a_file(tmp_path / f"{number}.csv", number * ROWS), fleet)
        assert importer.wait() == [0]
        takes = time.monotonic() - start
        whole += ROWS
    assert counts() == (whole, whole)
    for number in range(2, 5 * TIMES):
        if killed == TIMES:
            break
        child = importer.start(a_file(tmp_path / f"{number}.csv", number * ROWS), fleet)
        time.sleep(takes * chance.uniform(0.02, 0.98))
        os.kill(child, signal.SIGKILL)
        if importer.wait() == [-signal.SIGKILL]:
            killed += 1
        else:
            takes *= 0.8  # it ended before the kill, because the measured import ran on a busier machine
        found = counts()  # an import that had just committed is there as a whole
        assert found in ((whole, whole), (whole + ROWS, whole + ROWS)), f"after kill {number}"
        whole = found[0]
    assert killed == TIMES


def test_two_imports_of_one_file_at_once_write_it_once(importer: Importer, tmp_path: Path) -> None:
    fleet, path = factory.a_fleet(), a_file(tmp_path / "cars.csv", 0)
    for _process in range(2):
        importer.start(path, fleet)
    assert sorted(importer.wait()) == [0, 1]
    assert counts() == (ROWS, ROWS)
