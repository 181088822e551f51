"""python -m tests.support.import_process DATABASE: runs imports in child processes, for tests that kill them.

DATABASE is the database's settings as JSON. For each input line "path fleet" the program forks a process that imports
and prints its process ID. For a line "wait" it waits for all of them and prints their exit codes. It loads Django only
once, so that twenty imports take seconds.
"""

import json
import os
import sys

import django
from django.core.management import call_command
from django.db import connection


def answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(database: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    django.setup()
    connection.settings_dict.update(json.loads(database))
    children: list[int] = []
    for line in sys.stdin:
        if line.strip() == "wait":
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            children.clear()
            answer(" ".join(map(str, codes)))
            continue
        path, fleet = line.split()
        child = os.fork()
        if child:
            children.append(child)
            answer(str(child))
            continue
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
        try:
            call_command("import_vehicles", path, f"--fleet={fleet}")
        except SystemExit as end:
            code = int(end.code or 0)
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
