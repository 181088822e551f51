"""The API's description equals the committed file, is complete, and can be read as a page."""

import json
from pathlib import Path

import pytest
from django.test import Client

from fleetcontrol.api.models import PERMISSIONS
from fleetcontrol.api.openapi import TOKEN_PATH, description
from fleetcontrol.api.problems import CATALOGUE
from fleetcontrol.api_urls import api

SNAPSHOT = Path(__file__).with_name("openapi.json")
OPERATIONS = [
    (path, method, operation)
    for path, methods in description(api)["paths"].items()
    for method, operation in methods.items()
]


def test_the_contract_is_the_committed_one() -> None:
    """After an intended change, run

    `python manage.py shell -c "from tests.api.test_openapi import write_snapshot; write_snapshot()"`.
    """
    assert contract() == SNAPSHOT.read_text(), "the API's contract changed"


def write_snapshot() -> None:
    SNAPSHOT.write_text(contract())


def contract() -> str:
    return json.dumps(description(api), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_says_its_permission_its_errors_and_an_example(
    path: str, method: str, operation: dict[str, object]
) -> None:
    text = json.dumps(operation)
    assert operation["x-invers-permission"] in PERMISSIONS or path == TOKEN_PATH
    assert "application/problem+json" in text
    assert '"429"' in text and '"500"' in text
    assert method in ("get", "delete") or '"example"' in text
    assert "x-contract" not in text


def test_the_description_is_served_to_everyone(client: Client) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.1")
    assert response.json()["paths"].keys() == description(api)["paths"].keys()


def test_people_read_it_under_the_strict_policy(client: Client) -> None:
    response = client.get("/docs/")
    page = response.content.decode()
    assert response.status_code == 200
    for path, _method, operation in OPERATIONS:
        assert path in page and str(operation["summary"]) in page
    assert "master_data.license_plate" in page
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "//" not in page.replace("http://testserver", "").split("<body")[0]
    assert "style=" not in page and "<style" not in page


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_type_of_problem_has_its_page(client: Client, name: str) -> None:
    response = client.get(f"/problems/{name}")
    assert response.status_code == 200
    assert str(CATALOGUE[name].title) in response.content.decode()
