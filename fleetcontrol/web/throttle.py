"""The cache behind the throttles of sign-in: a table, so that all processes and machines share their counts.

It stores values as JSON. Django's own database cache stores pickles, which would let anybody who can write the table
run code in the web process.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

_GET = "SELECT value FROM fleetcontrol_cache WHERE key = %s AND (expires IS NULL OR expires > clock_timestamp())"
_SET = """
INSERT INTO fleetcontrol_cache AS existing (key, value, expires)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""
_ADD = _SET + " WHERE existing.expires <= clock_timestamp() RETURNING key"
_DELETE = "DELETE FROM fleetcontrol_cache WHERE key = %s RETURNING key"


class TableCache(BaseCache):
    """A Django cache in the table fleetcontrol_cache, which the migrations of `people` create. Values are JSON."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        row = self._run(_GET, key, version)
        return json.loads(row[0]) if row else default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._run(_SET, key, version, json.dumps(value), self.get_seconds(timeout))

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set the value unless there is a live one. Of several processes that try at once, one gets True."""
        return self._run(_ADD, key, version, json.dumps(value), self.get_seconds(timeout)) is not None

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        value = self.get(key, version=version)
        if value is not None:
            self.set(key, value, timeout, version)
        return value is not None

    def delete(self, key: str, version: int | None = None) -> bool:
        return self._run(_DELETE, key, version) is not None

    def clear(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM fleetcontrol_cache")

    def get_seconds(self, timeout: Any) -> float | None:
        """The lifetime of a value. None means for ever."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else float(seconds)

    def _run(self, sql: str, key: str, version: int | None, *params: Any) -> tuple[Any, ...] | None:
        """Run a statement whose first parameter is the key. Returns its first row, or None without rows."""
        with connection.cursor() as cursor:
            # A digest, because some keys contain what a visitor sent, of any length and with any character.
            digest = hashlib.sha256(self.make_key(key, version).encode("utf-8", "surrogatepass")).hexdigest()
            cursor.execute(sql, [digest, *params])
            return cursor.fetchone() if cursor.description else None


def forget_expired() -> int:
    """Delete expired rows and return their number. `tend` calls this."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM fleetcontrol_cache WHERE expires <= clock_timestamp()")
        return int(cursor.rowcount)
