"""The command line: runs a management command and ends what can be foreseen with one sentence instead of a traceback.

It runs the checks of `fleetcontrol.startup` before a command that uses keys: that the keys are those of the database.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from typing import Any, NoReturn, TextIO

from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, ManagementUtility, get_commands
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.recorder import MigrationRecorder

from fleetcontrol import output, startup

BROKEN_PIPE, INTERRUPTED = 141, 130  # exit codes as a shell gives them: 128 and the number of the signal
DISK_FULL = "53100"  # PostgreSQL's code
UNDEFINED_TABLE, UNDEFINED_COLUMN = "42P01", "42703"
# They work without the keys of secrets, or look at them when the database is there.
WITHOUT_KEYS = {"quickstart", "status", "demo_oem", "create_database_roles", "verify_audit"}
TOO_OLD = (
    "This database was made by a FleetControl before its first release, and its tables cannot be taken over. "
    "To begin anew, delete the folder var/ and, if you started it as root, the folder that var/postgres/data "
    "leads to; with DATABASE_URL, name an empty database."
)
APPS_WITH_KEYS = {"credentials", "vehicles", "django_tasks_db"}


class CommandLine(ManagementUtility):
    """Django's, with a look at the keys before a command of ours starts."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        app = get_commands().get(subcommand, "")
        app_name = app.name if hasattr(app, "name") else str(app)
        if (app_name in APPS_WITH_KEYS or app_name.startswith("fleetcontrol")) and subcommand not in WITHOUT_KEYS:
            _check_keys_before(command)
        return command


def run(arguments: list[str]) -> None:
    """Run the command of these arguments, as in sys.argv, with the process's own output."""
    # What an export prints is a file, in UTF-8 whatever the terminal has.
    is_export = arguments[1:2] and arguments[1].startswith("export_")
    output.name_standard_streams(encoding="utf-8" if is_export else "")
    try:
        try:
            CommandLine(arguments).execute()
        finally:
            sys.stdout.flush()
    except (KeyboardInterrupt, Exception) as error:
        if (ending := _ending_of(error, in_detail="--traceback" in arguments)) is None:
            raise
        _end(*ending)


def _ending_of(error: BaseException, *, in_detail: bool) -> tuple[str, int] | None:
    """The sentence and exit code of a foreseen failure. None for any other, which deserves its traceback."""
    match error:
        case KeyboardInterrupt():
            return "Stopped.", INTERRUPTED
        case ImproperlyConfigured():  # a missing or wrong setting
            return str(error), 1
        case InconsistentMigrationHistory() if _is_too_old():
            return TOO_OLD, 1
        case BrokenPipeError() if error.filename in output.STANDARD_STREAMS:
            return "", BROKEN_PIPE
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what = error.filename or f"A temporary file in {tempfile.gettempdir()}"
            return f"{what} cannot be written: {error.strerror}.", 1
        case OperationalError() if not in_detail:
            reason = str(error).split("\n")[0]
            if _sqlstate(error) == DISK_FULL:
                return f"The disk of the database is full. It said: {reason}", 1
            return f"The database does not answer. Check DATABASE_URL. It said: {reason}", 1
        case ProgrammingError() if _sqlstate(error) in (UNDEFINED_TABLE, UNDEFINED_COLUMN) and not in_detail:
            return "The database is not ready for this version of FleetControl. Run: manage.py migrate", 1
    return None


def _check_keys_before(command: BaseCommand) -> None:
    execute = command.execute

    def checked(*args: Any, **options: Any) -> Any:
        startup.require_all()
        return execute(*args, **options)

    command.execute = checked  # type: ignore[method-assign]  # of this one command, for this one run


def _sqlstate(error: Exception) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def _is_too_old() -> bool:
    # Until the first release, every table belonged to one app, "fleetcontrol", which has no migrations any more.
    return "fleetcontrol" in {app for app, _name in MigrationRecorder(connection).applied_migrations()}


def _end(sentence: str, code: int = 1) -> NoReturn:
    """End the process with a sentence on standard error. What an output does not take is dropped."""
    _write(sys.stdout, "")
    _write(sys.stderr, f"{sentence}\n" if sentence else "")
    sys.exit(code)


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; a stream that fails leads nowhere from then on, because Python flushes it again at its end."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
