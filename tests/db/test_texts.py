"""Texts are stored in one form, and characters that nobody sees are taken off or refused by name, on every road in."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client

from credentials.brands import find
from credentials.models import Credential
from fleetcontrol.db.texts import BLANKS, HYPHENS, INVISIBLE, compact, odd_in_exact, tidied, untypable
from fleetcontrol.people.models import Fleet, User
from tests.support.api import Api
from tests.support.factory import TEST, a_credential, a_vehicle
from tests.support.import_files import import_by_command
from vehicles.models import Vehicle

run = partial(import_by_command, "import_vehicles")
COMPOSED, DECOMPOSED = "Mercedes S\u00fcd", "Mercedes Su\u0308d"
SAME = (
    COMPOSED,
    DECOMPOSED,
    f"\u200e{COMPOSED}\u00a0",
    "Mercedes\u00a0S\u00fcd",
    "Mercedes\u2009S\u00adu\u0308d\ufeff",
)


def test_what_looks_alike_is_one_text() -> None:
    assert {tidied(one) for one in SAME} == {COMPOSED}
    assert {tidied(f"{mark}a{mark}b{mark}") for mark in INVISIBLE} == {"ab"}
    assert {tidied(f"{blank}a{blank}b") for blank in BLANKS} == {"a b"}


def test_a_vin_loses_blanks_hyphens_and_marks_but_never_becomes_another() -> None:
    for mark in (*INVISIBLE, *BLANKS, *HYPHENS, " ", "-"):
        assert compact(f"{mark}wdb906{mark}6331S123456{mark}") == "WDB9066331S123456"
    assert compact("WDB9066331\u017f123456") == "WDB9066331\u017f123456"  # the capital of a long s is S


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("abc\u200bdef", "ZERO WIDTH SPACE (U+200B)"),
        ("abc\u00a0def", "NO-BREAK SPACE (U+00A0)"),
        ("abc\u2013def", "EN DASH (U+2013)"),
        ("\u201cabc\u201d", "LEFT DOUBLE QUOTATION MARK (U+201C)"),
        ("\u0430bc", "CYRILLIC SMALL LETTER A (U+0430)"),
        ("e\u0301", "COMBINING ACUTE ACCENT (U+0301)"),
        ("a\x1ab", "U+001A"),
        ("a\tb", "U+0009"),
        ("p\u00e4ssw\u00f6rt \u20ac!", ""),
        ("\u043f\u0430\u0440\u043e\u043b\u044c", ""),
        ("'-x9=pw", ""),
    ],
)
def test_an_odd_character_in_an_id_or_secret_is_named(text: str, character: str) -> None:
    assert odd_in_exact(text) == character
    brand = find("NIU")
    for values in ({"client_id": text, "client_secret": "x"}, {"client_id": "x", "client_secret": text}):
        if character:
            with pytest.raises(ValidationError, match=re.escape(character)):
                brand.clean(values)
        else:
            assert text in (brand.clean(values).identifier, brand.clean(values).secret["client_secret"])


def test_marks_around_an_id_or_secret_are_taken_off() -> None:
    cleaned = find("NIU").clean({"client_id": "c6\u00ad", "client_secret": "\u2028\u200eabc\u202c\u00a0"})
    assert (cleaned.identifier, cleaned.secret["client_secret"]) == ("c6", "abc")


def test_line_breaks_and_tabs_are_fine_where_lines_are_written() -> None:
    assert untypable("a\tb\r\nc", lines=True) == ""
    assert untypable("a\tb") == "U+0009"
    assert untypable("a\x1ab", lines=True) == "U+001A"


@pytest.mark.django_db
@pytest.mark.parametrize("typed", SAME)
def test_one_name_however_typed(client: Client, fleet: Fleet, bob: User, tmp_path: Path, typed: str) -> None:
    credential = a_credential(fleet, COMPOSED)
    with pytest.raises(ValidationError, match="already has a credential of this name"):
        a_credential(fleet, typed)
    body = {"name": typed, "client_id": "a", "client_secret": "b"}
    assert Api(fleet).post("/telematics-brands/NIU/credentials", body).status_code == 409
    client.force_login(bob)
    form = {"name": typed, "client_id": "a", "client_secret": "b", "action": "save"}
    assert (
        "already has a credential of this name"
        in client.post(f"/f/{fleet.slug}/credentials/add/niu/", form).content.decode()
    )
    assert list(Credential.objects.filter(name=typed)) == [credential]
    text = json.dumps({"vin": "WDB9066331S123456", "telematics_brand": "MERCEDES_BENZ", "credential": typed}) + "\n"
    assert run(fleet, text, tmp_path=tmp_path)[0] == 0
    assert Vehicle.objects.get().credential == credential
    assert COMPOSED in client.get(f"/f/{fleet.slug}/credentials/", {"q": typed}).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", [DECOMPOSED, " a", "a ", "a\u00a0b", "a\u200bb", "a\x1ab", "\ufeffa", "a\u2028b", "a\n"]
)
def test_the_database_refuses_an_untidy_name(fleet: Fleet, name: str) -> None:
    a_credential(fleet, "One")
    a_vehicle(fleet, name="One")
    for table in ("vehicles_vehicle", "credentials_credential"):
        with pytest.raises(IntegrityError, match="name_tidy"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(f"UPDATE {table} SET name = %s", [name])


@pytest.mark.django_db
def test_the_database_takes_names_in_every_alphabet(fleet: Fleet) -> None:
    for name in ("Zoë’s van – 7", "車両", "Фургон", "שלום 1", "x", "😀 1"):
        assert a_vehicle(fleet, name=name).name == name


@pytest.mark.django_db
def test_marks_come_off_plates_and_vins_on_every_road(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Berlin")
    values = {"vin": "\u200eWDB\u20119066331S12345\u202f6", "license_plate": "\ufeffHH\u2011NL\u00a01\u200b"}
    typed = {"telematics_brand": "MERCEDES_BENZ", "credential": "Berlin"}
    assert run(fleet, json.dumps({**values, **typed}) + "\n", tmp_path=tmp_path)[0] == 0
    imported = Vehicle.objects.get()
    Vehicle.objects.all().delete()
    by_hand = Vehicle.add(
        fleet=fleet, actor=TEST, telematics_brand="MERCEDES_BENZ", credential=fleet.credentials.get(), **values
    )
    for vehicle in (imported, by_hand):
        assert (vehicle.vin, vehicle.license_plate, vehicle.name) == ("WDB9066331S123456", "HH-NL 1", "HH-NL 1")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a\x1ab"),
        ("license_plate", "7P\x1a62-A"),
        ("make", "B\x07W"),
        ("tags", ["a\x1ab"]),
        ("custom_fields", {"a": ["b\x1a"]}),
        ("custom_fields", {"a\x1a": 1}),
        ("telematics_unit_id", "0123\u200b56"),
        ("vin", "WDB\u04129066331S12345"),
    ],
)
def test_a_control_character_is_refused_and_named_on_every_road(
    fleet: Fleet, tmp_path: Path, field: str, value: object
) -> None:
    values = {"telematics_unit_id": "17", "name": "Van", field: value}
    with pytest.raises(ValidationError) as caught:
        Vehicle.add(fleet=fleet, actor=TEST, telematics_brand="CLOUDBOXX", **values)
    assert set(caught.value.error_dict) == {field}
    row = {**values, "telematics_brand": "CLOUDBOXX", field: json.dumps(value) if field == "tags" else value}
    code, _, problems = run(fleet, json.dumps(row) + "\n", tmp_path=tmp_path)
    assert (code, [one["column"] for one in problems]) == (1, [field])
    if field != "vin":
        assert "U+" in problems[0]["reason"] and "U+" in str(caught.value)


@pytest.mark.django_db
def test_a_units_password_is_cleaned_as_its_brand_says(fleet: Fleet, tmp_path: Path) -> None:
    values = {"telematics_unit_id": "123456789012345", "telematics_brand": "OKAI"}
    vehicle = Vehicle.add(fleet=fleet, actor=TEST, password="\u200egeheim-17\u00a0", **values)
    assert vehicle.open_password() == "geheim-17"
    with pytest.raises(ValidationError, match="EN DASH"):
        vehicle.change(actor=TEST, password="geheim\u201317")
    for row in ({**values, "name": vehicle.name}, {"name": vehicle.name}):
        text = json.dumps({**row, "password": "geheim\u201317"}) + "\n"
        code, _, problems = run(fleet, text, "--on-duplicate=update", tmp_path=tmp_path)
        assert code == 1
        assert "EN DASH (U+2013)" in problems[0]["reason"]
        assert "geheim" not in json.dumps(problems)


@pytest.mark.django_db
def test_an_update_without_its_brand_cleans_the_unit_as_its_brand_says(fleet: Fleet, tmp_path: Path) -> None:
    vehicle = a_vehicle(fleet, name="Box", telematics_brand="CLOUDBOXX", telematics_unit_id="17")
    for unit, code in (("x" * 65, 1), ("18\u200b9", 1), ("\u200e18", 0)):
        row = json.dumps({"name": "Box", "telematics_unit_id": unit}) + "\n"
        assert run(fleet, row, "--on-duplicate=update", tmp_path=tmp_path)[0] == code
    vehicle.refresh_from_db()
    assert vehicle.telematics_unit_id == "18"
