#!/usr/bin/env python3
"""FleetControl's command line. The syntax stays old, so that an old Python can still read the sentence below."""

import os
import sys

if sys.version_info < (3, 12):  # noqa: UP036 - this is the check itself
    sys.exit(
        "FleetControl needs Python 3.12 or newer; this is Python %d.%d. "  # noqa: UP031 - see above
        "Make the environment again with a newer one, for example: python3.13 -m venv .venv" % sys.version_info[:2]
    )


def main():  # type: ignore[no-untyped-def]  # an annotation would be new syntax to an old Python
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed in this Python. Run the first command of README.md; "
            "it makes .venv, then use .venv/bin/python manage.py …"
        )
    from django.core.exceptions import ImproperlyConfigured

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # what settings.py found missing or wrong, in one sentence
        sys.exit(str(error))


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]  # as above
