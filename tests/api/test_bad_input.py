"""The API answers every kind of bad input with the right problem, never with a 500, and writes nothing."""

import gzip
from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from gunicorn.http.errors import InvalidChunkSize

from credentials.models import Credential
from fleetcontrol.api.openapi import TOKEN_PATH, description
from fleetcontrol.api_urls import api as fleet_api
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import a_credential
from vehicles.models import Vehicle

MERCEDES = "/telematics-brands/MERCEDES_BENZ/credentials"


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "A",}', "Line 1, column"),
        (b'{\n"name" "A"}', "Line 2, column 8"),
        (b'{"name": "\xff"}', "Byte 11 is not UTF-8"),
        (b'{"name": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"name": ' + b"9" * 5000 + b"}", "digits"),
        (b"", "required"),
        (b'{"name": "a\nb"}', "Line 1, column"),
    ],
)
def test_what_is_not_json_is_told_where(api: Api, body: bytes, words: str) -> None:
    response = api.post(MERCEDES, body)
    assert kind(response) == ("invalid-json" if body else "validation-error")
    assert words in response.content.decode()
    assert Credential.objects.count() == 0


@pytest.mark.parametrize("text", [r"\u0000", r"a\u0000b", r"\ud800", r"\udc00x"])
def test_text_that_no_database_keeps_is_refused(api: Api, text: str) -> None:
    body = f'{{"name": "A", "client_id": "c", "client_secret": "{text}"}}'.encode()
    response = api.post(MERCEDES, body)
    assert kind(response) == "validation-error"
    assert response.json()["errors"][0]["field"] == "client_secret"
    body = (
        f'{{"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "1", "custom_fields": {{"{text}": "x"}}}}'.encode()
    )
    assert kind(api.post("/vehicles", body)) == "validation-error"
    assert Credential.objects.count() + Vehicle.objects.count() == 0


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"5", b"{}", b"true"])
@pytest.mark.parametrize("path", [MERCEDES, "/vehicles", "/vehicles/move"])
def test_other_json_than_an_object_is_refused(api: Api, path: str, body: bytes) -> None:
    assert kind(api.post(path, body)) == "validation-error"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "x"]
)
def test_other_media_types_are_refused(api: Api, content_type: str) -> None:
    response = api.post(MERCEDES, b'{"name": "A"}', Content_Type=content_type)
    assert (kind(response), response.status_code) == ("unsupported-media-type", 415)


def test_a_compressed_body_is_refused(api: Api) -> None:
    response = api.post(MERCEDES, gzip.compress(b'{"name": "A"}'), Content_Encoding="gzip")
    assert (kind(response), response.status_code) == ("unsupported-media-type", 415)
    assert "uncompressed" in response.json()["detail"]
    assert kind(api.post(MERCEDES, b"{}", Content_Encoding="identity")) == "validation-error"


def test_a_token_is_asked_for_with_a_form(api: Api) -> None:
    for content_type in ("application/json", "multipart/form-data", "multipart/form-data; boundary=x"):
        response = api.web.generic("POST", "/auth/oauth/token", b"{}", content_type=content_type)
        assert (kind(response), response.status_code) == ("unsupported-media-type", 415)


def test_a_huge_body_is_refused(api: Api) -> None:
    response = api.post(MERCEDES, b'{"name": "' + b"a" * 3_000_000 + b'"}')
    assert (kind(response), response.status_code) == ("payload-too-large", 413)


def test_a_body_in_chunks_is_read_and_limited(api: Api) -> None:
    class Broken(BytesIO):
        def read(self, _size: int | None = None) -> bytes:
            raise InvalidChunkSize(b"ZZ")

    def send(body: bytes | BytesIO) -> Any:
        api.sign_in()
        source = BytesIO(body) if isinstance(body, bytes) else body
        given: dict[str, Any] = {"wsgi.input": source, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        given["CONTENT_TYPE"] = "application/json"
        headers = {"Authorization": f"Bearer {api.token}", "Transfer-Encoding": "chunked"}
        return api.web.generic("POST", "/vehicles", headers=headers, **given)

    assert send(b'{"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "0123456789ABCDEF"}').status_code == 201
    assert kind(send(b"x" * 3_000_000)) == "payload-too-large"
    assert kind(send(Broken())) == "validation-error"


@pytest.mark.parametrize("path", ["/vehicles/", "/vehicles/x/y", "/credentials/x", "/auth/x", "/telematics-brands/NIU"])
def test_other_paths_are_problems_too(api: Api, path: str) -> None:
    assert kind(api.get(path)) == "resource-not-found"


def test_no_operation_takes_a_parameter_that_it_does_not_name(api: Api) -> None:
    operations = [
        (method.upper(), path.format(brand="MERCEDES_BENZ", id="01F62857KMPG2NE2GK1W2N3QYS"), operation)
        for path, methods in description(fleet_api)["paths"].items()
        for method, operation in methods.items()
        if path != TOKEN_PATH
    ]
    for method, path, operation in operations:
        answer = api.send(method, f"{path}?verbose=true")
        (error,) = answer.json()["errors"]
        assert (kind(answer), error["field"]) == ("validation-error", "verbose"), (method, path)
        assert error["message"].startswith("There is no such parameter.")
        known = {one["name"] for one in operation["parameters"] if one.get("in") == "query"}
        named = error["message"].partition("parameters are: ")[2].rstrip(".")
        assert set(filter(None, named.split(", "))) == known, (method, path)


def test_a_body_where_none_is_taken_is_refused(api: Api, fleet: Fleet) -> None:
    path = f"/telematics-brands/NIU/credentials/{a_credential(fleet, brand='NIU').pk}/check"
    refused = api.post(path, b'{"client_secret": "x"}')
    assert (kind(refused), refused.json()["errors"][0]["field"]) == ("validation-error", "body")
    assert "body" not in api.post(path, b"{}").content.decode()


def test_odd_ids_are_not_found(api: Api) -> None:
    for odd in ("%00", "x%00y", "%ff%fe", "..", "'", "a" * 3000, "🚗", "%F0%9F%9A%97", "1 OR 1=1"):
        assert kind(api.get(f"/vehicles/{odd}")) == "resource-not-found", odd
        assert kind(api.get(f"/telematics-brands/{odd}/credentials")) == "resource-not-found", odd
        assert kind(api.get(f"{MERCEDES}/{odd}")) == "resource-not-found", odd


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "DELETE", "PATCH", "BREW"])
def test_other_methods_are_named(api: Api, method: str) -> None:
    response = api.send(method, "/vehicles")
    assert (kind(response), response.status_code) == ("method-not-allowed", 405)
    assert sorted(response["Allow"].split(", ")) == ["GET", "POST"]
    assert kind(Client().get("/auth/oauth/token")) == "method-not-allowed"


def test_head_is_get_without_a_body(api: Api) -> None:
    response = api.send("HEAD", "/vehicles")
    assert (response.status_code, response.content) == (200, b"")


def test_a_failure_nobody_expected_is_a_problem_with_its_flow_id(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is on fire, password=hunter2")

    api.sign_in()
    monkeypatch.setattr("vehicles.models.Vehicle.add", broken)
    api.web.raise_request_exception = False
    response = api.post("/vehicles", {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "1"})
    assert (kind(response), response.status_code) == ("internal-server-error", 500)
    assert "hunter2" not in response.content.decode()
    assert any(record.exc_info for record in caplog.records)


def test_bad_idempotency_keys_are_refused(api: Api) -> None:
    for bad in ("", "x" * 256, "ä"):
        response = api.post(MERCEDES, {"name": "A", "client_id": "c", "client_secret": "s"}, Idempotency_Key=bad)
        assert kind(response) == "validation-error"


def test_the_language_of_problems_follows_the_request(api: Api) -> None:
    problems = {language: api.get("/vehicles?limit=0", Accept_Language=language) for language in ("de", "en")}
    assert {kind(problem) for problem in problems.values()} == {"validation-error"}
    messages = {language: problem.json()["errors"][0]["message"] for language, problem in problems.items()}
    assert messages == {"de": "Schreiben Sie eine Zahl ab 1.", "en": "Write a number from 1 on."}


def test_a_property_that_stands_twice_is_refused(api: Api) -> None:
    path = "/telematics-brands/NIU/credentials"
    response = api.send("POST", path, b'{"name": "a", "name": "b", "client_id": "c", "client_secret": "s"}')
    assert kind(response) == "validation-error"
    assert response.json()["errors"] == [{"field": "name", "message": "This property stands here twice."}]


def test_another_host_name_is_refused(api: Api) -> None:
    response = api.get("/vehicles", Host="evil.example")
    assert kind(response) == "validation-error" and "evil" not in response.content.decode()


def test_what_pydantic_finds_is_told_in_the_readers_language(api: Api) -> None:
    body = {"telematics_brand": "CLOUDBOXX", "name": "x" * 101, "operation_status": "PARKED", "tags": ["x"] * 101}
    response = api.post("/vehicles", body, Accept_Language="de")
    words = {error["field"]: error["message"] for error in response.json()["errors"]}
    assert words["name"] == "Schreiben Sie höchstens 100 Zeichen."
    assert "PARKED" not in words["operation_status"] and "OPERATING" in words["operation_status"]
    assert words["tags"] == "Senden Sie höchstens 100 davon."


def test_a_body_that_is_announced_as_too_large_is_refused(api: Api) -> None:
    response = api.send("POST", "/vehicles", b"{}", Content_Length="300000000")
    assert (kind(response), response.status_code) == ("payload-too-large", 413)
