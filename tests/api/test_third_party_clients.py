"""The full life of a credential and a vehicle with software of others: Authlib's OAuth client, and a client that
openapi-python-client makes from /openapi.json.
"""

import importlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session
from django.test import Client

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api

VIN = "W1K2060421F123456"


@pytest.mark.django_db(transaction=True)
def test_authlibs_client_lives_the_full_life(fleet: Fleet, live_server: Any) -> None:
    api, url = Api(fleet), live_server.url
    client_id, endpoint = api.client.client_id, f"{url}/auth/oauth/token"
    with OAuth2Session(client_id, api.secret, token_endpoint=endpoint, grant_type="client_credentials") as web:
        live(web, url)
    actions = AuditEvent.objects.filter(actor_kind="client").order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "credential.add", "vehicle.add", "credential.rotate", "vehicle.change", "vehicle.remove", "credential.remove",
    ]  # fmt: skip


def live(web: OAuth2Session, url: str) -> None:
    assert web.fetch_token()["expires_in"] == 900
    path = f"{url}/telematics-brands/MERCEDES_BENZ/credentials"
    sent = {"name": "Mercedes-Benz fleet Berlin", "client_id": "client1", "client_secret": "supersecret"}
    credential = web.post(path, json=sent).json()
    vehicle = web.post(
        f"{url}/vehicles",
        json={
            "telematics_brand": "MERCEDES_BENZ",
            "credentials_id": credential["id"],
            "master_data": {"vin": VIN, "license_plate": "B-MB 1234"},
        },
    ).json()
    own, its = f"{path}/{credential['id']}", f"{url}/vehicles/{vehicle['id']}"
    etag = web.get(own).headers["ETag"]
    assert web.patch(own, json={"client_secret": "newsecret"}, headers={"If-Match": etag}).status_code == 200
    assert web.patch(own, json={"note": "late"}, headers={"If-Match": etag}).status_code == 412
    assert web.patch(its, json={"operation_status": "GARAGE"}).json()["operation_status"] == "GARAGE"
    assert [one["id"] for one in web.get(f"{url}/vehicles?q=bmb1234").json()["items"]] == [vehicle["id"]]
    refused = web.delete(own)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/conflicting-resource")
    assert "1 vehicle" in refused.json()["detail"] and "Mercedes-Benz fleet Berlin" in refused.json()["detail"]
    assert web.delete(its).status_code == web.delete(own).status_code == 204


@pytest.fixture
def made(tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client package, made from the description as its user would make it."""
    description = tmp_path / "openapi.json"
    description.write_bytes(client.get("/openapi.json").content)
    command: list[str | Path] = [
        Path(sys.executable).with_name("openapi-python-client"),
        "generate",
        "--path",
        description,
    ]
    config = tmp_path / "config.yml"
    config.write_text("post_hooks: []\n")
    run = subprocess.run(
        [*command, "--config", config, "--output-path", tmp_path / "made", "--meta", "none", "--fail-on-warning"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module


@pytest.mark.django_db(transaction=True)
def test_a_client_made_from_the_description_lives_the_full_life(fleet: Fleet, live_server: Any, made: Any) -> None:
    models = made("made.models")
    web = made("made").AuthenticatedClient(base_url=live_server.url, token=Api(fleet).sign_in())

    def call(operation: str, *args: Any, **kwargs: Any) -> Any:
        module = made(f"made.api.{operation}")
        return module.sync_detailed(*args, client=web, **kwargs).parsed

    sent = models.CredentialIn(name="Mercedes-Benz fleet Berlin", client_id="client1", client_secret="supersecret")
    credential = call("oem_credentials.add_credential", "MERCEDES_BENZ", body=sent)
    assert (credential.name, credential.client_id) == ("Mercedes-Benz fleet Berlin", "client1")
    master = models.MasterDataIn(vin=VIN, license_plate="B-MB 1234")
    body = models.VehicleIn(telematics_brand="MERCEDES_BENZ", credentials_id=credential.id, master_data=master)
    vehicle = call("vehicles.add_vehicle", body=body)
    assert vehicle.telematics_unit_id == VIN
    changed = call("vehicles.change_vehicle", vehicle.id, body=models.VehicleChange(name="Pool 1"))
    assert changed.name == "Pool 1"
    again = call("vehicles.change_vehicle", vehicle.id, body=models.VehicleChange(tags=["pool"]))
    assert (again.name, again.master_data.license_plate, again.tags) == ("Pool 1", "B-MB 1234", ["pool"])
    refused = call("oem_credentials.remove_credential", "MERCEDES_BENZ", credential.id)
    assert (refused.type_, refused.status) == ("/problems/conflicting-resource", 409)
    assert call("vehicles.list_vehicles").items[0].id == vehicle.id
    assert call("vehicles.remove_vehicle", vehicle.id) is None
    assert call("oem_credentials.remove_credential", "MERCEDES_BENZ", credential.id) is None
    assert call("oem_credentials.list_all_credentials").items == []
    file = made("made.types").File(BytesIO(b"name,telematics_brand,qnr\nVan 1,CLOUDBOXX,1\n"))
    assert call("imports.import_vehicles", body=file).counts.new == 1
    web.get_httpx_client().close()
