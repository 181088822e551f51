"""While the database is away, pages and the API say so, and all goes on without a restart once it is back."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest
from django.db import connection
from django.test import Client

from tests.support.database_server import DatabaseServer, Web, a_database_server, a_web, environment_of, manage
from tests.support.outage import Asks, asks_of, frozen, stopped, until_all_work
from tests.support.project import PROJECT, UNSET


@pytest.fixture(scope="module")
def database() -> Iterator[DatabaseServer]:
    with a_database_server() as database:
        yield database


@pytest.fixture(scope="module")
def web(database: DatabaseServer) -> Iterator[Web]:
    with a_web(environment_of(database, BEHIND_PROXY="true")) as web:
        yield web


@pytest.fixture(scope="module")
def asks(web: Web, database: DatabaseServer) -> Asks:
    return asks_of(web, database)


@pytest.mark.parametrize("away", [stopped, frozen])
def test_pages_and_api_answer_503_and_work_again_when_the_database_is_back(
    web: Web, database: DatabaseServer, asks: Asks,
    away: Callable[[DatabaseServer], AbstractContextManager[None]],
) -> None:  # fmt: skip
    for name, ask in asks.items():
        assert ask().status == 200, name
    with away(database), ThreadPoolExecutor(8) as pool:
        answers = {name: pool.submit(ask) for name, ask in asks.items()}
        many = [pool.submit(ask) for ask in asks.values() for _time in range(5)]
        for name, answer in answers.items():
            assert answer.result().status == 503, name
            assert answer.result().headers["Retry-After"] == "5", name
        assert {answer.result().status for answer in many} == {503}
        for name in ("API", "token"):
            assert answers[name].result().json()["type"] == "/problems/service-unavailable"
        page = answers["page"].result()
        assert "not available at the moment" in page.text
        assert "zurzeit nicht verfügbar" in answers["in German"].result().text
        assert page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
    web.wait_until("/health/ready", 200)
    until_all_work(asks)


def test_a_slow_query_is_waited_for(database: DatabaseServer) -> None:
    """Longer than a server may be silent: it answers others meanwhile."""
    script = (
        "from django.db import connection; cursor = connection.cursor();"
        "cursor.execute('SELECT pg_sleep(3)'); print('waited')"
    )
    slept = manage(environment_of(database, DATABASE_POOL="2"), "shell", "--verbosity=0", "-c", script)
    assert slept.stdout.strip() == "waited", slept.stderr


def test_the_worker_waits_for_the_database(database: DatabaseServer) -> None:
    command = [sys.executable, "manage.py", "db_worker", "--interval=0.1", "--no-startup-delay", "--no-reload"]
    worker = subprocess.Popen(
        command, cwd=PROJECT, env={**UNSET, **environment_of(database)}, stderr=subprocess.PIPE, text=True
    )
    assert worker.stderr
    try:
        wait_for_line(worker.stderr, "Starting worker")
        with stopped(database):
            wait_for_line(worker.stderr, "The worker waits for the database")
            assert worker.poll() is None
        wait_for_line(worker.stderr, "Starting worker")
        assert worker.poll() is None
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.communicate(timeout=30)


def wait_for_line(lines: Iterable[str], words: str) -> None:
    assert any(words in line for line in lines), f"ended without {words!r}"


@pytest.mark.django_db(transaction=True)
def test_what_would_write_answers_503_while_the_database_is_read_only() -> None:
    client = Client(raise_request_exception=False)
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            answer = client.post("/accounts/login/", {"login": "alice@example.com", "password": "wrong"})
        finally:
            cursor.execute("SET default_transaction_read_only = off")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
