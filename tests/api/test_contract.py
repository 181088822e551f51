"""schemathesis sends the API valid and invalid requests made from its contract, in all phases and with all checks."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from credentials.api_schema import CREDENTIAL_EXAMPLE
from credentials.models import Credential
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports import api as import_api
from fleetcontrol.people.models import Fleet
from tests.api.schemathesis_hooks import MOVE_TO, OF_SCOOTERS
from tests.support.api import Api
from tests.support.factory import a_credential, a_fleet, a_vehicle
from vehicles.api_schema import VEHICLE_EXAMPLE
from vehicles.models import Vehicle

CONFIG = Path(__file__).with_name("schemathesis.toml")
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
SEED = 1


@pytest.fixture(autouse=True)
def no_limit(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    monkeypatch.setattr(import_api, "IMPORTS", 1_000_000)


@pytest.mark.django_db(transaction=True)
def test_the_api_keeps_its_contract(fleet: Fleet, live_server: Any, tmp_path: Path, oem: DemoOem) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        api = client_with_objects(fleet, monkeypatch)
    untouched = client_with_objects(a_fleet("Südwind")).client.fleet
    basic = b64encode(f"{api.client.client_id}:{api.secret}".encode()).decode()
    # The token endpoint takes the client's ID and secret instead of a token.
    token = f"""
        [[operations]]
        include-operation-id = "get_token"
        headers = {{ Authorization = "Basic {basic}" }}
    """
    run_schemathesis(live_server.url, tmp_path, token, "--header", f"Authorization:Bearer {api.sign_in()}")
    assert AuditEvent.objects.filter(fleet_id=fleet.pk, actor_kind="client").exists()
    assert not AuditEvent.objects.filter(fleet_id=untouched.pk, actor_kind="client").exists()
    assert Credential.objects.filter(fleet=untouched).count() == 1


@pytest.mark.django_db(transaction=True)
def test_clients_of_two_fleets_never_see_what_is_the_others(fleet: Fleet, live_server: Any, tmp_path: Path) -> None:
    """schemathesis requests what one client has read as the other client (its check object_level_authorization)."""
    entries = []
    for one in (fleet, a_fleet("Südwind")):
        header = {"name": "Authorization", "value": f"Bearer {client_with_objects(one).sign_in()}"}
        entries.append({"name": one.slug, "fixedHeaders": [header]})
    (tmp_path / "users.json").write_text(json.dumps({"auth": entries}))
    peers = f"""
        [auth.wfc]
        path = "{tmp_path / "users.json"}"
        peers = {json.dumps([entry["name"] for entry in entries])}
    """
    only = ("--include-method", "GET", "--phases", "examples,fuzzing")
    run_schemathesis(live_server.url, tmp_path, peers, *only, checks="object_level_authorization")


def client_with_objects(fleet: Fleet, monkeypatch: pytest.MonkeyPatch | None = None) -> Api:
    """Give the fleet a working credential and a vehicle that uses it, and return an API client of the fleet.

    With `monkeypatch`, the objects get the IDs of the examples in the API description, so that the examples find them.
    """
    if monkeypatch is not None:
        monkeypatch.setattr(Credential._meta.get_field("id"), "_get_default", lambda: CREDENTIAL_EXAMPLE["id"])
        monkeypatch.setattr(Vehicle._meta.get_field("id"), "_get_default", lambda: VEHICLE_EXAMPLE["id"])
    url = "https://id.mercedes-benz.com/token"
    credential = a_credential(fleet, values={"client_secret": "right-1", "token_url": url})
    if monkeypatch is not None:
        for id, brand in ((OF_SCOOTERS, "NIU"), (MOVE_TO, "MERCEDES_BENZ")):
            monkeypatch.setattr(Credential._meta.get_field("id"), "_get_default", lambda id=id: id)
            a_credential(fleet, brand=brand)
    a_vehicle(fleet, credential, telematics_unit_id="W1K2060421F123457")
    return Api(fleet)


def run_schemathesis(url: str, folder: Path, more_config: str, *options: str, checks: str = "all") -> None:
    """Run schemathesis and fail with its summary if it finds anything."""
    config = folder / "schemathesis.toml"
    config.write_text(f"hooks = {json.dumps(str(HOOKS))}\n{CONFIG.read_text()}{more_config}")
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "--config-file", config, "run", f"{url}/openapi.json"),
            *("--checks", checks, "--seed", str(SEED), "--max-examples", "8", "--suppress-health-check", "all"),
            *options,
        ],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout[-60_000:] + done.stderr[-3_000:])
    assert done.returncode == 0, done.stdout[-3_000:]
