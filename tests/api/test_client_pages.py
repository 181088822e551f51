"""The pages of API clients: a secret is shown once, and a revoked client no longer gets in."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, token
from tests.support.factory import TEST
from tests.support.forms import version_shown

ADD = {"name": "ERP", "read": ["vehicles.ro"], "write": ["telematics-credentials"], "lasts": "90", "once": "t0ken"}


def url(name: str, fleet: Fleet, *args: str) -> str:
    return reverse(name, args=[fleet.slug, *args])


def secret_on(page: str) -> str:
    found = re.search(r'id="client-secret">(fcs_[^<]+)<', page)
    assert found
    return found[1]


def test_adding_shows_the_secret_exactly_once(fleet: Fleet, as_alice: Client) -> None:
    response = as_alice.post(url("clients:add", fleet), ADD)
    client = ApiClient.objects.get()
    secret = secret_on(response.content.decode())
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert token(client.client_id, secret).status_code == 200
    assert client.permissions == ["vehicles.ro", "telematics-credentials"]
    assert client.ends_on is not None
    reload = as_alice.post(url("clients:add", fleet), ADD, follow=True)
    assert secret not in reload.content.decode() and "fcs_" not in reload.content.decode()
    assert "fcs_" not in as_alice.get(url("clients:index", fleet)).content.decode()
    assert ApiClient.objects.count() == 1
    assert AuditEvent.objects.get(action="client.add").actor_label == "Alice"


@pytest.mark.parametrize(
    ("change", "words"),
    [({"name": ""}, "Enter a name."), ({"read": [], "write": []}, "Choose at least one permission."),
     ({"read": ["everything"]}, "everything"), ({"name": "a\x00b"}, "Null characters")],
)  # fmt: skip
def test_what_is_missing_is_said_at_its_field(
    fleet: Fleet, as_alice: Client, change: dict[str, str], words: str
) -> None:
    response = as_alice.post(url("clients:add", fleet), ADD | change)
    assert response.status_code == 422
    assert words in response.content.decode()
    assert ApiClient.objects.count() == 0


def test_a_taken_name_is_said_at_its_field(fleet: Fleet, as_alice: Client) -> None:
    ApiClient.add(fleet=fleet, actor=TEST, name="erp", permissions=["vehicles"])
    response = as_alice.post(url("clients:add", fleet), ADD)
    assert response.status_code == 422
    assert "This fleet has an API client of this name already." in response.content.decode()


def test_replacing_shows_a_second_secret_and_the_list_both(fleet: Fleet, as_alice: Client) -> None:
    api = Api(fleet)
    replace = url("clients:replace_secret", fleet, api.client.client_id)
    page = as_alice.post(replace, {"overlap": "7d"}).content.decode()
    assert token(api.client.client_id, secret_on(page)).status_code == 200
    assert token(api.client.client_id, api.secret).status_code == 200
    assert "Old secret works until" in as_alice.get(url("clients:index", fleet)).content.decode()
    assert "A replaced secret still works until" in as_alice.get(replace).content.decode()
    stop = url("clients:stop_former", fleet, api.client.client_id)
    assert "Stop the old secret of" in as_alice.get(stop).content.decode()
    assert token(api.client.client_id, api.secret).status_code == 200
    as_alice.post(stop)
    assert as_alice.get(stop)["Location"] == url("clients:index", fleet)
    assert token(api.client.client_id, api.secret).status_code == 401
    assert "Old secret works until" not in as_alice.get(url("clients:index", fleet)).content.decode()


def test_permissions_are_changed_and_an_ended_client_is_marked(fleet: Fleet, as_alice: Client) -> None:
    api = Api(fleet)
    path = url("clients:change", fleet, api.client.client_id)
    assert 'value="vehicles.ro"' in as_alice.get(path).content.decode()
    as_alice.post(path, {"read": ["vehicles.ro"], "ends_on": "2099-12-31"} | version_shown(as_alice, path))
    api.client.refresh_from_db()
    assert api.client.permissions == ["vehicles.ro"]
    past = {"read": ["vehicles.ro"], "ends_on": "2001-01-01"}
    assert as_alice.post(path, past | version_shown(as_alice, path)).status_code == 422


def test_revoking_asks_first_and_tells_the_last_use(fleet: Fleet, as_alice: Client) -> None:
    api = Api(fleet)
    api.get("/vehicles")
    path = url("clients:revoke", fleet, api.client.client_id)
    page = as_alice.get(path).content.decode()
    assert "127.0.0.1" in page and "Revoke ERP" in page
    as_alice.post(path)
    assert api.get("/vehicles").status_code == 401
    assert "Revoked" in as_alice.get(url("clients:index", fleet)).content.decode()
    refused = as_alice.post(url("clients:replace_secret", fleet, api.client.client_id), {"overlap": "now"})
    assert refused.status_code == 422


def test_the_list_takes_as_many_queries_for_ten_as_for_one(fleet: Fleet, as_alice: Client) -> None:
    as_alice.get(url("clients:index", fleet))  # the first request records her session
    counts = []
    for names in (["A"], [f"B{number}" for number in range(9)]):
        for name in names:
            ApiClient.add(fleet=fleet, actor=TEST, name=name, permissions=["vehicles"])
        with CaptureQueriesContext(connection) as queries:
            as_alice.get(url("clients:index", fleet))
        counts.append(len(queries))
    assert counts[0] == counts[1]
