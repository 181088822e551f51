"""Every request body that INVERS documents, sent as it stands and answered with the documented keys and types.

The bodies are of `../shared/oneapi.md`, sections 2 to 4; their values are made up, their shapes are not.
"""

import csv
import io
import json
from typing import Any

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from django.core.management import call_command
from django.test import Client

from fleetcontrol.people.models import Fleet, User
from tests.support.api import Api, post_form
from tests.support.factory import TEST, a_credential, a_fleet, a_vehicle
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


def test_problems_name_the_full_address_of_their_page(api: Api, client: Client) -> None:
    problem = api.get("/vehicles/01F4XW6QHWKT4HMSFDZ9CCQH1G").json()
    assert problem["type_documentation"] == f"http://localhost:8000{problem['type']}"
    assert client.get(problem["type"]).status_code == 200


def test_a_missing_permission_is_named_as_rfc_6750_has_it(fleet: Fleet) -> None:
    answer = Api(fleet, ["vehicles.ro"]).post("/vehicles", CLOUDBOXX)
    assert answer.status_code == 403
    assert answer["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="vehicle-lifecycle"'


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
def test_oauth_clients_find_the_token_endpoint_by_themselves(client: Client, path: str) -> None:
    found = client.get(f"/.well-known/{path}").json()
    assert found["issuer"] == "http://localhost:8000"
    assert found["token_endpoint"] == "http://localhost:8000/auth/oauth/token"
    assert found["grant_types_supported"] == ["client_credentials"]
    assert "vehicles.ro" in found["scopes_supported"]


def test_authlib_discovers_it(client: Client) -> None:
    metadata = AuthorizationServerMetadata(client.get("/.well-known/oauth-authorization-server").json())
    assert metadata["token_endpoint"].endswith("/auth/oauth/token")
    metadata.validate_token_endpoint_auth_methods_supported()
    metadata.validate_scopes_supported()


@pytest.mark.parametrize("charset", ["ISO-8859-1", "us-ascii", "UTF-8", "windows-1252", "utf8"])
def test_the_token_endpoint_takes_charsets_whose_bytes_are_ascii(api: Api, charset: str) -> None:
    form = f"grant_type=client_credentials&client_id={api.client.client_id}&client_secret={api.secret}"
    kind = f"application/x-www-form-urlencoded; charset={charset}"
    assert Client().post("/auth/oauth/token", form, content_type=kind).status_code == 200


@pytest.mark.parametrize(("charset", "body"), [("ISO-8859-1", b"scope=\xfc"), ("utf-16", b"a=b"), ("klingon", b"a=b")])
def test_another_charset_is_named_in_an_error_of_oauth(charset: str, body: bytes) -> None:
    kind = f"application/x-www-form-urlencoded; charset={charset}"
    answer = Client().generic("POST", "/auth/oauth/token", body, content_type=kind)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert charset.lower() in answer.json()["error_description"].lower()


def test_a_missing_grant_type_is_an_invalid_request(api: Api) -> None:
    form = {"client_id": api.client.client_id, "client_secret": api.secret}
    answer = post_form("/auth/oauth/token", form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    wrong = post_form("/auth/oauth/token", {**form, "grant_type": "password"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "unsupported_grant_type")


def test_a_page_token_is_bound_to_its_list_its_filters_and_its_fleet(api: Api, fleet: Fleet) -> None:
    for number in range(4):
        a_vehicle(fleet, name=f"Van {number}")
        a_credential(fleet, f"Berlin {number}")
    token = api.get("/vehicles?limit=2&operation_status=OPERATING").json()["next_page_token"]
    good = api.get(f"/vehicles?limit=1&operation_status=OPERATING&page_token={token}")
    assert [one["name"] for one in good.json()["items"]] == ["Van 2"]
    for other in ("/vehicles?limit=2", "/vehicles?operation_status=GARAGE", "/vehicles?q=van", "/credentials?limit=2"):
        answer = api.get(f"{other}{'&' if '?' in other else '?'}page_token={token}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "page_token"), other
    other_fleet = Api(a_fleet(name="South", slug="south"))
    assert other_fleet.get(f"/vehicles?operation_status=OPERATING&page_token={token}").status_code == 400


def test_the_description_names_the_permission_of_each_operation(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    operations = [one for path, item in paths.items() if path != "/auth/oauth/token" for one in item.values()]
    assert all(one["x-invers-permission"] in one["security"][0]["oauth2"] for one in operations)
