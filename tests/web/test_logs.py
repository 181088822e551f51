"""Log lines are JSON with the flow ID and without secrets. Error reports show no values."""

import json
import logging
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.test import Client, RequestFactory
from django.views.debug import ExceptionReporter

from fleetcontrol.people.models import Fleet, User
from fleetcontrol.seal import seal
from fleetcontrol.web.error_report import NoValues
from fleetcontrol.web.logs import JsonLines, flow, without_secrets
from tests.support import factory

FLOW_ID = "01F62857KMPG2NE2GK1W2N3QYS"


@pytest.fixture
def lines() -> Iterator[StringIO]:
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("fleetcontrol")
    requests, level = logging.getLogger("fleetcontrol.requests"), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    requests.setLevel(logging.INFO)
    yield out
    logger.removeHandler(handler)
    logger.setLevel(level)
    requests.setLevel(logging.NOTSET)


def test_a_line_is_json_with_the_flow_id(lines: StringIO) -> None:
    with flow(FLOW_ID):
        logging.getLogger("fleetcontrol.example").warning("Done with %s", "that", extra={"head": "12:ab"})
    line = json.loads(lines.getvalue())
    assert {key: line[key] for key in ("level", "logger", "message", "flow_id", "head")} == {
        "level": "WARNING",
        "logger": "fleetcontrol.example",
        "message": "Done with that",
        "flow_id": FLOW_ID,
        "head": "12:ab",
    }


def test_what_looks_like_a_secret_is_hidden_in_every_value_of_a_line(lines: StringIO) -> None:
    extra = {"head": "password: hunter2", "tail": 'say "hi"'}
    logging.getLogger("fleetcontrol.example").warning("Sent client_secret=%s", "hunter2", extra=extra)
    line = json.loads(lines.getvalue())
    assert "hunter2" not in lines.getvalue()
    assert (line["message"], line["head"]) == ("Sent client_secret=[hidden]", "password: [hidden]")
    assert line["tail"] == 'say "hi"'


def test_a_request_is_one_line_without_what_its_address_holds(lines: StringIO, client: Client, db: None) -> None:
    client.get("/invitations/the-token-of-a-link/", headers={"X-Flow-ID": FLOW_ID})
    line = json.loads(lines.getvalue().splitlines()[-1])
    assert (line["method"], line["route"], line["status"]) == ("GET", "invitations/<str:token>/", 404)
    assert line["flow_id"] == FLOW_ID
    assert "the-token-of-a-link" not in lines.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "client_secret=hunter2-supersecret&grant_type=x",
        '{"client_secret": "hunter2-supersecret"}',
        "password: hunter2-supersecret",
        "Authorization: Bearer hunter2-supersecret",
        "Not Found: /invitations/hunter2-supersecret/",
        "/accounts/password/reset/key/1-hunter2-supersecret/",
        "postgres://fleet:hunter2-supersecret@db/fleet",
        "-----BEGIN EC PRIVATE KEY-----\nhunter2-supersecret\n-----END EC PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    assert "hunter2-supersecret" not in without_secrets(text)


def test_sealed_texts_and_tokens_are_taken_out() -> None:
    token = seal("x", "y").token.decode()
    assert token not in without_secrets(f"row {token} is bad")
    assert "eyJhbGciOiJ" not in without_secrets("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl")


def test_an_error_report_shows_no_values(settings: object) -> None:
    secret = factory.SECRET
    request = RequestFactory().post("/x/", {"client_secret": secret})
    try:
        raise ValueError("something")
    except ValueError:
        report = ExceptionReporter(request, *sys.exc_info())
        report.filter = NoValues()
        text = report.get_traceback_text() + report.get_traceback_html()
    assert secret not in text
    assert "something" in text


@pytest.mark.django_db
def test_no_secret_reaches_the_log_while_credentials_are_worked_with(
    lines: StringIO, as_alice: Client, alice: User, fleet: Fleet
) -> None:
    credential = factory.a_credential(fleet)
    credential.rotate(actor=factory.TEST, values={"client_secret": "another-" + factory.SECRET})
    as_alice.get(f"/f/{fleet.slug}/credentials/{credential.pk}/")
    assert lines.getvalue().count("\n") == 1
    assert factory.SECRET not in lines.getvalue()
