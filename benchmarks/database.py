"""A database for one benchmark, empty at first and dropped afterwards, so that no audit trail keeps its rows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
os.environ.setdefault("ADMINISTRATORS_NEED_SECOND_FACTOR", "false")  # they sign in without
django.setup()

from django.db import connection  # noqa: E402 - after setup

__all__ = ["connection", "copy", "empty", "own_database", "own_peak", "peak_of", "rows_of"]


@contextmanager
def own_database() -> Iterator[None]:
    """Send every query to a new database, and drop it at the end."""
    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def empty(*tables: str) -> None:
    """Empty the tables and write a checkpoint, so that all runs start alike."""
    with connection.cursor() as cursor:
        for table in tables:
            if table == "audit_auditevent":
                cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        cursor.execute("TRUNCATE " + ", ".join(tables) + " CASCADE")
        cursor.execute("CHECKPOINT")


def rows_of(table: str, condition: str = "true") -> tuple[list[str], list[tuple[object, ...]]]:
    """The writable columns of a table, and its rows as COPY takes them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' AND attidentity = '' ORDER BY attnum",
            [table],
        )
        columns = [name for (name,) in cursor.fetchall()]
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {condition} ORDER BY id")
        return columns, [tuple("{}" if value == [] else value for value in row) for row in cursor.fetchall()]


def copy(table: str, columns: list[str], rows: list[tuple[object, ...]]) -> None:
    """Write rows with psycopg's COPY and nothing else, into a table with its constraints and indexes."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as target:
        for row in rows:
            target.write_row(row)


def peak_of(module: str, *arguments: str) -> int:
    """The peak memory in bytes of `python -m module arguments`, a process of its own on this benchmark's database."""
    child = subprocess.run(
        [sys.executable, "-m", module, connection.settings_dict["NAME"], *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return int(child.stdout.split()[-1])


def own_peak() -> int:
    """The peak memory of this process in bytes. Not getrusage: a child inherits its parent's figure."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
