"""Imports through the API: a client posts a file as it is, then reads, continues or cancels the import."""

import json
from typing import Any

import pytest
from django.db import connection

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.models import LARGEST_UPLOAD, ImportPiece, ImportRun, Stage
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import SECRET, a_credential, a_fleet, a_vehicle
from tests.support.import_files import in_form
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
GOOD = "name,telematics_brand,qnr\nVan 1,CLOUDBOXX,000000000000000A\nVan 2,CLOUDBOXX,000000000000000B\n"
BAD = GOOD + "Van 3,CLOUDBOX,3\nVan 2,CLOUDBOXX,000000000000000C\n"
WORDS = "There is no brand of this name."


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def send(api: Api, data: str | bytes, query: str = "", noun: str = "vehicles", **headers: str) -> Any:
    """Post a file and return the response."""
    headers.setdefault("Content_Type", "text/csv")
    body = data.encode() if isinstance(data, str) else data
    return api.send("POST", f"/{noun}/imports{query}", body, **headers)


def test_a_good_file_is_imported_when_the_answer_comes(api: Api, fleet: Fleet) -> None:
    response = send(api, GOOD, "?file_name=vans.csv")
    assert response.status_code == 202, response.content
    body = response.json()
    assert body["stage"] == "done" and body["problems"] == [] and body["file_name"] == "vans.csv"
    assert body["counts"] == {"new": 2, "updated": 0, "unchanged": 0, "skipped": 0, "errors": 0, "notes": 0}
    assert sorted(Vehicle.objects.values_list("name", flat=True)) == ["Van 1", "Van 2"]
    events = AuditEvent.objects.filter(action="vehicle.add")
    assert {(one.actor_id, one.flow_id) for one in events} == {(api.client.client_id, body["id"])}
    assert api.get(response["Location"]).json() == body
    assert api.get("/vehicles/imports").json()["items"] == [body]
    assert api.get(f"{response['Location']}/refused-rows").content == (
        b"line,reason,name,telematics_brand,telematics_unit_id\r\n"
    )
    assert not ImportPiece.objects.exists()


def test_a_wrong_row_stops_the_file_and_the_good_rows_can_follow(api: Api) -> None:
    body = send(api, BAD).json()
    assert (body["stage"], body["on_error"]) == ("checked", "stop")
    assert (body["counts"]["new"], body["counts"]["errors"]) == (2, 2)
    lines = {line for problem in body["problems"] for line in problem["lines"]}
    assert lines == {4, 5} and WORDS in str(body["problems"])
    assert not Vehicle.objects.exists()
    address = f"/vehicles/imports/{body['id']}"
    refused = api.get(f"{address}/refused-rows")
    assert refused["Content-Type"] == "text/csv; charset=utf-8"
    rows = refused.content.decode().splitlines()[1:]
    ends = [",Van 3,,3", ",Van 2,CLOUDBOXX,000000000000000C"]
    assert [row.endswith(end) for row, end in zip(rows, ends, strict=True)]
    assert [row.split(",")[0] for row in rows] == ["4", "5"] and WORDS in rows[0]
    written = api.post(f"{address}/write")
    assert (written.status_code, written.json()["stage"]) == (202, "done")
    assert Vehicle.objects.count() == 2
    assert kind(api.post(f"{address}/write")) == "conflicting-resource"
    assert kind(api.post(f"{address}/cancel")) == "conflicting-resource"


def test_a_wrong_row_can_be_left_out(api: Api) -> None:
    body = send(api, BAD, "?on_error=skip").json()
    assert (body["stage"], body["counts"]["new"], body["counts"]["errors"]) == ("done", 2, 2)
    assert Vehicle.objects.count() == 2


def test_a_dry_run_writes_nothing_and_can_be_cancelled(api: Api) -> None:
    body = send(api, GOOD, "?dry_run=true").json()
    assert (body["stage"], body["counts"]["new"]) == ("checked", 2)
    assert not Vehicle.objects.exists()
    cancelled = api.post(f"/vehicles/imports/{body['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["stage"]) == (200, "cancelled")
    assert not ImportPiece.objects.exists()


def test_columns_and_values_are_chosen_in_the_address(api: Api) -> None:
    query = "?map=name=Wagen&set=telematics_brand=CLOUDBOXX"
    body = send(api, "Wagen;Einheit;qnr\nVan 1;x;1\n", query).json()
    assert body["stage"] == "done", body
    assert Vehicle.objects.get().name == "Van 1"


def test_what_the_fleet_has_is_changed_on_request_by_who_may_change_it(api: Api, fleet: Fleet) -> None:
    a_vehicle(fleet, name="Van 1", license_plate="HH-9")
    text = "name,license_plate\nVan 1,HH-1\n"
    adds = Api(fleet, ["vehicle-lifecycle"], "Adds only")
    refused = send(adds, text, "?on_duplicate=update")
    assert kind(refused) == "missing-permissions" and "vehicles" in refused.json()["detail"]
    body = send(api, text, "?on_duplicate=update").json()
    assert body["counts"]["updated"] == 1
    assert Vehicle.objects.get().license_plate == "HH-1"


def test_secrets_are_sealed_on_arrival_and_shown_nowhere(api: Api, fleet: Fleet) -> None:
    text = f"name,brand,client_id,client_secret\nBerlin,NIU,client1,{SECRET}\nBad,NIX,client1,{SECRET}\n"
    response = send(api, text, noun="credentials")
    body = response.json()
    assert body["stage"] == "checked" and SECRET not in response.content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(convert_from(content, 'LATIN1'), '') FROM imports_importpiece")
        assert SECRET not in cursor.fetchone()[0]
    address = f"/credentials/imports/{body['id']}"
    assert SECRET not in api.get(f"{address}/refused-rows").content.decode()
    api.post(f"{address}/write")
    assert Credential.objects.get().secret.open() == {"client_secret": SECRET}
    assert kind(api.get(f"/vehicles/imports/{body['id']}")) == "resource-not-found"


@pytest.mark.parametrize(
    ("form", "media_type", "name"),
    [
        ("utf-16", "text/csv", "vehicles.csv"),
        ("jsonl", "application/jsonl", "vehicles.jsonl"),
        ("xlsx", "application/octet-stream", "vehicles.xlsx"),
    ],
)
def test_every_form_of_file_is_found_by_itself(api: Api, form: str, media_type: str, name: str) -> None:
    body = send(api, in_form(GOOD, form), Content_Type=media_type).json()
    assert (body["stage"], body["file_name"], body["counts"]["new"]) == ("done", name, 2)


def test_a_large_file_goes_on_in_the_background(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "AT_ONCE", 10)
    body = send(api, GOOD).json()
    assert (body["stage"], body["progress"]["step"]) == ("writing", "queue")
    run = ImportRun.objects.get()
    import_work.attempt_now(run.pk, run.attempt, "en")
    assert api.get(f"/vehicles/imports/{body['id']}").json()["stage"] == "done"


def test_the_same_key_imports_once(api: Api) -> None:
    first, second = (send(api, GOOD, Idempotency_Key="november") for _time in range(2))
    assert second.json() == first.json() and second["Idempotency-Replayed"] == "true"
    assert ImportRun.objects.count() == 1
    assert kind(send(api, BAD, Idempotency_Key="november")) == "conflicting-resource"


@pytest.mark.parametrize(
    ("data", "query", "field", "words"),
    [
        ("", "", "body", "The file is empty."),
        ("name\n", "", "body", "no rows"),
        ("%PDF-1.7 something", "", "body", "This is a PDF file."),
        (GOOD, "?map=name", "map", "takes FIELD=TEXT"),
        (GOOD, "?map=nome=name", "map", "This is no field. The fields are: name"),
        (GOOD, "?map=name=Nome", "map", "no column of the name that was given for “name”"),
        (GOOD, "?set=password=geheim-4711", "set", "“password” is a secret and is not taken here."),
        (GOOD, "?dry-run=true", "dry-run", "There is no such parameter."),
        (GOOD, "?on_error=ignore", "on_error", "stop"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(
    api: Api, data: str, query: str, field: str, words: str
) -> None:
    response = send(api, data, query)
    assert kind(response) == "validation-error"
    errors = response.json()["errors"]
    assert [one["field"] for one in errors] == [field] and words in json.dumps(errors, ensure_ascii=False)
    assert not ImportRun.objects.exists()


def test_too_large_and_of_the_wrong_type(api: Api) -> None:
    response = send(api, b"x" * (LARGEST_UPLOAD + 1))
    assert kind(response) == "payload-too-large" and "32" in response.json()["detail"]
    assert kind(send(api, "{}", Content_Type="text/html")) == "unsupported-media-type"
    assert not ImportRun.objects.exists()


def test_nobody_else_sees_or_touches_an_import(api: Api, fleet: Fleet) -> None:
    address = f"/vehicles/imports/{send(api, BAD).json()['id']}"
    outsider, reader = Api(a_fleet("Südwind")), Api(fleet, ["vehicles.ro"], "Reader")
    for method, path in (("GET", ""), ("GET", "/refused-rows"), ("POST", "/write"), ("POST", "/cancel")):
        assert kind(outsider.send(method, address + path)) == "resource-not-found"
    assert outsider.get("/vehicles/imports").json()["items"] == []
    assert reader.get(address).status_code == 200
    for method, path in (("POST", "/write"), ("POST", "/cancel")):
        assert kind(reader.send(method, address + path)) == "missing-permissions"
    assert kind(send(reader, GOOD)) == "missing-permissions"
    assert ImportRun.objects.get().stage == Stage.CHECKED


def test_a_credential_is_found_by_its_id(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    text = f"telematics_brand,vin,credentials_id\nMERCEDES_BENZ,W1K2060421F123456,{credential.pk}\n"
    assert send(api, text).json()["stage"] == "done"
    assert Vehicle.objects.get().credential == credential


def test_the_header_is_found_or_named(api: Api) -> None:
    below = send(api, "A report;;\n\nname;telematics_brand;qnr\nVan 1;CLOUDBOXX;000000000000000A\n").json()
    assert (below["stage"], below["counts"]["new"]) == ("done", 1)
    rows = "Van 2,CLOUDBOXX,000000000000000B\nVan 3,CLOUDBOX,000000000000000C\n"
    asked = send(api, rows + "Van 4,CLOUDBOXX,000000000000000D\n")
    assert asked.status_code == 400 and "header_row" in str(asked.json())
    assert "Van 2" not in asked.content.decode()
    names = "&".join(f"map={key}%3Dcolumn+{n}" for n, key in ((1, "name"), (2, "telematics_brand"), (3, "qnr")))
    assert send(api, rows, f"?header_row=0&{names}").status_code == 400  # "qnr" is a header, not a field
    body = send(api, rows, f"?header_row=0&{names.replace('qnr', 'telematics_unit_id')}").json()
    assert (body["counts"]["new"], body["problems"][0]["lines"]) == (1, [2])
    refused = api.get(f"/vehicles/imports/{body['id']}/refused-rows").content.decode()
    assert "2," in refused and "Van 3" in refused
    assert send(api, rows, "?header_row=-1").status_code == 400


def test_a_spreadsheets_dates_and_an_encoding_by_name(api: Api, fleet: Fleet) -> None:
    a_credential(fleet, "Berlin")
    row = "name,telematics_brand,vin,credential\nélan,MERCEDES_BENZ,WDB9066331S123456,Berlin\n".encode("cp850")
    asked = send(api, row)
    assert asked.status_code == 400 and "encoding" in str(asked.json())
    assert send(api, row, "?encoding=cp850").json()["counts"]["new"] == 1
    assert Vehicle.objects.get().name == "élan"
    assert send(api, row, "?encoding=klingon").status_code == 400


@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_json_is_a_file(api: Api, indent: int | None) -> None:
    vans = [{"name": f"Van {n}", "telematics_brand": "CLOUDBOXX", "qnr": f"{n:016X}"} for n in (1, 2)]
    body = send(api, json.dumps(vans, indent=indent), Content_Type="application/json").json()
    assert (body["stage"], body["counts"]["new"]) == ("done", 2)
