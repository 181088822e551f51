"""OEM credentials through the API."""

import json
from typing import Any

import pytest
from django.db import connection

from credentials.models import Credential, CredentialSecret
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import SECRET, a_credential, a_fleet, a_vehicle

MERCEDES = "/telematics-brands/MERCEDES_BENZ/credentials"
DOCUMENTED = {"name": "Mercedes-Benz fleet Berlin", "client_id": "client1", "client_secret": "supersecret"}


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def test_the_documented_example_works(api: Api) -> None:
    response = api.post(MERCEDES, DOCUMENTED)
    body = response.json()
    assert response.status_code == 201
    assert (body["name"], body["client_id"]) == ("Mercedes-Benz fleet Berlin", "client1")
    assert len(body["id"]) == 26
    assert "supersecret" not in response.content.decode()
    assert Credential.objects.get().secret.open() == {"client_secret": "supersecret"}


def test_adding_is_audited_with_client_and_flow_id(api: Api) -> None:
    response = api.post(MERCEDES, DOCUMENTED, X_INVERS_Flow_ID="flow-0815-4711")
    event = AuditEvent.objects.get(action="credential.add")
    assert (event.actor_kind, event.actor_id, event.actor_label) == ("client", api.client.client_id, "ERP")
    assert event.flow_id == response["X-INVERS-Flow-ID"] == "flow-0815-4711"
    assert event.address == "127.0.0.1"
    assert "supersecret" not in json.dumps(event.changes)


@pytest.mark.parametrize("brand", ["mercedes_benz", "Mercedes-Benz", "MERCEDES-BENZ"])
def test_a_brand_is_taken_in_any_case_and_with_hyphens(api: Api, brand: str) -> None:
    response = api.post(f"/telematics-brands/{brand}/credentials", DOCUMENTED)
    assert response.json()["telematics_brand"] == "MERCEDES_BENZ"


@pytest.mark.parametrize(("brand", "words"), [("CLOUDBOXX", "needs no credential"), ("OKAI", "password of its own")])
def test_brands_without_shared_credentials_say_what_they_need(api: Api, brand: str, words: str) -> None:
    response = api.post(f"/telematics-brands/{brand}/credentials", DOCUMENTED)
    assert kind(response) == "validation-error"
    assert words in response.json()["errors"][0]["message"]


def test_unknown_properties_wrong_types_and_missing_fields_are_named(api: Api) -> None:
    def fields(body: Any) -> list[str]:
        response = api.post(MERCEDES, body)
        assert kind(response) == "validation-error"
        return sorted(error["field"] for error in response.json()["errors"])

    assert fields(DOCUMENTED | {"colour": "red"}) == ["colour"]
    assert fields(DOCUMENTED | {"name": 5}) == ["name"]
    assert fields(DOCUMENTED | {"client_secret": 5}) == ["client_secret"]
    assert fields(DOCUMENTED | {"name": "x" * 101}) == ["name"]
    assert fields(DOCUMENTED | {"ends_on": 20261017}) == ["ends_on"]
    assert fields({"name": "A"}) == ["client_id", "client_secret"]
    assert fields({"client_id": "a", "client_secret": "b"}) == ["name"]
    assert Credential.objects.count() == 0


def test_a_taken_name_is_a_conflict_without_regard_to_case(api: Api) -> None:
    api.post(MERCEDES, DOCUMENTED)
    response = api.post(MERCEDES, DOCUMENTED | {"name": "MERCEDES-BENZ FLEET BERLIN"})
    assert (kind(response), response.status_code) == ("unique-identifier-already-exists", 409)
    assert response.json()["errors"][0]["field"] == "name"


def test_one_client_id_may_be_stored_under_several_names(api: Api) -> None:
    assert [api.post(MERCEDES, DOCUMENTED | {"name": name}).status_code for name in "AB"] == [201, 201]


def test_reading_shows_everything_but_the_secret(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet, name="Berlin")
    for path in (f"{MERCEDES}/{credential.pk}", MERCEDES, "/credentials"):
        response = api.get(path)
        assert response.status_code == 200
        assert "Berlin" in response.content.decode()
        assert SECRET not in response.content.decode()


def test_a_credential_is_found_only_under_its_brand(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    assert kind(api.get(f"/telematics-brands/NIU/credentials/{credential.pk}")) == "resource-not-found"
    assert kind(api.get(f"/telematics-brands/FORD/credentials/{credential.pk}")) == "resource-not-found"


def test_lists_are_filtered_by_brand_and_text(api: Api, fleet: Fleet) -> None:
    a_credential(fleet, name="Berlin"), a_credential(fleet, name="Niu Hamburg", brand="NIU")

    def names(path: str) -> list[str]:
        return [item["name"] for item in api.get(path).json()["items"]]

    assert names("/credentials") == ["Berlin", "Niu Hamburg"]
    assert names("/credentials?brand=niu") == names("/telematics-brands/NIU/credentials") == ["Niu Hamburg"]
    assert names("/credentials?q=BERL") == ["Berlin"]
    assert kind(api.get("/credentials?brand=ford")) == "validation-error"
    assert kind(api.get("/credentials?colour=red")) == "validation-error"


def test_pages_follow_each_other_without_gap(api: Api, fleet: Fleet) -> None:
    names = [a_credential(fleet).name for _number in range(5)]
    seen, token = [], ""
    while True:
        page = api.get(f"/credentials?limit=2{token}").json()
        seen += [item["name"] for item in page["items"]]
        if page["next_page_token"] is None:
            break
        token = f"&page_token={page['next_page_token']}"
    assert seen == names


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "page_token=x", "q=%00", "limit=1&limit=0"])
def test_bad_paging_is_refused(api: Api, query: str) -> None:
    assert kind(api.get(f"/credentials?{query}")) == "validation-error"


def test_the_secret_is_replaced(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    response = api.patch(f"{MERCEDES}/{credential.pk}", {"client_secret": "newsecret", "note": "asked for by Mira"})
    assert response.status_code == 200
    assert "newsecret" not in response.content.decode()
    assert response.json()["note"] == "asked for by Mira"
    assert credential.secret.open() == {"client_secret": "newsecret"}


@pytest.mark.parametrize("field", ["name", "client_id", "telematics_brand", "token_url"])
def test_nothing_else_is_changed(api: Api, fleet: Fleet, field: str) -> None:
    credential = a_credential(fleet)
    response = api.patch(f"{MERCEDES}/{credential.pk}", {"client_secret": "newsecret", field: "https://x.example"})
    assert kind(response) == "validation-error"
    assert "different" in response.json()["errors"][0]["message"]
    assert credential.secret.open() == {"client_secret": SECRET}


def test_an_etag_keeps_changes_from_being_lost(api: Api, fleet: Fleet) -> None:
    path = f"{MERCEDES}/{a_credential(fleet).pk}"
    etag = api.get(path)["ETag"]
    changed = api.patch(path, {"note": "one"}, If_Match=etag)
    assert (changed.status_code, changed["ETag"] == etag) == (200, False)
    assert changed["ETag"] == api.get(path)["ETag"]
    assert kind(api.patch(path, {"note": "two"}, If_Match=etag)) == "resource-modified"
    assert kind(api.delete(path, If_Match=etag)) == "resource-modified"
    assert kind(api.delete(path, If_Match=f"W/{changed['ETag']}")) == "resource-modified"
    assert api.delete(path, If_Match=f'"x", {changed["ETag"]}').status_code == 204


def test_a_credential_in_use_is_not_deleted(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet, name="Berlin")
    a_vehicle(fleet, credential), a_vehicle(fleet, credential)
    response = api.delete(f"{MERCEDES}/{credential.pk}")
    assert (kind(response), response.status_code) == ("conflicting-resource", 409)
    assert "2 vehicles" in response.json()["detail"] and "Berlin" in response.json()["detail"]
    assert Credential.objects.filter(pk=credential.pk).exists()


def test_an_unused_credential_is_deleted_with_its_secrets(api: Api, fleet: Fleet) -> None:
    path = f"{MERCEDES}/{a_credential(fleet).pk}"
    response = api.delete(path)
    assert (response.status_code, response.content) == (204, b"")
    assert kind(api.get(path)) == "resource-not-found"
    assert CredentialSecret.objects.count() == 0


def test_another_fleet_sees_none_of_it(api: Api, fleet: Fleet) -> None:
    credential, stranger = a_credential(fleet), Api(a_fleet("Südwind"))
    path = f"{MERCEDES}/{credential.pk}"
    answers = [stranger.get(path), stranger.patch(path, {"note": "x"}), stranger.delete(path)]
    assert [kind(one) for one in answers] == ["resource-not-found"] * 3
    assert stranger.get("/credentials").json()["items"] == []


def test_the_same_request_with_the_same_key_is_done_once(api: Api) -> None:
    first = api.post(MERCEDES, DOCUMENTED, Idempotency_Key="k1")
    again = api.post(MERCEDES, DOCUMENTED, Idempotency_Key="k1")
    assert first.status_code == again.status_code == 201
    assert (again.content, again["ETag"], again["Content-Type"]) == (first.content, first["ETag"], "application/json")
    assert Credential.objects.count() == 1
    assert kind(api.post(MERCEDES, DOCUMENTED | {"name": "B"}, Idempotency_Key="k1")) == "conflicting-resource"
    refused = [api.post(MERCEDES, DOCUMENTED, Idempotency_Key="k2") for _time in range(2)]
    assert [kind(refused[0]), refused[1].content] == ["unique-identifier-already-exists", refused[0].content]


def test_nothing_of_a_kept_answer_is_in_clear(api: Api) -> None:
    api.post(MERCEDES, DOCUMENTED, Idempotency_Key="k1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT kept::text FROM api_keptanswer kept")
        assert "client1" not in cursor.fetchone()[0]


def test_a_brand_in_the_path_is_spelled_in_any_way(api: Api) -> None:
    body = {"name": "High", "client_id": "c", "client_secret": "s"}
    made = api.post("/telematics-brands/high-mobility/credentials", body).json()
    assert made["telematics_brand"] == "HIGH_MOBILITY"
    path = "/telematics-brands/{}/credentials/" + made["id"]
    assert [api.get(path.format(one)).status_code for one in ("HIGH_MOBILITY", "High-Mobility")] == [200, 200]
    assert api.patch(path.format("high_mobility"), {"note": "x"}).status_code == 200
    assert api.delete(path.format("HIGH-mobility")).status_code == 204
    assert kind(api.get(path.format("high-mobility"))) == "resource-not-found"


def test_the_catalogue_is_listed(api: Api) -> None:
    brands = {brand["id"]: brand for brand in api.get("/telematics-brands").json()["items"]}
    assert {"CLOUDBOXX", "NIU", "OKAI", "TESLA"} <= brands.keys()
    assert brands["CLOUDBOXX"]["kind"] == "none"
    assert [field["key"] for field in brands["NIU"]["fields"]] == ["client_id", "client_secret"]
    paged: list[str] = []
    token: str | None = ""
    while token is not None:
        page = api.get(f"/telematics-brands?limit=4&page_token={token}").json()
        assert len(page["items"]) == 4 or page["next_page_token"] is None
        paged += [brand["id"] for brand in page["items"]]
        token = page["next_page_token"]
    assert paged == sorted(brands)


def test_the_same_secret_again_is_no_error_and_no_change(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    path = f"/telematics-brands/MERCEDES_BENZ/credentials/{credential.pk}"
    first, second = (api.patch(path, {"client_secret": "evenmoresecret"}) for _time in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json() and second["ETag"] == first["ETag"]
    assert AuditEvent.objects.filter(action="credential.rotate").count() == 1
