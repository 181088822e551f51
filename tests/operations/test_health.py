"""Health that is true, asked of a real web server whose database is stopped, frozen, restricted or older."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from fleetcontrol.postgres.home import locate
from tests.support.database_server import DatabaseServer, Web, a_database_server, a_web, environment_of, manage
from tests.support.project import a_folder

TOKEN = "a token of the monitoring"


@pytest.fixture(scope="module")
def database() -> Iterator[DatabaseServer]:
    with a_database_server() as database:
        yield database


@pytest.fixture(scope="module")
def web(database: DatabaseServer) -> Iterator[Web]:
    with a_web(environment_of(database, BEHIND_PROXY="true", HEALTH_TOKEN=TOKEN)) as web:
        yield web


def test_ready_while_work_can_be_done(web: Web) -> None:
    answer = web.get("/health/ready")
    assert (answer.status, answer.json()) == (200, {"status": "pass", "problems": []})
    assert answer.headers["Cache-Control"] == "no-store"


def test_not_ready_while_the_database_is_stopped(web: Web, database: DatabaseServer) -> None:
    database.stop()
    try:
        answer = web.get("/health/ready")
        assert (answer.status, answer.json()["problems"]) == (503, ["The database does not answer."])
        assert web.get("/health/live").status == 200
        said = manage(environment_of(database), "status", "--json")
        assert (said.returncode, json.loads(said.stdout)["status"]) == (1, "fail"), said.stderr
    finally:
        database.start()
    web.wait_until("/health/ready", 200)


def test_not_ready_while_the_database_is_frozen(web: Web, database: DatabaseServer) -> None:
    database.freeze()
    try:
        for _probe in range(3):
            answer = web.get("/health/ready")
            assert (answer.status, answer.json()["problems"]) == (503, ["The database does not answer."])
        assert web.get("/health/live").status == 200
    finally:
        database.thaw()
    web.wait_until("/health/ready", 200)


def test_not_ready_while_the_database_is_read_only(web: Web, database: DatabaseServer) -> None:
    database.run("ALTER DATABASE fleetcontrol SET default_transaction_read_only = on")
    try:
        answer = web.get("/health/ready")
        assert (answer.status, answer.json()["problems"]) == (503, ["The database is read-only."])
    finally:
        database.run("ALTER DATABASE fleetcontrol RESET default_transaction_read_only")
    assert web.get("/health/ready").status == 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ALTER TABLE django_migrations RENAME TO kept", "ALTER TABLE kept RENAME TO django_migrations"),
        ("ALTER TABLE audit_keycheck RENAME TO kept", "ALTER TABLE kept RENAME TO audit_keycheck"),
        (
            "UPDATE django_migrations SET app = 'kept' WHERE app = 'vehicles' AND name LIKE '0001%'",
            "UPDATE django_migrations SET app = 'vehicles' WHERE app = 'kept'",
        ),
    ],
)
def test_not_ready_while_migrations_are_missing(web: Web, database: DatabaseServer, before: str, after: str) -> None:
    database.run(before)
    try:
        answer = web.get("/health/ready")
        assert answer.status == 503
        assert "manage.py migrate" in str(answer.json()["problems"])
    finally:
        database.run(after)
    assert web.get("/health/ready").status == 200


@pytest.mark.parametrize("name", ["FERNET_KEYS", "FINGERPRINT_KEY"])
def test_not_ready_once_a_key_is_not_that_of_the_database(web: Web, database: DatabaseServer, name: str) -> None:
    """A process that is running when the database is replaced by another one, which another key was used with."""
    kept = f"SELECT * INTO kept FROM audit_keycheck WHERE name = '{name}'"
    digest = "0" * 64
    database.run(f"{kept}; UPDATE audit_keycheck SET digest = '{digest}' WHERE name = '{name}'")
    try:
        answer = web.get("/health/ready")
        assert (answer.status, str(answer.json()["problems"]).startswith(f"['{name}")) == (503, True)
    finally:
        database.run("UPDATE audit_keycheck c SET digest = k.digest FROM kept k WHERE k.name = c.name; DROP TABLE kept")
    assert web.get("/health/ready").status == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_probe_may_name_any_host_and_comes_by_http(web: Web, path: str) -> None:
    for host in ("10.1.2.3:8000", "fleet.example.com", "elsewhere.example.org"):
        assert web.get(path, Host=host).status == 200


def test_reasons_are_shown_on_this_machine_or_for_the_token_alone(web: Web, database: DatabaseServer) -> None:
    database.run("ALTER TABLE django_migrations RENAME TO kept")
    try:
        for headers, sees in (
            ({}, True),
            ({"X_Forwarded_For": "127.0.0.1"}, False),
            ({"X_Forwarded_For": ""}, False),
            ({"Forwarded": "for=127.0.0.1"}, False),
            ({"X_Forwarded_For": "203.0.113.7", "Authorization": f"Bearer {TOKEN}"}, True),
            ({"X_Forwarded_For": "203.0.113.7", "Authorization": "Bearer another"}, False),
            ({"X_Forwarded_For": "203.0.113.7", "Authorization": f"Basic {TOKEN}"}, False),
        ):
            answer = web.get("/health/ready", **headers)
            assert answer.status == 503
            assert ("problems" in answer.json()) is sees, headers
    finally:
        database.run("ALTER TABLE kept RENAME TO django_migrations")


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer "])
def test_without_a_token_set_none_is_taken(client: Client, settings: Settings, token: str) -> None:
    settings.HEALTH_TOKEN = ""
    answer = client.get("/health/live", REMOTE_ADDR="203.0.113.7", HTTP_AUTHORIZATION=token)
    assert answer.json() == {"status": "pass"}


def test_a_probe_changes_nothing(client: Client) -> None:
    assert client.post("/health/ready").status_code == 405


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_not_ready_while_the_disk_is_full() -> None:
    with (
        a_folder() as folder,
        a_small_disk(folder) as disk,
        a_database_server(folder) as database,
        a_web(environment_of(database)) as web,
    ):
        assert web.get("/health/ready").status == 200
        filling = disk / "filling"
        with filling.open("wb") as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        answer = web.get("/health/ready")
        assert (answer.status, answer.json()["problems"]) == (503, ["The disk of the database is full."])
        filling.unlink()
        web.wait_until("/health/ready", 200)


@contextmanager
def a_small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of 200 MB where the server of this folder keeps its data."""
    home, account = locate(folder).home, locate(folder).account
    options = f"size=200m,mode=700,uid={account.uid},gid={account.gid}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", home]).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield home
    finally:
        subprocess.run(["umount", home], check=True)
