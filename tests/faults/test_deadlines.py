"""The promised seconds, with double margin: 2 for /health/ready, 3 for a 503, 10 until all works again."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from tests.support.database_server import Answer, DatabaseServer, a_database_server, a_web, environment_of
from tests.support.outage import asks_of, frozen, stopped, until_all_work

pytestmark = pytest.mark.faults
MARGIN = 2


@pytest.fixture
def database() -> Iterator[DatabaseServer]:
    with a_database_server() as database:
        yield database


def timed(ask: Callable[[], Answer]) -> tuple[float, int]:
    began = time.monotonic()
    status = ask().status
    return time.monotonic() - began, status


@pytest.mark.parametrize("away", [stopped, frozen])
def test_deadlines_under_load(
    database: DatabaseServer, away: Callable[[DatabaseServer], AbstractContextManager[None]]
) -> None:
    with a_web(environment_of(database, BEHIND_PROXY="true")) as web, ThreadPoolExecutor(12) as pool:
        asks = asks_of(web, database)
        with away(database):
            time.sleep(0.2)
            slowest_ready, slowest = 0.0, 0.0
            for _round in range(3):
                under_load = [pool.submit(timed, ask) for ask in asks.values() for _time in range(3)]
                seconds, status = timed(lambda: web.get("/health/ready"))
                assert status == 503
                slowest_ready = max(slowest_ready, seconds)
                for one in under_load:
                    seconds, status = one.result()
                    assert status == 503
                    slowest = max(slowest, seconds)
                time.sleep(1)
        began = time.monotonic()
        until_all_work(asks)
        back = time.monotonic() - began
    assert slowest_ready < 2 * MARGIN
    assert slowest < 3 * MARGIN
    assert back < 10 * MARGIN
