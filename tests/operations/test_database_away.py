"""While the database is away, pages and the API say so, and all goes on without a restart once it is back."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlencode

import pytest

from tests.support.database_server import (
    Answer,
    DatabaseServer,
    Web,
    a_database_server,
    a_web,
    environment_of,
    manage,
)
from tests.support.project import PROJECT, UNSET

OURS = {"Host": "fleet.example.com", "X_Forwarded_Proto": "https", "X_Forwarded_For": "203.0.113.7"}
SEED = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.conf import settings
from importlib import import_module
from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Role
from fleetcontrol.web.session_cookie import cookie_of
from tests.support import factory
fleet = factory.a_fleet(name="Nord")
vera = factory.a_member(fleet, Role.VIEWER, name="Vera")
client, secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(vera.pk), settings.AUTHENTICATION_BACKENDS[0]
session[HASH_SESSION_KEY] = vera.get_session_auth_hash()
session.save()
print(cookie_of(session.session_key), client.client_id, secret)
"""


@pytest.fixture(scope="module")
def database() -> Iterator[DatabaseServer]:
    with a_database_server() as database:
        yield database


@pytest.fixture(scope="module")
def web(database: DatabaseServer) -> Iterator[Web]:
    with a_web(environment_of(database, BEHIND_PROXY="true")) as web:
        yield web


@pytest.fixture(scope="module")
def asks(web: Web, database: DatabaseServer) -> dict[str, Callable[[], Answer]]:
    """What a person and a program ask for, by its name."""
    seeded = manage(environment_of(database), "shell", "--verbosity=0", "-c", SEED)
    assert seeded.returncode == 0, seeded.stderr
    cookie, client_id, secret = seeded.stdout.split()
    form = urlencode({"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}).encode()

    def token() -> Answer:
        return web.get("/auth/oauth/token", form, **OURS)

    bearer = f"Bearer {token().json()['access_token']}"
    return {
        "page": lambda: web.get("/f/nord/vehicles/", Cookie=f"__Host-session={cookie}", **OURS),
        "in German": lambda: web.get(
            "/f/nord/vehicles/", Cookie=f"__Host-session={cookie}", Accept_Language="de", **OURS
        ),
        "API": lambda: web.get("/vehicles", Authorization=bearer, **OURS),
        "token": token,
    }


@contextmanager
def stopped(database: DatabaseServer) -> Iterator[None]:
    database.stop()
    try:
        yield
    finally:
        database.start()


@contextmanager
def frozen(database: DatabaseServer) -> Iterator[None]:
    database.freeze()
    try:
        yield
    finally:
        database.thaw()


@pytest.mark.parametrize("away", [stopped, frozen])
def test_pages_and_api_answer_503_and_work_again_when_the_database_is_back(
    web: Web, database: DatabaseServer, asks: dict[str, Callable[[], Answer]],
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


def until_all_work(asks: dict[str, Callable[[], Answer]]) -> None:
    waiting = dict(asks)
    for _time in range(100):
        waiting = {name: ask for name, ask in waiting.items() if ask().status != 200}
        if not waiting:
            return
        time.sleep(0.1)
    pytest.fail(f"not back: {', '.join(waiting)}")


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
