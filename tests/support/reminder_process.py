"""python -m tests.support.reminder_process DATABASE MAILERS (both JSON): send what is due, for tests that kill it."""

import json
import os
import sys

import django


def main(database: str, mailers: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict.update(json.loads(database))
    settings.MAILERS = json.loads(mailers)
    call_command("tend", only=["send_notices"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
