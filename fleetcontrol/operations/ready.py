"""Whether work can be done, answered in time whatever the database does.

A thread asks, over a connection of its own: one from the pool may be taken or dead, and a server that is frozen lets
everybody wait who talks to it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.utils import load_backend

from fleetcontrol import health
from fleetcontrol.db.replica import beat
from fleetcontrol.db.rules import sqlstate_of
from fleetcontrol.postgres.in_time import InTime
from fleetcontrol.postgres.served.base import server

DEADLINE = 1.5  # seconds
NO_ANSWER = "The database does not answer."
NOT_MIGRATED = "The database is not ready for this version of FleetControl. Run: manage.py migrate"
_REASONS = {  # by PostgreSQL's code
    "25006": "The database is read-only.",
    "42501": "The database refuses to read or write: its role lacks a right. See manage.py create_database_roles.",
    "42P01": NOT_MIGRATED,
    "42703": NOT_MIGRATED,
    "53100": "The disk of the database is full.",
}
# PostgreSQL writes a result that is larger than work_mem to a file on the disk of the database. A row that is written
# and rolled back would only reach its memory.
_FILL_A_FILE = "SELECT count(*) FROM generate_series(1, 20000)"

log = logging.getLogger(__name__)


def problems() -> list[str]:
    """Why no work can be done, in sentences for the operator; [] if it can. Takes at most DEADLINE seconds."""
    if server.was_silent():
        return [NO_ANSWER]
    try:
        return _asked_in_time()
    except TimeoutError:
        return [NO_ANSWER]


def _ask() -> list[str]:
    try:
        with _own_connection():
            return _problems()
    except DatabaseError as error:
        log.warning("Not ready: %s", str(error).strip())
        return [_REASONS.get(sqlstate_of(error), NO_ANSWER)]
    except Exception:
        log.exception("The health check failed.")
        return ["The health check itself failed: see the log."]


@contextmanager
def _own_connection() -> Iterator[None]:
    """Give this thread a connection that belongs to no pool."""
    config = connections.settings[DEFAULT_DB_ALIAS]
    options = {"connect_timeout": 2, **config["OPTIONS"]}
    options.pop("pool", None)
    wrapper = load_backend(config["ENGINE"]).DatabaseWrapper({**config, "OPTIONS": options}, DEFAULT_DB_ALIAS)
    connections[DEFAULT_DB_ALIAS] = wrapper
    try:
        yield
    finally:
        wrapper.close()


def _problems() -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1s'; SET LOCAL work_mem = '64kB'")
        cursor.execute(_FILL_A_FILE)
        beat()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1s'")
        cursor.execute("SELECT app, name FROM django_migrations")
        found = [NOT_MIGRATED] if _migrations() - set(cursor.fetchall()) else health.unmet_requirements()
        transaction.set_rollback(True)
    return found


@lru_cache(maxsize=1)
def _migrations() -> set[tuple[str, str]]:
    """Every migration of this version. One that replaces others is recorded beside them, once all of them have run."""
    migrations = MigrationLoader(None).disk_migrations
    return {key for key, migration in migrations.items() if not migration.replaces}


_asked_in_time = InTime(_ask, DEADLINE)
