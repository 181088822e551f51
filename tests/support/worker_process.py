"""python -m tests.support.worker_process DATABASE: a real worker on the database of a test, for tests that kill it.

DATABASE is settings as JSON.
"""

import json
import os
import sys

import django


def main(database: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    connection.settings_dict.update(json.loads(database))
    call_command("db_worker", interval=0.1, startup_delay=False, reload=False, verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1])
