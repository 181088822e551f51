"""No text, however it is made, makes a search in it take long. With patterns that try every way, each of these tests
would take minutes.
"""

import json
import logging
from itertools import product
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import Client

from credentials.brands import BUILT_IN, file, pem
from credentials.brands.field import Field, Kind, StoredAs
from credentials.brands.pattern import is_slow
from fleetcontrol.pages.templatetags.marked import marked
from fleetcontrol.tabular import delimited
from fleetcontrol.web import logs

SIZE = 200_000
HEADS = [
    *("secret", "token-", "passwd", "api_key", "secret=", 'secret="', "secret='", "secret:'\""),
    *("eyJ", "-eyJ", "eyJaaaaaaaaaaaa", "eyJaaaaaaaa.", "gAAAAA", "gAAAAA ", "basic ", "bearer basic ", "Basic"),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-----BEGIN PRIVATE KEY", "-----END PRIVATE KEY"),
    *("/invitations/", "/password/reset/key/", "https://", "https://a:", "smtp", "smtp+", "+smtp", "postgres+a://"),
]
FILLERS = ["", " ", "a", "-", ".", ":", "'", '"', "A ", "\\", "\n"]


@pytest.mark.parametrize("head", HEADS)
def test_no_text_makes_the_search_for_secrets_long(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LONGEST", 10 * SIZE)
    for filler, tail in product(FILLERS, ("", "!")):
        for text in ((head + filler) * (SIZE // len(head + filler)), head + filler * SIZE):
            assert logs.without_secrets(text + tail)


def test_a_long_text_is_cut_before_it_is_searched_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert len(logs.without_secrets("secret " * SIZE)) < 40_000
    record = logging.makeLogRecord({"msg": "Host %s", "args": ("a" * SIZE,), "tail": "b" * SIZE})
    assert len(logs.JsonLines().format(record)) < 80_000


@pytest.mark.parametrize("text", ["secret", "token", "eyJ-", "https://"])
def test_no_header_or_path_stops_the_service(client: Client, db: None, text: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logs.JsonLines())
    lines: list[str] = []
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logging.getLogger("django").addHandler(handler)
    try:
        long = text * (100_000 // len(text))
        assert client.get("/", headers={"host": long}).status_code == 400
        assert client.get(f"/{long}", headers={"origin": long, "referer": long}).status_code == 404
        assert client.post("/accounts/login/", headers={"origin": long}).status_code in (200, 403)
    finally:
        logging.getLogger("django").removeHandler(handler)
    assert [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----" * (SIZE // 10),
        "-----BEGIN CERTIFICATE-----" + "-" * SIZE * 5,
        "-----BEGIN CERTIFICATE-----" + "\\" * SIZE + "-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----" + "\\\\ " * SIZE + "-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----" + " \u200b" * SIZE + "-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END RSA-----" * (SIZE // 10),
    ],
)
def test_no_pem_text_takes_long(text: str) -> None:
    assert pem.rewrapped(text)
    with pytest.raises(pem.PemError):
        pem.read(text, text + "PRIVATE KEY")
    field = Field("key", Kind.PEM_KEY, StoredAs.SECRET, "Key", max_length=20_000)
    with pytest.raises(ValidationError, match="too long"):
        field.clean(text)


def test_no_row_that_the_database_copies_out_takes_long() -> None:
    for separator, cell in product(",;", ('"' + "a" * 100 + '"b', '"' + '""a' * 50, '"' * 101)):
        assert delimited._COPIED_CELL[separator].findall(cell) is not None
        assert delimited._PLAIN_LINE[separator].fullmatch(cell.encode()) is None


def test_no_search_takes_long_to_be_marked() -> None:
    assert marked("a " * 50, "a" * SIZE) == "a " * 50
    assert "<mark>" not in marked("a" * SIZE, "aaaaaaaaaab")


OWN = """
[OWN]
name = "Own"
kind = "shared"
unit_id = {{ pattern = '{unit}' }}
[OWN.fields.client_id]
kind = "identifier"
[OWN.fields.client_secret]
kind = "secret"
pattern = '{secret}'
"""


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a|aa)*b",
        "([a-z]+)*",
        "(a?){40}",
        "(.*.*)*x",
        "(?=(a+)+$)a",
        "(?>(a+)+)",
        ".*.*.*.*.*",
        "(a|a)*",
        "(x+x+)+y",
    ],
)
def test_a_pattern_of_the_brand_file_that_could_take_long_stops_the_start(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "brands.toml"
    for values in ({"unit": pattern, "secret": "a"}, {"unit": "a", "secret": pattern}):
        path.write_text(OWN.format(**values))
        key = "unit_id.pattern" if values["unit"] == pattern else "fields.client_secret.pattern"
        with pytest.raises(ImproperlyConfigured, match=f"brand OWN, key {key}: may take too long"):
            file.read(path)
    path.write_text(f"[TESLA]\nunit_id.pattern = '{pattern}'")
    with pytest.raises(ImproperlyConfigured, match=r"brand TESLA, key unit_id\.pattern: may take too long"):
        file.read(path, file.read(BUILT_IN))


@pytest.mark.parametrize(
    "pattern",
    [
        *("[0-9]{15}", "[A-HJ-NPR-Z0-9]{17}", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "(?:DE|AT)[0-9]+"),
        *(r"[a-z.]+@[a-z-]+\.[a-z]+", "(?:-[0-9]++)*+", "(?:ab|cd)*+", r"([a-z])\1*", "(?i)[a-z]+"),
    ],
)
def test_usual_patterns_are_taken(pattern: str, tmp_path: Path) -> None:
    path = tmp_path / "brands.toml"
    path.write_text(OWN.format(unit=pattern, secret="[a-z]+"))
    assert file.read(path)["OWN"].unit_id.pattern == pattern


def test_every_built_in_pattern_is_quick() -> None:
    for brand in file.read(BUILT_IN).values():
        assert not is_slow(brand.unit_id.pattern, 64)
        assert not any(is_slow(field.pattern, field.max_length) for field in brand.fields)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a = " + "[" * 200_000, "is not TOML"),
        ("#" * 2_000_000, "is larger than 1 MB"),
        (OWN.format(unit="a{99999999999}", secret="a"), "is not a regular expression"),
    ],
)
def test_a_brand_file_that_is_no_brand_file_stops_the_start(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "brands.toml"
    path.write_text(content)
    with pytest.raises(ImproperlyConfigured, match=words):
        file.read(path)
