"""The cache behind the throttles of sign-in: a table, so that all processes and machines count together.

Values are kept as JSON. Django's own database cache keeps pickles, with which who can write the table could run code
in the web process.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

_GET = "SELECT value FROM fleetcontrol_cache WHERE key = %s AND (expires IS NULL OR expires > clock_timestamp())"
_SET = """
INSERT INTO fleetcontrol_cache AS kept (key, value, expires)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires
"""
_ADD = _SET + " WHERE kept.expires <= clock_timestamp() RETURNING key"
_DELETE = "DELETE FROM fleetcontrol_cache WHERE key = %s RETURNING key"


class TableCache(BaseCache):
    """Django's cache over the table fleetcontrol_cache. Values must be what JSON can hold."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        found = self._run(_GET, key, version)
        return json.loads(found[0]) if found else default

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._run(_SET, key, version, json.dumps(value), self.get_seconds(timeout))

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Set unless there is a live value; of several processes that try at once, one gets True."""
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
        """How long a value lives; None is for ever."""
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else float(seconds)

    def _run(self, sql: str, key: str, version: int | None, *params: Any) -> tuple[Any, ...] | None:
        """The first row of a statement whose first parameter is the key; None without rows."""
        with connection.cursor() as cursor:
            # A digest, because some keys hold what a visitor sent, of any length and with any character.
            digest = hashlib.sha256(self.make_key(key, version).encode("utf-8", "surrogatepass")).hexdigest()
            cursor.execute(sql, [digest, *params])
            return cursor.fetchone() if cursor.description else None


def forget_expired() -> int:
    """Delete what no longer counts; returns how many rows. For `tend`."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM fleetcontrol_cache WHERE expires <= clock_timestamp()")
        return int(cursor.rowcount)
