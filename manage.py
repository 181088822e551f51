#!/usr/bin/env python3
"""FleetControl's command line. Its syntax stays old so that an old Python gets as far as the sentence below."""

import os
import sys

if sys.version_info < (3, 12):  # noqa: UP036 - this is the check itself
    sys.exit(
        "FleetControl needs Python 3.12 or newer; this is Python %d.%d. "  # noqa: UP031 - see above
        "Make the environment again with a newer one, for example: python3.13 -m venv .venv" % sys.version_info[:2]
    )


def main():  # type: ignore[no-untyped-def]  # an annotation would be new syntax to an old Python
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    if sys.argv[1:2] == ["quickstart"]:
        os.environ.setdefault("MAKE_KEYS", "true")  # read by settings.py
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed in this Python. Run the first command of README.md; "
            "it makes .venv, then use .venv/bin/python manage.py …"
        )
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError, ProgrammingError, connection
    from django.db.migrations.exceptions import InconsistentMigrationHistory
    from django.db.migrations.recorder import MigrationRecorder

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a missing or wrong setting, as one sentence
        sys.exit(str(error))
    except InconsistentMigrationHistory:
        # Until the first release, every table belonged to one app, "fleetcontrol", which has no migrations any more.
        if "fleetcontrol" not in {app for app, _name in MigrationRecorder(connection).applied_migrations()}:
            raise
        sys.exit(
            "This database was made by a FleetControl before its first release, and its tables cannot be taken over. "
            "To begin anew, delete the folder var/ and, if you started it as root, the folder that var/postgres/data "
            "leads to; with DATABASE_URL, name an empty database."
        )
    except OperationalError as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit("The database does not answer. Check DATABASE_URL. It said: %s" % str(error).split("\n")[0])  # noqa: UP031
    except ProgrammingError as error:
        sqlstate = getattr(error.__cause__, "sqlstate", None)
        if sqlstate not in ("42P01", "42703") or "--traceback" in sys.argv:  # undefined table, undefined column
            raise
        sys.exit("The database is not ready for this version of FleetControl. Run: manage.py migrate")


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]  # as above
