"""python -m benchmarks.api [SECONDS]: requests per second of the API against bare Django views, under gunicorn.

Two servers run side by side on one database of their own, each with two workers: the API, and benchmarks/bare.py, which
makes as many queries and returns as many bytes. They are asked in turn, a second each, so that what else the machine
does meets both; the medians are compared. The ratio is to be at least 0.5.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any
from urllib.parse import quote

from django.conf import settings

from benchmarks.database import connection, own_database
from credentials.models import Credential
from fleetcontrol.api.models import PERMISSIONS, ApiClient
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.models import Fleet
from vehicles.models import Vehicle

ACTOR = Actor.command("benchmark")
CLIENTS = 6  # connections that ask at the same time
type Request = Callable[[int], bytes]


def main(rounds: int) -> None:
    with own_database():
        fleet = Fleet.add(name="Benchmark", actor=ACTOR)
        credential = Credential.add(
            fleet=fleet, actor=ACTOR, brand="NIU", name="NIU", values={"client_id": "c", "client_secret": "s"}
        )
        for number in range(1000):
            unit: Any = {"telematics_brand": "NIU", "telematics_unit_id": f"N{number:06}", "credential": credential}
            Vehicle.add(fleet=fleet, actor=ACTOR, make="NIU", model="NQi", tags=["pool"], **unit)
        client, secret = ApiClient.add(fleet=fleet, actor=ACTOR, name="Benchmark", permissions=list(PERMISSIONS))
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # what autovacuum does within a minute; without it plans are guesses
        connection.close()
        with serve("fleetcontrol.wsgi") as api:
            token = sign_in(api, client.client_id, secret)
            auth = f"Authorization: Bearer {token}\r\n"
            one = get(f"/telematics-brands/NIU/credentials/{credential.pk}", auth)
            page = get("/vehicles?limit=50", auth)
            add = post("/vehicles", auth, credential.pk)
            sizes = [str(len(ask(api, request(0))[1])) for request in (one, page, add)]
            with serve("benchmarks.bare", BENCHMARK_BYTES=",".join(sizes)) as bare:
                pairs = [
                    ("GET one credential", one, get(f"/credential/{credential.pk}")),
                    ("GET 50 vehicles", page, get("/vehicles")),
                    ("POST a vehicle", add, post("/vehicle", "", credential.pk)),
                ]
                for title, ours, theirs in pairs:
                    report(title, api, ours, bare, theirs, rounds)


def report(title: str, api: int, ours: Request, bare: int, theirs: Request, rounds: int) -> None:
    measured = [(rate(api, ours), rate(bare, theirs)) for _round in range(rounds)]
    here, there = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"{title:20} API {here:6.0f}/s   bare view {there:6.0f}/s   ratio {here / there:.2f}", flush=True)


def rate(port: int, request: Request, seconds: float = 1.0) -> float:
    """Requests per second that all clients together get answered."""
    until = time.perf_counter() + seconds

    def client(number: int) -> int:
        answered = 0
        with socket.create_connection(("127.0.0.1", port)) as line:
            reader = line.makefile("rb")
            while time.perf_counter() < until:
                line.sendall(request(number))
                assert read(reader)[0] in (200, 201)
                answered += 1
        return answered

    with ThreadPool(CLIENTS) as pool:
        return sum(pool.map(client, range(CLIENTS))) / seconds


def get(path: str, headers: str = "") -> Request:
    text = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()
    return lambda _number: text


def post(path: str, headers: str, credential: str) -> Request:
    """Each with a unit of its own."""

    def request(number: int) -> bytes:
        unit = f"U{number}-{time.perf_counter_ns()}"
        vehicle = {"telematics_brand": "NIU", "telematics_unit_id": unit, "credentials_id": credential}
        body = json.dumps(vehicle | {"master_data": {"brand": "NIU", "model": "NQi"}, "tags": ["pool"]})
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    return request


def sign_in(port: int, client_id: str, secret: str) -> str:
    body = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    head = "POST /auth/oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    status, answer = ask(port, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    assert status == 200, answer
    return str(json.loads(answer)["access_token"])


def ask(port: int, request: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(request)
        return read(line.makefile("rb"))


def read(reader: object) -> tuple[int, bytes]:
    """Status and body of an answer that tells its length."""
    status = int(reader.readline().split()[1])  # type: ignore[attr-defined]  # a buffered reader
    length = 0
    while line := reader.readline().strip():  # type: ignore[attr-defined]
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    return status, reader.read(length)  # type: ignore[attr-defined]


@contextmanager
def serve(application: str, **more: str) -> Iterator[int]:
    """gunicorn with two workers; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    database = connection.get_connection_params()
    url = f"postgres://{quote(database['user'])}@/{database['dbname']}?host={quote(database['host'], safe='')}"
    keys = {"SECRET_KEY": settings.SECRET_KEY, "FERNET_KEYS": ",".join(settings.FERNET_KEYS)}
    keys |= {"FINGERPRINT_KEY": settings.FINGERPRINT_KEY, "AUDIT_KEY": settings.AUDIT_KEY}
    environment = os.environ | keys | {"DATABASE_URL": url, "API_REQUESTS_PER_MINUTE": "100000000"} | more
    options = [
        "--workers=2",
        "--worker-class=gthread",
        "--threads=4",
        "--keep-alive=60",
        "--log-level=error",
        "--no-control-socket",
    ]
    command = [sys.executable, "-m", "gunicorn", application, f"--bind=127.0.0.1:{port}", *options]
    # Each request writes its line, as in production; none belongs on the screen.
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, env=environment, stderr=log) as server:
        try:
            wait_for(port)
            yield port
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    for _attempt in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
