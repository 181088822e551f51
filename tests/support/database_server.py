"""A PostgreSQL of its own for tests that stop, freeze or restrict the server, and FleetControl's web server on it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

import psycopg

from fleetcontrol.postgres import server
from fleetcontrol.postgres.home import locate
from tests.support.project import PROJECT, UNSET, a_folder

NAMES_OF_KEYS = ("SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")
KEYS = {name: secrets.token_urlsafe(48) for name in NAMES_OF_KEYS}


class DatabaseServer:
    """A server in a folder, which this process starts and stops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        self.socket_folder = server.ensure(self.folder, durable=False)

    def stop(self) -> None:
        server.stop(self.folder)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(statement)

    @property
    def url(self) -> str:
        return f"postgres://fleetcontrol@/fleetcontrol?host={quote(str(self.socket_folder), safe='')}"

    def _signal(self, number: signal.Signals) -> None:
        postmaster = (locate(self.folder).data / "postmaster.pid").read_text().split("\n", 1)[0]
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in [postmaster, *children]:
            os.kill(int(process), number)


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> dict[str, object]:
        return dict(json.loads(self.text))


class Web:
    """A gunicorn of FleetControl as README runs it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "fleetcontrol.wsgi", f"--bind=127.0.0.1:{self.port}"]
        command += ["--workers=1", "--threads=4", "--no-control-socket"]
        self.process = subprocess.Popen(command, cwd=PROJECT, env={**UNSET, **environment})

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET. Header names are given with underscores."""
        return self._ask(path, None, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        return self._ask(path, urlencode(form).encode(), headers)

    def _ask(self, path: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(f"http://127.0.0.1:{self.port}{path}", data=data, headers=named)
        try:
            with urlopen(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read().decode())
        except HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read().decode())

    def wait_until(self, path: str, status: int) -> Answer:
        """Ask until this status comes, at most 20 seconds."""
        until = time.monotonic() + 20
        while True:
            try:
                answer = self.get(path)
            except OSError:
                answer = None
            if answer is not None and answer.status == status:
                return answer
            assert time.monotonic() < until, f"{path} does not answer {status} but {answer}"
            time.sleep(0.2)


def environment_of(database: DatabaseServer, **more: str) -> dict[str, str]:
    own = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PUBLIC_URL": "https://fleet.example.com"}
    return {"DATABASE_URL": database.url, **own, **KEYS, **more}


def manage(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env={**UNSET, **environment}, capture_output=True, text=True, timeout=120
    )


@contextmanager
def a_database_server(folder: Path | None = None) -> Iterator[DatabaseServer]:
    """Start a server with FleetControl's tables, here or in its own folder. It is thawed and stopped at the end."""
    with nullcontext(folder) if folder else a_folder() as place:
        database = DatabaseServer(place)
        try:
            migrated = manage(environment_of(database), "migrate", "--verbosity=0")
            assert migrated.returncode == 0, migrated.stderr
            yield database
        finally:
            database.thaw()
            database.stop()


@contextmanager
def a_web(environment: Mapping[str, str]) -> Iterator[Web]:
    """Start a web server and wait until it answers."""
    web = Web(environment)
    try:
        web.wait_until("/health/live", 200)
        yield web
    finally:
        web.process.terminate()
        web.process.wait(30)
