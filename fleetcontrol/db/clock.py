"""The database's time, which decides what is erased, has ended or still works.

The clock of a host may be wrong, and several hosts share one database. SQL says `Now()`; Python asks `database_now`.
Nothing that destroys or refuses may ask `timezone.now()`: a host three days ahead would erase what is kept for a day.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

_MEASURED_EVERY = 600  # seconds
# A clock that nobody sets. Linux has one that runs on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Measured(NamedTuple):
    database: datetime
    clock: float


_last: dict[str, _Measured] = {}  # by the name of the database
_counts_on: ContextVar[bool] = ContextVar("counts_on", default=False)


def database_now() -> datetime:
    """The database's time now, read every ten minutes and counted on in between by a clock that nobody sets."""
    name, clock = str(connection.settings_dict["NAME"]), time.clock_gettime(_CLOCK)
    measured = _last.get(name)
    is_fresh = measured is not None and (_counts_on.get() or 0 <= clock - measured.clock < _MEASURED_EVERY)
    if measured is None or not is_fresh:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            measured = _last[name] = _Measured(cursor.fetchone()[0], clock)
    return measured.database + timedelta(seconds=clock - measured.clock)


@contextmanager
def counting_on() -> Iterator[None]:
    """Read the database's time now, and not again inside the block: there COPY has the connection for itself."""
    database_now()
    token = _counts_on.set(True)
    try:
        yield
    finally:
        _counts_on.reset(token)


def database_today() -> date:
    """The day that the database's time falls on, in the active time zone."""
    return timezone.localdate(database_now())
