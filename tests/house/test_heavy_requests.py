"""No header, body, search or file that is long, deep or many makes a request hang or fail.

Nothing here takes a time: what is more than linear in these inputs would take minutes, and be noticed.
"""

import base64
import html
import io
import json
import zipfile
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from fleetcontrol.imports.models import ImportRun, Stage
from fleetcontrol.people.models import Fleet, Role
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in
from tests.tabular.test_malicious_files import NAMESPACE, hostile
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
LONG = 60_000


@pytest.fixture
def root(fleet: Fleet) -> Client:
    browser = signed_in(factory.a_member(fleet, Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True))
    browser.raise_request_exception = False
    return browser


def parts(count: int, *, file: bool = False) -> bytes:
    name = '; filename="a"' if file else ""
    return (
        b"".join(
            f'--x\r\nContent-Disposition: form-data; name="a{n}"{name}\r\n\r\n1\r\n'.encode() for n in range(count)
        )
        + b"--x--\r\n"
    )


HEADERS = {
    "languages": {"HTTP_ACCEPT_LANGUAGE": "de;q=0.5," * (LONG // 9)},
    "one language": {"HTTP_ACCEPT_LANGUAGE": "de" + "-x" * (LONG // 2)},
    "no language": {"HTTP_ACCEPT_LANGUAGE": "a" * LONG},
    "weights": {"HTTP_ACCEPT_LANGUAGE": "de;q=" + "0" * LONG},
    "cookies": {"HTTP_COOKIE": "a=b; " * (LONG // 5)},
    "a cookie": {"HTTP_COOKIE": "a=" + "b" * LONG},
    "a quoted cookie": {"HTTP_COOKIE": 'messages="' + "\\0" * (LONG // 2)},
    "a session": {"HTTP_COOKIE": "session=" + ":" * LONG + "; sessionid=" + ":" * LONG},
    "backslashes": {"HTTP_COOKIE": 'a="' + "\\" * LONG + '"'},
    "accept": {"HTTP_ACCEPT": "text/html;q=0.1," * (LONG // 16)},
    "accept parameters": {"HTTP_ACCEPT": "text/html" + ";a=b" * (LONG // 4)},
    "forwarded": {"HTTP_X_FORWARDED_FOR": "1.1.1.1, " * (LONG // 9)},
    "a type": {"CONTENT_TYPE": "text/plain" + ';a="' * 2_000},  # the servers take 8,190 bytes
    "encodings": {"HTTP_ACCEPT_ENCODING": "gzip;q=0.1," * (LONG // 11)},
    "etags": {"HTTP_IF_NONE_MATCH": 'W/"a",' * (LONG // 6)},
    "no etags": {"HTTP_IF_MATCH": '"' * LONG},
    "a date": {"HTTP_IF_MODIFIED_SINCE": "Mon, " + "0" * LONG},
    "a browser": {"HTTP_USER_AGENT": "(" * LONG},
    "a referrer": {"HTTP_REFERER": "https://localhost/" + "[" * LONG},
    "an origin": {"HTTP_ORIGIN": "https://" + "a." * (LONG // 2)},
    "basic": {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b":" * LONG).decode()},
    "bearer": {"HTTP_AUTHORIZATION": "Bearer " + "." * LONG},
    "a token": {"HTTP_AUTHORIZATION": "Bearer " + "eyJ" * (LONG // 3) + ".e30."},
    "a page of htmx": {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "https://localhost/?" + "a=b&" * 15_000},
    "a key": {"HTTP_IDEMPOTENCY_KEY": "a" * LONG},
    "a range": {"HTTP_RANGE": "bytes=" + "0-1," * (LONG // 4)},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_long_header(name: str, root: Client, fleet: Fleet) -> None:
    visitor = Client(raise_request_exception=False)
    for browser in (visitor, root):
        for path in ("/", "/accounts/login/", f"/f/{fleet.slug}/vehicles/", "/admin/", "/vehicles", "/health/"):
            for method in ("GET", "POST"):
                kind: Any = {"CONTENT_TYPE": FORM} | HEADERS[name]
                assert browser.generic(method, path, b"a=b", kind.pop("CONTENT_TYPE"), **kind).status_code < 500


BODIES = {
    "parts": ("multipart/form-data; boundary=x", parts(10_000)),
    "files": ("multipart/form-data; boundary=x", parts(10_000, file=True)),
    "a long name": ("multipart/form-data; boundary=x", parts(1).replace(b"a0", b"a" * 1_000_000)),
    "headers of a part": ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 200_000 + b"\r\n1\r\n--x--"),
    "boundaries": ("multipart/form-data; boundary=x", b"--x\r\n" * 300_000),
    "half boundaries": ("multipart/form-data; boundary=" + "-" * 70, b"-" * 1_500_000),
    "fields": (FORM, b"a=b&" * 400_000),
    "a field": (FORM, b"a=" + b"%41" * 600_000),
    "percents": (FORM, b"%" * 1_500_000),
    "scope": (FORM, b"grant_type=client_credentials&client_id=a&client_secret=b&scope=" + b"a+" * 800_000),
    "one scope": (FORM, b"grant_type=client_credentials&client_id=a&client_secret=b&scope=" + b"a" * 1_900_000),
    "email": (FORM, b"email=" + b"a." * 700_000 + b"@b&login=" + b"@" * 400_000 + b"&password=x"),
    "brackets": ("application/json", b"[" * 1_500_000),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_long_body(name: str, root: Client, fleet: Fleet) -> None:
    kind, body = BODIES[name]
    api = Api(fleet)
    api.sign_in()
    for path in ("/accounts/login/", f"/f/{fleet.slug}/imports/add/", f"/f/{fleet.slug}/credentials/webhook/"):
        assert root.generic("POST", path, body, kind).status_code < 500
    for path in ("/auth/oauth/token", "/vehicles", "/credentials/imports", "/vehicles/imports"):
        assert api.send("POST", path, body, Content_Type=kind).status_code < 500


TEXTS = ["a" * 8000, "%" * 8000, "_" * 8000, "\\" * 8000, "a " * 4000, '"' * 8000, "(" * 8000, "ı" * 2000, "İ" * 2000]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_long_search(text: str, root: Client, fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet))
    Vehicle.objects.filter(pk=vehicle.pk).update(custom_name="a" * 100)
    for path in (
        f"/f/{fleet.slug}/vehicles/", f"/f/{fleet.slug}/credentials/", f"/f/{fleet.slug}/history/",
        "/admin/vehicles/vehicle/", "/admin/people/user/", "/admin/audit/auditevent/",
    ):  # fmt: skip
        assert root.get(path, {"q": text}).status_code < 500
    assert Api(fleet).get(f"/vehicles?q={text[:500]}").status_code < 500


def test_a_deep_query(root: Client, fleet: Fleet) -> None:
    for query in ("a[b]" + "[c]" * 2_000 + "=1", "fleet__" * 1_000 + "id=1", "o=" + "1." * 5_000, "a=1&" * 900):
        for path in (f"/f/{fleet.slug}/vehicles/", "/admin/vehicles/vehicle/", "/admin/people/user/"):
            assert root.get(f"{path}?{query}").status_code < 500
        assert Api(fleet, name=query[:9]).get(f"/vehicles?{query}").status_code < 500


DEEP = ["[" * 20_000, "[" * 20_000 + "]" * 20_000, '{"a":' * 20_000, '{"a":' * 9_000 + "1" + "}" * 9_000, "9" * 100_000]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_deep_custom_fields_are_an_error_of_their_field(text: str, root: Client, fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet))
    page = reverse("admin:vehicles_vehicle_change", args=[vehicle.pk])
    answer = root.post(page, {"custom_fields": text, "telematics_unit_id": "1", "operation_status": "OPERATING"})
    assert answer.status_code == 200
    assert "custom_fields" in answer.context["adminform"].form.errors
    assert f"{text[:100]}" in html.unescape(answer.content.decode())
    ours = reverse("vehicles:change", kwargs={"fleet": fleet.slug, "id": vehicle.pk})
    assert root.post(ours, {"custom_fields": text, "custom_fields_1": text}).status_code < 500
    sent = json.dumps({"custom_fields": text}).encode()
    assert Api(fleet).send("PATCH", f"/vehicles/{vehicle.pk}", sent).status_code < 500


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


FILES = {
    "nested archives": lambda: zipped("xl/workbook.xml", zipped("a.zip", zipped("b.zip", bytes(50_000_000)))),
    "a part of zeros": lambda: hostile(sheet=bytes(150_000_000)),
    "texts of zeros": lambda: hostile(texts=bytes(150_000_000)),
    "texts alone": lambda: zipped("xl/sharedStrings.xml", b"<si/>" * 5_000_000),
    "many texts": lambda: hostile(texts=f'<sst xmlns="{NAMESPACE}">{"<si><t>a</t></si>" * 600_000}</sst>'),
    "columns": lambda: b"a," * 100_000 + b"b\n1,2\n",
    "names of columns": lambda: ",".join(f"c{n}" for n in range(100_000)).encode() + b"\n1,2\n",
    "separators": lambda: b",;\t|" * 500_000,
    "quotes": lambda: b'"' * 3_000_000,
    "an open quote": lambda: b'name,b\n"' + b"a\n" * 1_500_000,
    "line ends": lambda: b"\r" * 2_000_000 + b"\n" * 2_000_000,
    "bytes": lambda: bytes(range(256)) * 10_000,
    "utf-16": lambda: b"\xff\xfe" + b"\x00\xd8" * 1_000_000,
    "zeros": lambda: bytes(10_000_000),
}


@pytest.mark.parametrize("name", FILES)
def test_a_heavy_file(name: str, root: Client, fleet: Fleet) -> None:
    data = FILES[name]()
    file = io.BytesIO(data)
    file.name = "cars.bin"
    answer = root.post(f"/f/{fleet.slug}/imports/add/", {"kind": "vehicle", "file": file})
    assert answer.status_code < 500
    assert len(answer.content) < 500_000
    answer = Api(fleet).send("POST", "/vehicles/imports", data, Content_Type="application/octet-stream")
    assert answer.status_code < 500 and len(answer.content) < 200_000


@pytest.mark.parametrize("column", ["custom_fields", "tags", "year", "name"])
@pytest.mark.parametrize("text", ["9" * 30_000, '{"a": %s}' % ("9" * 30_000), "[%s]" % ("9" * 30_000), "[" * 30_000])
def test_a_heavy_cell_is_a_problem_of_its_row(column: str, text: str, fleet: Fleet) -> None:
    answer = Api(fleet).send(
        "POST", "/vehicles/imports", f"telematics_brand;qnr;{column}\nCLOUDBOXX;1;{quoted(text)}\n".encode(),
        Content_Type="text/csv",
    )  # fmt: skip
    assert answer.status_code == 202
    assert ImportRun.objects.get().stage in (Stage.DONE, Stage.CHECKED)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
