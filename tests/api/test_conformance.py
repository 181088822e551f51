"""Every request body that INVERS documents, sent as it stands and answered with the documented keys and types.

The bodies are of `../shared/oneapi.md`, sections 2 to 4; their values are made up, their shapes are not.
"""

import csv
import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from fleetcontrol.people.models import Fleet, User
from tests.support.api import Api
from tests.support.factory import TEST, a_credential, a_vehicle
from tests.support.forms import version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
MODEL = "01F4XW6QHWKT4HMSFDZ9CCQH1G"
CLOUDBOXX = {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "38429DA427AB7C25"}
MASTER_DATA = {
    "vin": "W1K2060421F123456", "license_plate": "B-MB 1234", "brand": "Mercedes-Benz", "model": "C 200",
    "custom_name": "Pool 7", "fuel_type": "PETROL", "year_of_production": "2019", "transmission": "MANUAL",
    "vehicle_type": "CAR",
}  # fmt: skip
TYPES = {
    "id": str, "name": str, "telematics_brand": str, "telematics_unit_id": str, "credentials_id": str | None,
    "vehicle_model_id": str, "master_data": dict, "custom_fields": dict, "tags": list, "operation_status": str,
    "created_at": str, "changed_at": str,
}  # fmt: skip
VEHICLES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (CLOUDBOXX, {"custom_fields": {}, "operation_status": "OPERATING", "vehicle_model_id": ""}),
    ({**CLOUDBOXX, "vehicle_model_id": MODEL}, {"vehicle_model_id": MODEL}),
    ({**CLOUDBOXX, "master_data": MASTER_DATA}, {"master_data": MASTER_DATA}),
    (
        {**CLOUDBOXX, "master_data": {"year_of_production": 2019}},
        {"master_data": {**dict.fromkeys(MASTER_DATA, ""), "year_of_production": "2019"}},
    ),
    ({**CLOUDBOXX, "custom_fields": {"seats": 4, "color": "blue"}}, {"custom_fields": {"seats": 4, "color": "blue"}}),
    (
        {**CLOUDBOXX, "custom_fields": {"a": True, "b": 1.5, "c": "1", "d": -7, "e": "true"}},
        {"custom_fields": {"a": True, "b": 1.5, "c": "1", "d": -7, "e": "true"}},
    ),
    ({**CLOUDBOXX, "operation_status": "GARAGE"}, {"operation_status": "GARAGE"}),
    ({**CLOUDBOXX, "tags": ["pool", "north"]}, {"tags": ["pool", "north"]}),
]


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def test_the_documented_credential(api: Api) -> None:
    body = {"name": "Mercedes-Benz fleet Berlin", "client_id": "client1", "client_secret": "supersecret"}
    answer = api.post("/telematics-brands/MERCEDES_BENZ/credentials", body)
    assert answer.status_code == 201
    found = answer.json()
    assert {key: found[key] for key in ("name", "client_id")} == {key: body[key] for key in ("name", "client_id")}
    assert len(found["id"]) == 26
    assert "supersecret" not in answer.content.decode()


@pytest.mark.parametrize(("body", "answered"), VEHICLES)
def test_the_documented_vehicles(api: Api, body: dict[str, Any], answered: dict[str, Any]) -> None:
    answer = api.post("/vehicles", body)
    assert answer.status_code == 201, answer.content
    for found in (
        answer.json(),
        api.get(f"/vehicles/{answer.json()['id']}").json(),
        *api.get("/vehicles").json()["items"],
    ):
        assert {key: found[key] for key in answered} == answered
        assert not {key for key, kind in TYPES.items() if not isinstance(found[key], kind)}
        custom = body.get("custom_fields", {})
        assert json.dumps(found["custom_fields"], sort_keys=True) == json.dumps(custom, sort_keys=True)


def test_many_vehicles_with_and_without_an_envelope(api: Api) -> None:
    many = [{**CLOUDBOXX, "telematics_unit_id": f"38429DA427AB7C2{number}"} for number in range(3)]
    for body in (many, {"items": many}):
        answer = api.post("/vehicles", body)
        assert answer.status_code == 201, answer.content
        assert len(answer.json()["items"]) == Vehicle.objects.count() == 3
        Vehicle.objects.all().delete()
    wrong = api.post("/vehicles", [many[0], {**many[1], "operation_status": "SOLD"}])
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "1.operation_status")
    twice = api.post("/vehicles", [many[0], many[0]])
    assert (twice.status_code, twice.json()["errors"][0]["field"]) == (409, "1.name")
    assert api.post("/vehicles", []).status_code == 400
    assert not Vehicle.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"custom_fields": {"a": {"b": 1}}}, "custom_fields.a"),
        ({"custom_fields": {"a": [1]}}, "custom_fields.a"),
        ({"custom_fields": {"a": None}}, "custom_fields.a"),
        ({"custom_fields": {"a": 2**53 + 1}}, "custom_fields.a"),
        ({"custom_fields": {"a": -1e300}}, "custom_fields.a"),
        ({"vehicle_model_id": "no-ulid"}, "vehicle_model_id"),
        ({"master_data": {"year_of_production": "19"}}, "master_data.year_of_production"),
        ({"master_data": {"year_of_production": "1850"}}, "master_data.year_of_production"),
        ({"master_data": {"year_of_production": 1850}}, "master_data.year_of_production"),
        ({"master_data": {"year_of_production": True}}, "master_data.year_of_production"),
    ],
)
def test_what_is_no_such_value_is_refused_at_its_field(api: Api, values: dict[str, Any], field: str) -> None:
    answer = api.post("/vehicles", {**CLOUDBOXX, **values})
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == {field}
    assert not Vehicle.objects.exists()


def test_an_infinite_number_is_refused(api: Api) -> None:
    body = json.dumps({**CLOUDBOXX, "custom_fields": {"a": "X"}}).replace('"X"', "1e999").encode()
    assert api.post("/vehicles", body).status_code == 400


def test_custom_values_and_model_survive_form_export_and_import(
    fleet: Fleet, client: Client, bob: User, tmp_path: Any
) -> None:
    fields = {"seats": 4, "color": "blue", "electric": True, "size": 1.5, "code": "007"}
    vehicle = a_vehicle(fleet, name="Van", custom_fields=fields, vehicle_model_id=MODEL)
    client.force_login(bob)
    page = f"/f/{fleet.slug}/vehicles/{vehicle.pk}/change/"
    html = client.get(page).content.decode()
    for shown in ("seats: 4", "color: blue", "electric: true", "size: 1.5", "code: 007", MODEL):
        assert shown in html
    form = {"name": "Van", "telematics_unit_id": vehicle.telematics_unit_id, "operation_status": "OPERATING",
            "vehicle_model_id": MODEL, "credential": vehicle.credential_id or "", "vin": vehicle.vin,
            "custom_fields": "seats: 4\ncolor: red\nelectric: true\nsize: 1.5\ncode: 007\nnew: 5"}  # fmt: skip
    assert client.post(page, form | version_shown(client, page)).status_code == 302
    vehicle.refresh_from_db()
    assert vehicle.custom_fields == {**fields, "color": "red", "new": "5"}
    assert vehicle.custom_fields["electric"] is True

    file = tmp_path / "export.csv"
    call_command("export_vehicles", str(file), f"--fleet={fleet.slug}")
    row = next(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert row["vehicle_model_id"] == MODEL
    stored = vehicle.custom_fields
    vehicle.change(actor=TEST, custom_fields={}, vehicle_model_id="")
    call_command("import_vehicles", str(file), f"--fleet={fleet.slug}", "--on-duplicate=update", stdout=io.StringIO())
    vehicle.refresh_from_db()
    assert json.dumps(vehicle.custom_fields, sort_keys=True) == json.dumps(stored, sort_keys=True)
    assert vehicle.vehicle_model_id == MODEL


def test_a_model_is_found_in_the_page_of_the_vehicle(fleet: Fleet, client: Client, bob: User) -> None:
    vehicle = a_vehicle(fleet, a_credential(fleet), vehicle_model_id=MODEL, custom_fields={"electric": True})
    client.force_login(bob)
    html = client.get(f"/f/{fleet.slug}/vehicles/{vehicle.pk}/").content.decode()
    assert MODEL in html
    assert "<dd>true</dd>" in html
