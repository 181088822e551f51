"""python -m tests.support.import_process DATABASE: imports in processes of their own, for tests that kill them.

DATABASE is settings as JSON. Reads lines "path fleet", answers each with the number of the process that imports; that
one's exit code is answered when the line "wait" is read. Loading Django once makes twenty imports a matter of seconds.
"""

import json
import os
import sys

import django


def answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(database: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fleetcontrol.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

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
