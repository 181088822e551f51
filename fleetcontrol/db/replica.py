"""Which database an export reads: the replica of DATABASE_REPLICA_URL while it is up to date, else the primary.

Up to date is measured with a beat: the primary's time, written into a table of one row on the primary and read on the
replica. `tend` writes it, and so does an export that finds it old. PostgreSQL's own figure, the time of the last
transaction that was replayed, grows on a quiet primary as well and cannot tell a quiet replica from one that lags.

A replica that is not to be read is left alone for some seconds, so that not every export waits for it.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections

LARGEST_LAG = timedelta(seconds=30)
LEFT_ALONE_SECONDS = 30.0
# How long a beat that was just written may take to arrive. A replica that is up to date has it in milliseconds.
ARRIVAL_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.02

# A beat of the last seconds is left as it is: many exports at once write it once. One from the future, left by a clock
# that was put back, is replaced.
_BEAT = """
WITH beaten AS (
    INSERT INTO fleetcontrol_beat AS kept (id, at) VALUES (1, statement_timestamp())
    ON CONFLICT (id) DO UPDATE SET at = excluded.at
        WHERE kept.at NOT BETWEEN excluded.at - interval '10 seconds' AND excluded.at
)
SELECT statement_timestamp()
"""

log = logging.getLogger(__name__)
_left_alone_until = 0.0  # as time.monotonic() counts


def database_to_read() -> str:
    """The alias of the database from which an export reads."""
    replica: str = settings.EXPORT_DATABASE
    if replica == DEFAULT_DB_ALIAS or time.monotonic() < _left_alone_until:
        return DEFAULT_DB_ALIAS
    try:
        if _arrives(replica, beat()):
            return replica
    except DatabaseError as error:
        leave_alone(str(error).strip())
    else:
        leave_alone(f"It is more than {LARGEST_LAG.seconds} seconds behind.")
    return DEFAULT_DB_ALIAS


def leave_alone(reason: str) -> None:
    """Read from the primary for the next seconds, and log why."""
    global _left_alone_until
    _left_alone_until = time.monotonic() + LEFT_ALONE_SECONDS
    connections[settings.EXPORT_DATABASE].close()
    log.warning("The replica is not read for %d seconds: %s", LEFT_ALONE_SECONDS, reason)


def beat() -> datetime:
    """Write the primary's time where a replica shows it; return that time."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT)
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)  # noqa: S101 - as PostgreSQL gives it
    return now


def lag() -> timedelta | None:
    """By how much the replica's beat is older than the primary's; None if it shows none yet. Raises DatabaseError."""
    beat()
    found = []
    for alias in (DEFAULT_DB_ALIAS, settings.EXPORT_DATABASE):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT at FROM fleetcontrol_beat WHERE id = 1")
            found += cursor.fetchall()
    return abs(found[0][0] - found[1][0]) if len(found) == 2 else None


def _arrives(replica: str, now: datetime) -> bool:
    """Whether the replica shows a beat that is young enough, now or in a moment. Raises DatabaseError."""
    until = time.monotonic() + ARRIVAL_SECONDS
    while True:
        with connections[replica].cursor() as cursor:
            cursor.execute("SELECT at FROM fleetcontrol_beat WHERE id = 1")
            found = cursor.fetchone()
        if found and abs(now - found[0]) <= LARGEST_LAG:  # another export may have beaten since `now`
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_AGAIN_SECONDS)
