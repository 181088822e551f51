"""`manage.py quickstart` in a fresh copy of the project, with real processes and real HTTP."""

import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import PROJECT, UNSET, a_folder

NOT_COPIED = shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "benchmarks")
PEOPLE = ["alice@demo.example", "bob@demo.example", "vera@demo.example", "charlie@demo.example"]


class Quickstart:
    """A running quickstart. `output` is what it has printed until it was ready or ended."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "quickstart", *options],
            cwd=folder,
            env={**UNSET, "HOME": str(folder), "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C" in line:
                break

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it, add the rest of its output to `output`, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        if self.process.stdout and self.process.stdout.closed:
            return int(self.process.returncode)
        self.output += self.process.communicate(timeout=30)[0]
        return self.process.returncode


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of all processes that work in the folder or on its database."""
    return list(running_in(folder).values())


def running_in(folder: Path) -> dict[int, str]:
    """Return the process ID and command line of these processes."""
    home = (folder / "var" / "postgres" / "data").resolve()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().replace("\0", " ")
            if (process / "cwd").resolve() in (folder, home):
                found[int(process.name)] = words
        except OSError:
            continue
    return found


def sign_in(port: int, email: str, password: str) -> str:
    """Sign in as a browser would and return the URL of the next page."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    address = f"http://localhost:{port}/accounts/login/"
    browser.open(address).close()
    token = next(str(cookie.value) for cookie in jar if cookie.name == "csrftoken")
    form = {"login": email, "password": password, "csrfmiddlewaretoken": token}
    with browser.open(address, urllib.parse.urlencode(form).encode()) as answer:
        return str(answer.url)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Make a fresh copy of the project."""
    with a_folder() as empty:
        yield Path(shutil.copytree(PROJECT, empty / "Flotte für alle", ignore=NOT_COPIED))


@pytest.fixture(scope="module")
def port() -> int:
    return a_free_port()


@pytest.fixture(scope="module")
def first(folder: Path, port: int) -> Iterator[Quickstart]:
    """Start for the first time. This process runs until a test ends it."""
    started = Quickstart(folder, "--port", str(port))
    yield started
    started.end()


@pytest.fixture(scope="module")
def password(first: Quickstart) -> str:
    found = re.search(r"Password: (\S+)", first.output)
    assert found, first.output
    return found[1]


def test_prints_the_address_and_the_people(first: Quickstart, port: int) -> None:
    assert f"FleetControl runs at http://localhost:{port}\n" in first.output
    assert [email for email in PEOPLE if email in first.output] == PEOPLE


@pytest.mark.parametrize("email", PEOPLE)
def test_everybody_signs_in_with_the_printed_password(first: Quickstart, port: int, password: str, email: str) -> None:
    assert re.search(r"/f/[a-z-]+/credentials/$", sign_in(port, email, password))


def test_static_files_are_served(first: Quickstart, port: int) -> None:
    with urllib.request.urlopen(f"http://localhost:{port}/accounts/login/") as page:
        sheet = re.search(rb'href="(/static/[^"]+\.css)"', page.read())
    assert sheet
    with urllib.request.urlopen(f"http://localhost:{port}{sheet[1].decode()}") as css:
        assert css.status == 200


def test_keys_and_password_are_for_their_owner_only(first: Quickstart, folder: Path) -> None:
    private_files = [*(folder / "var" / "keys").iterdir(), folder / "var" / "demo-password"]
    assert {"SECRET_KEY", "FERNET_KEYS", "demo-password"} <= {path.name for path in private_files}
    assert {oct(path.stat().st_mode & 0o777) for path in private_files} == {"0o600"}


def test_a_taken_port_is_one_sentence(first: Quickstart, folder: Path, port: int) -> None:
    second = Quickstart(folder, "--port", str(port))
    assert second.end() == 1
    assert second.output == (
        f"CommandError: Port {port} is taken: end what uses it, or choose another one with --port.\n"
    )


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("mysql://localhost/x", "DATABASE_URL must start with postgres://"),
        ("postgres://localhost:none/x", "DATABASE_URL is not an address of a PostgreSQL database."),
        ("postgres://127.0.0.1:1/x", "CommandError: The database cannot be used; start it or mend DATABASE_URL: "),
    ],
)
def test_a_bad_database_address_is_one_sentence(first: Quickstart, folder: Path, address: str, sentence: str) -> None:
    refused = Quickstart(folder, "--port", str(a_free_port()), DATABASE_URL=address)
    assert refused.end() == 1
    assert refused.output.startswith(sentence)
    assert refused.output.count("\n") == 1


def test_ctrl_c_stops_everything(first: Quickstart, folder: Path) -> None:
    assert len(processes_in(folder)) >= 4  # quickstart, web server, worker, database
    assert first.end(signal.SIGINT) == 0
    assert first.output.endswith("Stopped.\n")
    assert processes_in(folder) == []


@pytest.fixture(scope="module")
def second(first: Quickstart, folder: Path, port: int) -> Iterator[Quickstart]:
    """Start again after the first process has ended."""
    first.end()
    started = Quickstart(folder, "--port", str(port))
    yield started
    started.end()


def test_a_second_start_changes_nothing(folder: Path, port: int, password: str, second: Quickstart) -> None:
    assert second.output.startswith(f"\nFleetControl runs at http://localhost:{port}\n")
    assert f"Password: {password}\n" in second.output
    assert sign_in(port, "bob@demo.example", password).endswith("/credentials/")


def test_a_program_that_dies_ends_it_with_a_sentence(folder: Path, second: Quickstart) -> None:
    children = Path(f"/proc/{second.process.pid}/task/{second.process.pid}/children").read_text().split()
    worker = next(pid for pid in children if b"db_worker" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(int(worker), signal.SIGKILL)
    assert second.wait() == 1
    assert "The worker ended by itself with exit code -9, so FleetControl stops.\n" in second.output
    assert processes_in(folder) == []


@pytest.mark.parametrize("also", ["nothing", "gunicorn|db_worker"])
def test_nothing_is_left_when_it_is_killed(folder: Path, port: int, also: str) -> None:
    """Even if its programs are killed with it, so that none is left to stop the database."""
    started = Quickstart(folder, "--port", str(port))
    others = [number for number, words in running_in(folder).items() if re.search(also, words)]
    started.process.kill()
    for number in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    started.wait()
    deadline = time.monotonic() + 60
    while processes_in(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_in(folder) == []
