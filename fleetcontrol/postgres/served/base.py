"""Django's PostgreSQL backend for a server that many requests share: none of them waits long for one that is away.

A connection to a frozen server waits for ever, and one that is away costs every request the wait for a connection from
the pool. So where a pool is used, a connection that waits for longer than PATIENCE asks over a new one whether the
server answers at all, and gives up if not: a server that is merely slow does answer. After that, requests fail at once
until it answers again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen
from psycopg_pool import PoolTimeout

from fleetcontrol.postgres.in_time import InTime

PATIENCE = 1.0  # seconds
DEADLINE = 1.0  # seconds for the answer of a server
LONGEST_WAIT = 10  # seconds for a connection, while the server answers
ASKED_AGAIN_AFTER = 1.0  # seconds


class Server:
    """Knows whether the server of this process's pool answers."""

    def __init__(self) -> None:
        self.address: Mapping[str, Any] = {}  # as psycopg.connect takes it
        self._silent_since: float | None = None  # when it was last found silent, as time.monotonic() counts
        self._ask = InTime(self._connect, DEADLINE)

    def answers(self) -> bool:
        """Ask it, unless it was found silent within the last second. Takes at most DEADLINE."""
        if self.was_silent():
            return False
        try:
            self._ask()
        except (psycopg.Error, TimeoutError):
            self._silent_since = time.monotonic()
            return False
        self._silent_since = None
        return True

    def was_silent(self) -> bool:
        """Whether it was found silent within the last second."""
        silent_since = self._silent_since
        return silent_since is not None and time.monotonic() < silent_since + ASKED_AGAIN_AFTER

    def require_answer(self) -> None:
        """Raise OperationalError if it was found silent and does not answer now either."""
        if self._silent_since is not None and not self.answers():
            raise psycopg.OperationalError("the server does not answer")

    def _connect(self) -> None:
        with psycopg.connect(**{**self.address, "connect_timeout": 2}) as connection:
            connection.execute("SELECT 1")


server = Server()


class Connection(psycopg.Connection[Any]):
    """A connection that gives up a server which does not answer."""

    def wait[Result](self, gen: PQGen[Result], *args: Any, **options: Any) -> Result:
        return super().wait(self._while_it_answers(gen), *args, **options)

    def _while_it_answers[Result](self, gen: PQGen[Result]) -> PQGen[Result]:
        until = time.monotonic() + PATIENCE
        try:
            wanted = next(gen)
            while True:
                state = yield wanted
                if not state and time.monotonic() > until:  # nothing came
                    if not server.answers():
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the server does not answer any more")
                    until = time.monotonic() + PATIENCE
                wanted = gen.send(state)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a Result


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not self.pool:
            return super().get_new_connection(conn_params)
        server.address = conn_params
        server.require_answer()
        until = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                return super().get_new_connection(conn_params)
            except PoolTimeout:  # the server is away, or everybody works
                if not server.answers() or time.monotonic() > until:
                    raise
