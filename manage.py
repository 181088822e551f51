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
        os.environ.setdefault("ADMINISTRATORS_NEED_SECOND_FACTOR", "false")  # likewise; the demo is for trying
    try:
        import django  # noqa: F401 - only whether it is there
    except ImportError:
        sys.exit(
            "Django is not installed in this Python. Run the first command of README.md; "
            "it makes .venv, then use .venv/bin/python manage.py …"
        )
    from fleetcontrol.packages import missing

    sentence = missing()
    if sentence:
        sys.exit(sentence)
    try:
        from fleetcontrol.management.terminal import run

        run(sys.argv)
    except KeyboardInterrupt:  # before a command was running
        sys.exit(130)


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]  # as above
