"""Actions on separate database connections, for tests of what happens at the same time."""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection, connections, transaction

PATIENCE = 20  # seconds


def on_own_connection(act: Callable[[], object]) -> Any:
    """Act on a separate database connection. Returns the result or the exception."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    return results[0]


def at_once(*acts: Callable[[], object]) -> list[Any]:
    """Start all actions together, each on its own connection. Returns their results and exceptions in any order."""
    results: list[Any] = []
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        barrier.wait(PATIENCE)
        results.append(on_own_connection(act))

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
    return results


def before_commit(first: Callable[[], object], second: Callable[[], object], *, must_wait: bool = True) -> Any:
    """Do `first` and, before it is committed, `second` on another connection. Returns the outcome of `second`.

    With `must_wait`, fail if `second` ends before `first` is committed.
    """
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(on_own_connection(second)))
    with transaction.atomic():
        first()
        thread.start()
        deadline = time.monotonic() + PATIENCE / 2
        while not is_somebody_waiting() and not results:
            assert time.monotonic() < deadline, "the second never came to the lock"
            time.sleep(0.01)
        assert results == [] or not must_wait, "the second did not wait for the first"
    thread.join(PATIENCE)
    return results[0]


def is_somebody_waiting() -> bool:
    """Tell whether another connection waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction would keep its first snapshot
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        (count,) = cursor.fetchone()
    return bool(count)
