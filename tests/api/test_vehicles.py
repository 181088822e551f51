"""Vehicles through the API."""

from typing import Any

import pytest

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import a_credential, a_fleet, a_vehicle
from vehicles.models import Vehicle

VIN = "W1K2060421F123456"
BOXX: dict[str, Any] = {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "0123456789ABCDEF"}


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def fields(response: Any) -> list[str]:
    assert kind(response) == "validation-error"
    return sorted(error["field"] for error in response.json()["errors"])


def test_a_vehicle_is_added_with_its_credential(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    master = {"vin": "w1k 2060421f123456", "license_plate": "B-MB 1234", "brand": "Mercedes-Benz"}
    response = api.post(
        "/vehicles",
        {
            "telematics_brand": "MERCEDES_BENZ",
            "credentials_id": credential.pk,
            "master_data": master | {"year_of_production": 2024},
            "custom_fields": {"cost centre": "4711"},
            "tags": ["pool"],
        },
    )
    body = response.json()
    assert response.status_code == 201, body
    assert (body["name"], body["telematics_unit_id"]) == ("B-MB 1234", VIN)
    assert (body["master_data"]["vin"], body["master_data"]["year_of_production"]) == (VIN, "2024")
    assert (body["credentials_id"], body["operation_status"]) == (credential.pk, "OPERATING")
    assert (body["custom_fields"], body["tags"]) == ({"cost centre": "4711"}, ["pool"])
    read = api.get(f"/vehicles/{body['id']}")
    assert read.json() == {key: value for key, value in body.items() if key != "notes"}
    assert read["ETag"] == response["ETag"] and response["Location"] == f"/vehicles/{body['id']}"
    assert AuditEvent.objects.get(action="vehicle.add").actor_id == api.client.client_id


def test_each_kind_of_brand_is_reached_in_its_way(api: Api, fleet: Fleet) -> None:
    okai = {"telematics_brand": "OKAI", "telematics_unit_id": "490154203237518"}
    assert api.post("/vehicles", BOXX).status_code == 201
    response = api.post("/vehicles", okai | {"password": "hunter2-unit"})
    assert response.status_code == 201
    assert "hunter2-unit" not in response.content.decode()
    assert Vehicle.objects.get(telematics_brand="OKAI").open_password() == "hunter2-unit"
    assert "password" in fields(api.post("/vehicles", okai))
    assert "password" in fields(api.post("/vehicles", BOXX | {"password": "x"}))
    assert "credentials_id" in fields(api.post("/vehicles", BOXX | {"credentials_id": a_credential(fleet).pk}))
    assert fields(api.post("/vehicles", {"telematics_brand": "NIU", "telematics_unit_id": "N1"})) == ["credentials_id"]


@pytest.mark.parametrize("which", ["unknown", "another fleet's", "another brand's"])
def test_a_credential_that_is_not_there_is_named(api: Api, fleet: Fleet, which: str) -> None:
    credential = a_credential(fleet if which == "another brand's" else a_fleet("Südwind"))
    pk = "01F62857KMPG2NE2GK1W2N3QYS" if which == "unknown" else credential.pk
    response = api.post("/vehicles", {"telematics_brand": "NIU", "telematics_unit_id": "N1", "credentials_id": pk})
    assert (kind(response), response.status_code) == ("referenced-resource-not-found", 400)
    assert Vehicle.objects.count() == 0


def test_values_that_cannot_be_are_refused_together(api: Api) -> None:
    bad = {
        "telematics_unit_id": 5,
        "colour": "red",
        "tags": "pool",
        "custom_fields": {"a": [1]},
        "operation_status": "PARKED",
        "master_data": {"license_plate": "x" * 31, "wheels": 4, "year_of_production": "24"},
    }
    assert fields(api.post("/vehicles", BOXX | bad)) == [
        "colour", "custom_fields.a", "master_data.license_plate", "master_data.wheels",
        "master_data.year_of_production", "operation_status", "tags", "telematics_unit_id",
    ]  # fmt: skip
    assert fields(api.post("/vehicles", BOXX | {"master_data": {"vin": "SHORT"}})) == ["master_data.vin"]
    assert fields(api.post("/vehicles", {"telematics_brand": "FORD"})) == ["telematics_brand"]


@pytest.mark.parametrize("taken", ["name", "unit", "vin"])
def test_taken_identifiers_are_conflicts(api: Api, fleet: Fleet, taken: str) -> None:
    a_vehicle(fleet, name="Van 1", telematics_unit_id="0123456789ABCDEF", vin=VIN)
    body = {
        "name": BOXX | {"telematics_unit_id": "FFFFFFFFFFFFFFFF", "name": "Van 1"},
        "unit": BOXX | {"name": "Van 2"},
        "vin": {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "F" * 16, "master_data": {"vin": VIN}},
    }[taken]
    response = api.post("/vehicles", body)
    assert (kind(response), response.status_code) == ("unique-identifier-already-exists", 409)
    named = {"name": "name", "unit": "telematics_unit_id", "vin": "master_data.vin"}[taken]
    assert response.json()["errors"][0]["field"] == named


def test_a_wrong_check_digit_is_a_note(api: Api) -> None:
    response = api.post("/vehicles", BOXX | {"master_data": {"vin": "1M8GDM9A0KP042788"}})
    assert response.status_code == 201
    assert "check digit" in response.json()["notes"][0]


def test_many_are_added_together_or_not_at_all(api: Api, fleet: Fleet) -> None:
    many = [{"telematics_brand": "CLOUDBOXX", "telematics_unit_id": f"{number:016X}"} for number in range(20)]
    response = api.post("/vehicles", {"items": many})
    assert response.status_code == 201
    assert [one["telematics_unit_id"] for one in response.json()["items"]] == [
        one["telematics_unit_id"] for one in many
    ]
    bad = [one | {"telematics_unit_id": f"B{one['telematics_unit_id'][1:]}"} for one in many]
    bad[7] |= {"operation_status": "PARKED"}
    assert fields(api.post("/vehicles", {"items": bad})) == ["items.7.operation_status"]
    bad[7] = many[3]
    refused = api.post("/vehicles", {"items": bad})
    assert kind(refused) == "unique-identifier-already-exists"
    assert {one["field"] for one in refused.json()["errors"]} == {"items.7.name", "items.7.telematics_unit_id"}
    assert Vehicle.objects.count() == 20
    assert fields(api.post("/vehicles", {"items": []})) == ["items"]
    assert fields(api.post("/vehicles", {"items": many * 51})) == ["items"]


def test_a_thousand_take_as_many_queries_as_two(api: Api, fleet: Fleet, django_assert_max_num_queries: Any) -> None:
    credential = a_credential(fleet, brand="NIU")
    unit = {"telematics_brand": "NIU", "credentials_id": credential.pk}
    api.sign_in()
    with django_assert_max_num_queries(8):
        response = api.post("/vehicles", {"items": [unit | {"telematics_unit_id": f"N{n:05}"} for n in range(1000)]})
    assert response.status_code == 201
    assert AuditEvent.objects.filter(action="vehicle.add").count() == Vehicle.objects.count() == 1000


def test_only_what_is_sent_is_changed(api: Api, fleet: Fleet) -> None:
    vehicle = a_vehicle(fleet, name="Van 1", make="VW", tags=["pool"], vin=VIN)
    response = api.patch(f"/vehicles/{vehicle.pk}", {"operation_status": "GARAGE", "master_data": {"model": "ID.3"}})
    body = response.json()
    assert response.status_code == 200
    assert (body["name"], body["tags"], body["operation_status"]) == ("Van 1", ["pool"], "GARAGE")
    assert (body["master_data"]["brand"], body["master_data"]["model"]) == ("VW", "ID.3")
    assert (body["master_data"]["vin"], body["telematics_unit_id"]) == (VIN, vehicle.telematics_unit_id)
    assert kind(api.patch(f"/vehicles/{vehicle.pk}", {"telematics_brand": "NIU"})) == "validation-error"


def test_another_credential_moves_the_vehicle(api: Api, fleet: Fleet) -> None:
    vehicle, target = a_vehicle(fleet, a_credential(fleet)), a_credential(fleet)
    response = api.patch(f"/vehicles/{vehicle.pk}", {"credentials_id": target.pk})
    assert response.json()["credentials_id"] == target.pk
    assert AuditEvent.objects.filter(action="vehicle.move").count() == 1
    stranger = a_credential(a_fleet("Südwind"))
    refused = api.patch(f"/vehicles/{vehicle.pk}", {"name": "X", "credentials_id": stranger.pk})
    assert kind(refused) == "referenced-resource-not-found"
    niu = a_credential(fleet, brand="NIU")
    refused = api.patch(f"/vehicles/{vehicle.pk}", {"name": "X", "credentials_id": niu.pk})
    assert kind(refused) == "referenced-resource-not-found"
    assert Vehicle.objects.get(pk=vehicle.pk).name == vehicle.name


def test_moving_needs_the_lifecycle_permission(fleet: Fleet) -> None:
    api, vehicle, target = Api(fleet, ["vehicles"]), a_vehicle(fleet, a_credential(fleet)), a_credential(fleet)
    assert api.patch(f"/vehicles/{vehicle.pk}", {"name": "X"}).status_code == 200
    refused = api.patch(f"/vehicles/{vehicle.pk}", {"credentials_id": target.pk})
    assert kind(refused) == "missing-permissions"
    assert "vehicle-lifecycle" in refused.json()["detail"]


def test_all_vehicles_of_a_credential_are_moved(api: Api, fleet: Fleet) -> None:
    former, target = a_credential(fleet), a_credential(fleet)
    a_vehicle(fleet, former), a_vehicle(fleet, former)
    body = {"from_credentials_id": former.pk, "to_credentials_id": target.pk}
    assert api.post("/vehicles/move", body).json() == {"moved": 2}
    assert target.vehicles.count() == 2
    assert api.delete(f"/telematics-brands/MERCEDES_BENZ/credentials/{former.pk}").status_code == 204
    assert kind(api.post("/vehicles/move", body)) == "referenced-resource-not-found"
    niu = a_credential(fleet, brand="NIU")
    assert fields(api.post("/vehicles/move", {"from_credentials_id": target.pk, "to_credentials_id": niu.pk})) == [
        "to_credentials_id"
    ]


def test_lists_are_filtered(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    a_vehicle(fleet, credential, name="Van 1", license_plate="HH-NL 9")
    a_vehicle(fleet, name="Boxx", operation_status="GARAGE")

    def names(query: str) -> list[str]:
        return [item["name"] for item in api.get(f"/vehicles?{query}").json()["items"]]

    assert names("") == ["Van 1", "Boxx"]
    assert names("q=hhnl9") == names(f"credentials_id={credential.pk}") == ["Van 1"]
    assert names("telematics_brand=cloudboxx") == names("operation_status=GARAGE") == ["Boxx"]
    assert names("credentials_id=none") == []
    assert kind(api.get("/vehicles?operation_status=PARKED")) == "validation-error"
    assert kind(api.get("/vehicles?credential_id=x")) == "validation-error"


def test_a_vehicle_is_removed(api: Api, fleet: Fleet) -> None:
    path = f"/vehicles/{a_vehicle(fleet).pk}"
    assert kind(api.delete(path, If_Match='"old"')) == "resource-modified"
    assert api.delete(path).status_code == 204
    assert kind(api.get(path)) == "resource-not-found"


def test_another_fleet_sees_none_of_it(fleet: Fleet) -> None:
    path, stranger = f"/vehicles/{a_vehicle(fleet).pk}", Api(a_fleet("Südwind"))
    answers = [stranger.get(path), stranger.patch(path, {"name": "x"}), stranger.delete(path)]
    assert [kind(one) for one in answers] == ["resource-not-found"] * 3
    assert stranger.get("/vehicles").json()["items"] == []


@pytest.mark.parametrize("path", ["/vehicles", "/credentials", "/vehicles/{vehicle}", "/telematics-brands"])
def test_reading_takes_two_queries_however_much_there_is(
    api: Api, fleet: Fleet, path: str, django_assert_max_num_queries: Any
) -> None:
    vehicles = [a_vehicle(fleet, a_credential(fleet)) for _number in range(5)]
    api.get("/vehicles")
    with django_assert_max_num_queries(2):
        assert api.get(path.format(vehicle=vehicles[0].pk)).status_code == 200


def test_a_missing_unit_is_one_error_and_not_two(api: Api) -> None:
    assert fields(api.post("/vehicles", {"telematics_brand": "CLOUDBOXX"})) == ["telematics_unit_id"]
    response = api.post("/vehicles", {"items": [BOXX, {"telematics_brand": "CLOUDBOXX"}]})
    assert fields(response) == ["items.1.telematics_unit_id"]
    assert response.json()["errors"][0]["message"] == "Enter the ID of the telematics unit."


def test_a_wrong_type_is_told_in_words(api: Api) -> None:
    body = BOXX | {"tags": "pool", "custom_fields": {"": "x"}, "master_data": {"year_of_production": "24"}}
    response = api.post("/vehicles", body)
    assert fields(response) == ["custom_fields", "master_data.year_of_production", "tags"]
    words = {error["field"]: error["message"] for error in response.json()["errors"]}
    assert words["tags"] == "Write a list in brackets."
    assert words["master_data.year_of_production"] == "Write a year from 1900 to 2100."


def test_a_credential_is_not_taken_away_by_null(api: Api, fleet: Fleet) -> None:
    vehicle = a_vehicle(fleet, a_credential(fleet))
    assert fields(api.patch(f"/vehicles/{vehicle.pk}", {"credentials_id": None})) == ["credentials_id"]
    boxx = a_vehicle(fleet)
    assert api.patch(f"/vehicles/{boxx.pk}", {"credentials_id": None}).status_code == 200


def test_a_missing_password_is_one_error(api: Api) -> None:
    okai = {"telematics_brand": "OKAI", "telematics_unit_id": "490154203237518"}
    assert fields(api.post("/vehicles", okai)) == ["password"]


def test_all_items_are_told_of_that_name_no_credential(api: Api) -> None:
    items = [{"telematics_brand": "NIU", "telematics_unit_id": f"N{n}", "credentials_id": "nope"} for n in range(2)]
    response = api.post("/vehicles", {"items": items})
    assert kind(response) == "referenced-resource-not-found"
    assert [error["field"] for error in response.json()["errors"]] == [
        "items.0.credentials_id",
        "items.1.credentials_id",
    ]
