"""Another process, possibly of another account, that uses the embedded server."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

from tests.support.project import PROJECT

# The program of that process: become the account, start the server, insert a row, print the address, and stay until the
# input ends. It imports first, because the account may have no access to root's Python.
VISIT = """
import os, sys
from pathlib import Path
sys.path.insert(0, os.environ["PROJECT"])
import encodings.idna, psycopg
from fleetcontrol.postgres import home, server
home.SYSTEM = Path(os.environ["SYSTEM"])
if account := int(os.environ["ACCOUNT"]):
    os.setgroups([])
    os.setgid(account)
    os.setuid(account)
try:
    socket = server.ensure(Path(os.environ["FOLDER"]), durable=os.environ["DURABLE"] == "True")
    address = server.address(socket, server.NAME)
    with psycopg.connect(address) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(1)")
        connection.execute("CREATE TABLE IF NOT EXISTS visit (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO visit DEFAULT VALUES")
    print(address, flush=True)
except server.PostgresError as error:
    print("refused:", error, flush=True)
sys.stdin.read()
"""


class Visitor:
    """A process that uses a folder's server until it leaves."""

    def __init__(self, folder: Path, system: Path, programs: Path, user: str = "", *, durable: bool = False) -> None:
        account = pwd.getpwnam(user).pw_uid if user else 0
        facts = {"PROJECT": PROJECT, "FOLDER": folder, "SYSTEM": system, "ACCOUNT": account, "DURABLE": durable}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", VISIT],
            env={**os.environ, "PYTHONPATH": str(programs), **{name: str(fact) for name, fact in facts.items()}},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Return the server's address, or the reason why there is none."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0

    def die(self) -> None:
        self.process.kill()
        self.process.communicate()
