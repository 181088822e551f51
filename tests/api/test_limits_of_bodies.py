"""Small bodies that would take minutes or answer with megabytes are refused with a short problem."""

import json

import pytest

from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from vehicles.models import Vehicle

MERCEDES = "/telematics-brands/MERCEDES_BENZ/credentials"
MOST = 2 * 1024 * 1024


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def properties(count: int, start: str = "k") -> str:
    return ",".join(f'"{start}{number}": 1' for number in range(count))


def test_a_body_whose_last_property_stands_twice_is_refused_at_once(api: Api) -> None:
    body = ('{"x": {' + ", ".join(f'"k{number}": 1' for number in (*range(150_000), 149_999)) + "}}").encode()
    response = api.post(MERCEDES, body[:MOST])
    assert kind(response) in ("validation-error", "invalid-json")
    response = api.post(MERCEDES, ("{" + properties(900) + ', "k899": 2}').encode())
    assert response.json()["errors"] == [{"field": "k899", "message": "This property stands here twice."}]


def test_an_object_of_many_properties_is_refused_in_one_sentence(api: Api) -> None:
    response = api.post(MERCEDES, ("{" + properties(140_000) + "}").encode())
    assert response.json()["errors"] == [{"field": "body", "message": "An object may have up to 1000 properties."}]


@pytest.mark.parametrize("keys", [10, 200])
def test_a_bulk_request_tells_its_first_thousand_errors_and_counts_the_others(api: Api, keys: int) -> None:
    one = "{" + properties(keys, "") + "}"
    response = api.post("/vehicles", ('{"items": [' + ", ".join([one] * 1000) + "]}").encode())
    assert kind(response) == "validation-error"
    assert len(response.json()["errors"]) == 1000
    assert response.json()["detail"].endswith(f"And {1000 * (keys + 1) - 1000} more errors.")
    assert len(response.content) < 200_000
    assert not Vehicle.objects.exists()


def test_a_long_name_is_not_sent_back_whole(api: Api) -> None:
    response = api.post(MERCEDES, json.dumps({"x" * 1_000_000: 1}).encode())
    assert kind(response) == "validation-error"
    assert len(response.content) < 2_000


def test_a_long_list_below_a_long_name_takes_no_memory(api: Api) -> None:
    body = '{"' + "x" * 1_000_000 + '": [' + "0," * 400_000 + r'"\u0000"]}'
    response = api.post(MERCEDES, body.encode())
    assert kind(response) == "validation-error"
    assert len(response.content) < 2_000


@pytest.mark.parametrize("body", [b'{"a": ' * 200_000, b"[" * MOST, b'{"\\ud800": 1, "\\ud800": 2}'])
def test_odd_bodies_are_problems(api: Api, body: bytes) -> None:
    assert kind(api.post(MERCEDES, body[:MOST])) in ("invalid-json", "validation-error")


def test_a_list_of_a_million_values_is_refused(api: Api) -> None:
    for body in ('{"items": [' + "1," * 900_000 + "1]}", "[" + "[]," * 600_000 + "[]]"):
        response = api.post("/vehicles", body.encode())
        assert kind(response) == "validation-error"
        assert len(response.content) < 200_000


def test_many_parameters_are_refused(api: Api) -> None:
    for query in ("&".join(f"k{number}=1" for number in range(900)), "a=1&" * 5000):
        response = api.get(f"/vehicles?{query}")
        assert kind(response) == "validation-error"
        assert len(response.content) < 200_000
