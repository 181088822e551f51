"""`manage.py quickstart`: from a fresh copy to the first page in one command.

It prepares the database, static files and demo fleets and starts the web server and the worker. settings.py makes the
keys, fleetcontrol/postgres starts the database. Later starts find everything prepared.
"""

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from fleetcontrol import startup
from fleetcontrol.duties import duties
from fleetcontrol.environment import quickstart_address_file
from fleetcontrol.management import demo
from fleetcontrol.people.models import Fleet, User
from fleetcontrol.postgres import server as postgres

HOST = "127.0.0.1"
PATIENCE = 60  # seconds until the first page, on the slowest of machines
TEND_EVERY = 300  # seconds
STOP_TIMEOUT = 10  # seconds for the web server and the worker to finish their work
READABLE_CHARACTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # no letter that looks like another


class Command(BaseCommand):
    help = "Prepare everything that is not there yet, start FleetControl and keep it running until Ctrl-C."
    requires_system_checks = []  # Django's own form
    requires_migrations_checks = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=_port, default=8000, help="where the web server listens (default: 8000)")
        parser.add_argument("--no-demo", action="store_true", help="make no demo fleets")
        parser.add_argument("--password", help="of the demo people; without it one is made up")

    def handle(self, *, port: int, no_demo: bool, password: str | None, **options: Any) -> None:
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Respect nohup, which ignores SIGHUP on purpose. Shells ignore SIGINT for background jobs: undo that.
            if ending != signal.SIGHUP or signal.getsignal(ending) != signal.SIG_IGN:
                signal.signal(ending, signal.default_int_handler)
        try:
            _require_free(port)
            with _plain_errors(), _alone():
                _require_database()
                self._prepare()
            startup.require_all()
            connection.close()
            with _running(port) as programs:
                if not no_demo:  # while they start
                    self._demo(password)
                self._wait_for_first_page(port, programs)
                self._greet(port)
                _tend_until_the_end(programs)
        except KeyboardInterrupt:
            self._say(_("Stopped."))
        finally:
            if settings.TRIAL:
                postgres.stop(settings.VAR_DIR / "postgres")

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()

    def _prepare(self) -> None:
        """Bring tables and static files up to date."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self._say(_("Preparing the database …"))
            call_command("migrate", interactive=False, verbosity=0)
        stamp, digest = settings.VAR_DIR / "static.stamp", _digest_of_static_files()
        if not stamp.exists() or stamp.read_text() != digest:
            self._say(_("Collecting static files …"))
            call_command("collectstatic", interactive=False, verbosity=0)
            stamp.write_text(digest)
        connection.close()

    def _demo(self, password: str | None) -> None:
        """Make the demo fleets if there is no fleet yet. Else only set the password of the demo people, if given."""
        if not Fleet.objects.exists():
            self._say(_("Making the demo fleets …"))
            password = password or _readable_password()
            demo.make(password)
        elif password:
            User.objects.filter(email__endswith=f"@{demo.DOMAIN}").update(password=make_password(password))
        if password:
            _write_private(_password_file(), password)

    def _wait_for_first_page(self, port: int, programs: dict[str, subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            _require_alive(programs)
            with contextlib.suppress(OSError, http.client.HTTPException):
                page = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
                page.request("GET", "/health/", headers={"Host": f"localhost:{port}"})
                page.getresponse().read()
                page.close()
                return
            time.sleep(0.05)
        raise CommandError(_("The web server does not answer on port %(port)s.") % {"port": port})

    def _greet(self, port: int) -> None:
        self._say(_("\nFleetControl runs at http://localhost:%(port)s\n") % {"port": port})
        password = _password_file().read_text() if _password_file().exists() else ""
        fits: dict[str, bool] = {}  # by hash: those who still have the demo's hash need only one slow check
        people = User.objects.filter(email__endswith=f"@{demo.DOMAIN}").order_by("pk")
        for person in people:
            roles = [f"{m.get_role_display()} ({m.fleet})" for m in person.memberships.select_related("fleet")]
            if person.password not in fits:
                fits[person.password] = check_password(password, person.password)
            if not fits[person.password]:
                roles.append(_("with a password of their own"))
            self._say(f"  {person.email:20}  {', '.join(roles)}")
        if people and password:
            self._say(_("  Password: %(password)s") % {"password": password})
        if not Fleet.objects.exists():
            words = _('  Make a fleet: %(python)s manage.py create_fleet "My fleet" --administrator you@example.com')
            self._say(words % {"python": sys.executable})
        self._say(_("\nCtrl-C stops it."))
        connection.close()


def _port(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(_("a port is a number from 1 to 65535"))


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            words = _("Port %(port)s needs more rights than you have: choose one above 1023 with --port.")
            raise CommandError(words % {"port": port}) from None
        except OSError:
            words = _("Port %(port)s is taken: end what uses it, or choose another one with --port.")
            raise CommandError(words % {"port": port}) from None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Prepare the folder alone. Raises CommandError while another quickstart does."""
    settings.VAR_DIR.mkdir(exist_ok=True)
    with (settings.VAR_DIR / "quickstart.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = _("Another quickstart prepares this folder at the moment. Wait until it is ready.")
            raise CommandError(words) from None
        yield


def _require_database() -> None:
    """Try to connect once, without the pool, which would keep retrying."""
    parameters = connection.get_connection_params() | {"connect_timeout": 5}
    try:
        with psycopg.connect(**parameters) as database:
            version = database.info.server_version
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        words = _("The database cannot be used; start it or mend DATABASE_URL: %(reason)s")
        raise CommandError(words % {"reason": reason}) from None
    if version < 150_000:
        words = _("FleetControl needs PostgreSQL 15 or newer; the server that DATABASE_URL names is %(version)s.")
        raise CommandError(words % {"version": version // 10_000})


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn a missing permission or a full disk into one sentence."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except DatabaseError as error:
        words = _("The database refuses: %(reason)s")
        raise CommandError(words % {"reason": str(error).strip().splitlines()[0]}) from None


def _digest_of_static_files() -> str:
    """A digest that changes when a static file does."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _readable_password() -> str:
    return "-".join("".join(secrets.choice(READABLE_CHARACTERS) for _place in range(4)) for _group in range(3))


def _password_file() -> Path:
    return Path(settings.VAR_DIR / "demo-password")


def _write_private(path: Path, text: str) -> None:
    with contextlib.closing(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")) as file:
        file.write(text)


@contextlib.contextmanager
def _running(port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run the web server and the worker, in sessions of their own so that Ctrl-C reaches only this process.

    A third process, the leash, stops them and then the database of a trial if this process is killed: it is a shell
    that waits for the end of its input.
    """
    python, gunicorn = sys.executable, ["--bind", f"{HOST}:{port}", "--worker-class=gthread", "--workers=2"]
    gunicorn += ["--threads=4", "--log-level=warning", "--graceful-timeout=3", "--no-control-socket"]
    commands = {
        _("web server"): [python, "-m", "gunicorn", "fleetcontrol.wsgi", *gunicorn],
        _("worker"): [python, "manage.py", "db_worker", "--verbosity=0"],
    }
    environment = os.environ.copy()
    if not environment.keys() & {"PUBLIC_URL", "PUBLIC_URL_FILE"}:
        environment["PUBLIC_URL"] = f"http://localhost:{port}"
        # For the links that other commands print, such as create_fleet in another terminal.
        quickstart_address_file(settings.VAR_DIR).write_text(environment["PUBLIC_URL"])
    with contextlib.ExitStack() as stack:
        programs = {
            name: stack.enter_context(_program(command, env=environment, cwd=settings.BASE_DIR))
            for name, command in commands.items()
        }
        numbers = [str(program.pid) for program in programs.values()]
        script = 'read -r _; kill "$@"'
        if settings.TRIAL:
            database = [sys.executable, "-m", "fleetcontrol.postgres.server", str(settings.VAR_DIR / "postgres")]
            script += f"; exec {shlex.join(database)}"
        leash = ["/bin/sh", "-c", script, "leash", *numbers]
        stack.enter_context(_program(leash, stdin=subprocess.PIPE, cwd=settings.BASE_DIR))
        yield programs


@contextlib.contextmanager
def _program(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, start_new_session=True, **options) as program:  # noqa: S603 - commands of ours
        try:
            yield program
        finally:
            program.terminate()
            try:
                program.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                program.kill()


def _require_alive(programs: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, program in programs.items():
        if program.poll() is not None:
            words = _("The %(program)s ended by itself with exit code %(code)s, so FleetControl stops.")
            raise CommandError(words % {"program": name, "code": program.returncode})


def _tend_until_the_end(programs: dict[str, subprocess.Popen[bytes]]) -> NoReturn:
    """Wait for Ctrl-C (KeyboardInterrupt) or for the end of a program (CommandError).

    Meanwhile run the scheduled duties, except the one that signs in at OEMs: in a trial, only people start that.
    """
    tend = [sys.executable, "manage.py", "tend"]
    tend += [f"--only={duty}" for duty in duties() if duty != "check_credentials"]
    next_round = time.monotonic() + TEND_EVERY
    while True:
        time.sleep(0.2)
        _require_alive(programs)
        if time.monotonic() > next_round:
            subprocess.run(tend, cwd=settings.BASE_DIR, start_new_session=True, check=False)  # noqa: S603 - ours
            next_round = time.monotonic() + TEND_EVERY
