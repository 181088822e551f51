"""Using a credential through the API: a client gets the OEM's token, and the secret only with its own permission."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from credentials.models import Credential, OemToken
from credentials.models import credential as credential_model
from credentials.oem.demo import DemoOem
from fleetcontrol import outbound
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import SECRET, TEST, a_credential, a_fleet, a_tesla, a_vehicle


def path_of(credential: Credential, what: str) -> str:
    return f"/telematics-brands/{credential.brand}/credentials/{credential.pk}/{what}"


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def test_checking_answers_the_verdict(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    works = api.post(path_of(a_tesla(fleet), "check")).json()
    assert (works["outcome"], works["status"]) == ("works", "WORKING")
    assert works["checked_at"].endswith("Z")
    refused = api.post(path_of(a_tesla(fleet, "wrong-1"), "check")).json()
    assert (refused["outcome"], refused["status"]) == ("refused", "REJECTED")
    assert "Check the client ID and secret" in refused["reason"]
    assert api.post(path_of(a_credential(fleet, brand="NIU"), "check")).json()["outcome"] == "cannot_check"


def test_a_token_is_lent_without_the_secret(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    response = api.post(path_of(credential, "access-token"))
    body = response.json()
    assert response.status_code == 200
    assert body["access_token"].startswith("demo-")
    assert 0 < body["expires_in"] <= 86_400
    assert response["Cache-Control"] == "no-store"
    assert "right-1" not in response.content.decode()
    event = AuditEvent.objects.get(action="credential.lend_token")
    assert (event.actor_id, event.target_id) == (api.client.client_id, credential.pk)
    assert body["access_token"] not in str(event.changes)
    credential.refresh_from_db()
    assert credential.last_used_at is not None


def test_a_token_is_kept_sealed_until_shortly_before_its_end(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    first, second = (api.post(path_of(credential, "access-token")).json()["access_token"] for _time in range(2))
    assert first == second
    assert len(oem.received) == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT token::text FROM credentials_oemtoken token")
        assert first not in cursor.fetchone()[0]
    kept = OemToken.objects.get()
    assert kept.renew_at < kept.ends_at
    OemToken.objects.update(renew_at=timezone.now() - timedelta(seconds=1))
    assert api.post(path_of(credential, "access-token")).status_code == 200
    assert len(oem.received) == 2


def test_a_new_secret_gives_a_new_token(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    api.post(path_of(credential, "access-token"))
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    api.post(path_of(credential, "access-token"))
    assert [one.values["client_secret"] for one in oem.received] == ["right-1", "right-2"]


def test_a_vehicle_lends_its_credentials_token(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    vehicle = a_vehicle(fleet, a_tesla(fleet), telematics_unit_id="5YJ3E1EA7KF317000")
    assert api.post(f"/vehicles/{vehicle.pk}/access-token").status_code == 200
    assert AuditEvent.objects.get(action="credential.lend_token").changes == {"vehicle": [None, vehicle.name]}
    assert kind(api.post(f"/vehicles/{a_vehicle(fleet).pk}/access-token")) == "conflicting-resource"


def test_a_refusal_is_told_and_the_oem_left_alone_for_a_moment(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "wrong-1")
    refused = [api.post(path_of(credential, "access-token")) for _time in range(3)]
    assert [(kind(one), one.status_code) for one in refused] == [("oem-sign-in-failed", 502)] * 3
    assert "Tesla refused these details" in refused[0].json()["detail"]
    assert len(oem.received) == 1
    assert all(0 < int(one["Retry-After"]) <= 10 for one in refused)
    assert api.get(path_of(credential, "")[:-1]).json()["status"] == "REJECTED"


def test_an_oem_that_names_a_time_is_left_alone_that_long(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "busy-1")
    first = api.post(path_of(credential, "access-token"))
    assert (kind(first), first.status_code) == ("oem-sign-in-failed", 502)
    assert 50 < int(first["Retry-After"]) <= 60
    Credential.objects.update(checked_at=timezone.now() - timedelta(seconds=20))
    again = api.post(path_of(credential, "access-token"))
    assert 30 < int(again["Retry-After"]) <= 40
    assert len(oem.received) == 1
    Credential.objects.update(checked_at=timezone.now() - timedelta(seconds=61))
    api.post(path_of(credential, "access-token"))
    assert len(oem.received) == 2


def test_a_brand_without_public_sign_in_says_so(api: Api, fleet: Fleet) -> None:
    response = api.post(path_of(a_credential(fleet, brand="NIU"), "access-token"))
    assert kind(response) == "conflicting-resource"
    assert "how to sign in is not public" in response.json()["detail"]


def test_what_keeps_fleetcontrol_from_signing_in_is_told_alike_each_time(
    api: Api, fleet: Fleet, oem: DemoOem, settings: Any
) -> None:
    credential = a_tesla(fleet)
    assert api.post(path_of(credential, "access-token")).status_code == 200
    OemToken.objects.all().delete()
    settings.FERNET_KEYS = ["another key"]
    responses = [api.post(path_of(credential, "access-token")) for _time in range(2)]
    assert [(kind(one), one.status_code, one.has_header("Retry-After")) for one in responses] == [
        ("conflicting-resource", 409, False)
    ] * 2
    assert len(oem.received) == 1


def test_a_secret_is_released_by_permission_with_an_event_each_time(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    responses = [api.get(path_of(credential, "secret")) for _time in range(2)]
    assert responses[0].json()["secret"] == {"client_secret": SECRET}
    assert responses[0].json()["client_id"] == "client1"
    assert responses[0]["Cache-Control"] == "no-store"
    events = AuditEvent.objects.filter(action="credential.release")
    assert [event.target_id for event in events] == [credential.pk] * 2
    assert SECRET not in str([event.changes for event in events])
    credential.refresh_from_db()
    assert credential.last_used_at is not None


def test_a_vehicle_releases_what_it_is_reached_with(api: Api, fleet: Fleet) -> None:
    okai = a_vehicle(fleet, telematics_brand="OKAI", telematics_unit_id="490154203237518", password="unit-pw")
    shared = a_vehicle(fleet, a_credential(fleet), telematics_unit_id="5YJ3E1EA7KF317000")
    assert api.get(f"/vehicles/{okai.pk}/secret").json()["secret"] == {"password": "unit-pw"}
    assert api.get(f"/vehicles/{shared.pk}/secret").json()["secret"] == {"client_secret": SECRET}
    assert kind(api.get(f"/vehicles/{a_vehicle(fleet).pk}/secret")) == "conflicting-resource"
    actions = AuditEvent.objects.filter(action__endswith=".release").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["vehicle.release", "credential.release"]


@pytest.mark.parametrize("what", ["secret", "access-token"])
def test_both_need_their_own_permission_and_fleet(fleet: Fleet, what: str) -> None:
    credential = a_credential(fleet)
    everything_else = ["telematics-credentials", "vehicles", "vehicle-lifecycle"]
    method = "GET" if what == "secret" else "POST"
    path = path_of(credential, what)
    assert kind(Api(fleet, everything_else).send(method, path)) == "missing-permissions"
    assert kind(Api(a_fleet("Südwind")).send(method, path)) == "resource-not-found"


def test_releases_are_limited(api: Api, fleet: Fleet) -> None:
    credential = a_credential(fleet)
    for _time in range(60):
        assert api.get(path_of(credential, "secret")).status_code == 200
    assert kind(api.get(path_of(credential, "secret"))) == "too-many-requests"
    assert AuditEvent.objects.filter(action="credential.release").count() == 60


def test_a_secret_sealed_with_a_lost_key_is_a_plain_sentence(api: Api, fleet: Fleet, settings: Any) -> None:
    credential = a_credential(fleet)
    api.sign_in()
    settings.FERNET_KEYS = ["another key"]
    response = api.get(path_of(credential, "secret"))
    assert (kind(response), response.status_code) == ("secret-cannot-be-opened", 503)
    assert "FERNET_KEYS" in response.json()["detail"]
    assert api.get("/credentials").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("secret", "status"), [("right-1", 200), ("wrong-1", 502)])
def test_one_sign_in_serves_everyone_who_waits(fleet: Fleet, oem: DemoOem, secret: str, status: int) -> None:
    api, credential = Api(fleet), a_tesla(fleet, secret)
    api.sign_in()

    def ask(_number: int) -> int:
        try:
            return int(api.post(path_of(credential, "access-token")).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(ask, range(12))) == [status] * 12
    assert len(oem.received) == 1


@pytest.mark.django_db(transaction=True)
def test_a_slow_oem_does_not_let_any_number_wait(fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request signs in, one waits, and every further one is rejected at once."""
    monkeypatch.setattr(credential_model, "MOST_WAITING", 1)
    monkeypatch.setattr(outbound, "SECONDS", 2.0)
    api, credential = Api(fleet), a_tesla(fleet, "slow-1")
    api.sign_in()

    def ask() -> tuple[int, str]:
        try:
            answer = api.post(path_of(credential, "access-token"))
            return answer.status_code, answer.get("Retry-After", "")
        finally:
            connection.close()

    def waiting() -> int:
        with connection.cursor() as cursor:
            cursor.execute(credential_model.WAITING, [credential_model.SIGN_IN_LOCK])
            return int(cursor.fetchone()[0])

    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(ask) for _number in range(2)]
        while not waiting():
            time.sleep(0.02)
        assert ask() == (429, "1")
        assert {one.result()[0] for one in held} == {502}
