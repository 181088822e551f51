"""How long an OEM's token is kept, and how programs report one that the OEM no longer takes."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from credentials import brands, duties
from credentials.models import Credential, OemToken
from credentials.models.token import REPORT_AGAIN_AFTER
from credentials.oem.demo import DemoOem
from credentials.oem.sign_in import sign_in
from fleetcontrol import outbound
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind
from tests.support.factory import TEST, a_credential, a_vehicle

DAY = 24 * 3600


def a_tesla(fleet: Fleet, secret: str = "right-1") -> Credential:
    return a_credential(fleet, brand="TESLA", values={"client_secret": secret, "region": "EU"})


def path_of(credential: Credential) -> str:
    return f"/telematics-brands/{credential.brand}/credentials/{credential.pk}/access-token"


def get_token(api: Api, credential: Credential, refused: str = "") -> str:
    answer = api.post(path_of(credential), {"refused_token": refused} if refused else None)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def an_answer(monkeypatch: pytest.MonkeyPatch, expires_in: str) -> None:
    """The OEM answers a token with this in JSON as its life."""
    body = b'{"access_token": "t-1", "expires_in": %s}' % expires_in.encode()
    monkeypatch.setattr(outbound, "post", lambda *args, **kwargs: outbound.Answer(200, {}, body))


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        ("300", 300),
        ('"300"', 300),
        ("300.9", 300),
        ('"3600.0"', 3600),
        (str(DAY), DAY),
        ('"1675667857713"', 60),  # a point in time, in milliseconds
        ("1675667857", 60),
        ("3600000", 60),  # milliseconds
        (str(DAY + 1), 60),
        ("0", 60),
        ("-5", 60),
        ('"soon"', 60),
        ('"2027-01-01T00:00:00Z"', 60),
        ("null", 60),
        ("true", 60),
        ("[300]", 60),
        ("NaN", 60),
        ("Infinity", 60),
        ("1e400", 60),
        ('"' + "9" * 5000 + '"', 60),
        ('"٣٠٠"', 60),
    ],
)
def test_a_life_that_is_not_understood_counts_as_a_minute(
    monkeypatch: pytest.MonkeyPatch, expires_in: str, life: int
) -> None:
    an_answer(monkeypatch, expires_in)
    verdict = sign_in(brands.find("TESLA"), "client1", {"region": "EU"}, {"client_secret": "x"})
    assert (verdict.code, verdict.expires_in) == ("works", life)


def test_a_point_in_time_is_not_lent_for_years(api: Api, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    an_answer(monkeypatch, '"1675667857713"')
    answer = api.post(path_of(a_tesla(fleet))).json()
    assert 55 <= answer["expires_in"] <= 60
    assert OemToken.objects.get().ends_at < timezone.now() + timedelta(minutes=1)


def test_a_brand_can_say_that_its_tokens_live_longer(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    an_answer(monkeypatch, str(30 * DAY))
    tesla = brands.find("TESLA")
    assert tesla.sign_in is not None
    patient = replace(tesla, sign_in=replace(tesla.sign_in, longest_life=60 * DAY))
    monkeypatch.setattr(brands, "catalogue", lambda: MappingProxyType({"TESLA": patient}))
    loan = a_tesla(fleet).lend_token(actor=TEST)
    assert loan.ends_at > timezone.now() + timedelta(days=29)


def test_a_token_that_was_kept_for_years_is_lent_no_more(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    old = get_token(api, credential)
    in_years = timezone.now() + timedelta(days=1900)
    OemToken.objects.update(ends_at=in_years, renew_at=in_years)
    assert get_token(api, credential) != old


def test_a_check_renews_the_kept_token(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    old = get_token(api, credential)
    token = credential.verify(actor=TEST).token
    assert token is not None
    assert get_token(api, credential) == token.reveal() != old
    assert len(oem.received) == 2


def test_a_check_of_what_no_program_uses_keeps_no_token(fleet: Fleet, oem: DemoOem) -> None:
    a_tesla(fleet).verify(actor=TEST)
    assert not OemToken.objects.exists()


def test_a_check_that_is_refused_ends_the_kept_token(
    api: Api, fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = a_tesla(fleet)
    get_token(api, credential)
    refusal = outbound.Answer(401, {}, b'{"error": "invalid_client"}')
    with monkeypatch.context() as patch:
        patch.setattr(outbound, "post", lambda *args, **kwargs: refusal)
        credential.verify(actor=TEST)
    assert kind(api.post(path_of(credential))) == "oem-sign-in-failed"
    assert OemToken.objects.get().value is None


def test_a_check_without_an_answer_leaves_the_kept_token(
    api: Api, fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = a_tesla(fleet)
    old = get_token(api, credential)
    trouble = outbound.Answer(500, {}, b"")
    with monkeypatch.context() as patch:
        patch.setattr(outbound, "post", lambda *args, **kwargs: trouble)
        credential.verify(actor=TEST)
    assert get_token(api, credential) == old


def test_a_dead_token_is_reported_and_replaced(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    dead = get_token(api, credential)
    new = get_token(api, credential, refused=dead)
    assert new != dead
    assert get_token(api, credential) == new
    assert len(oem.received) == 2


def test_a_report_of_another_token_gets_the_kept_one(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    kept = get_token(api, credential)
    assert get_token(api, credential, refused="one-from-yesterday") == kept
    assert len(oem.received) == 1


def test_a_report_without_a_kept_token_is_an_ordinary_request(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    assert get_token(api, a_tesla(fleet), refused="one-from-yesterday").startswith("demo-")
    assert len(oem.received) == 1


def test_reports_cause_at_most_one_sign_in_a_minute(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    second = get_token(api, credential, refused=get_token(api, credential))
    for _time in range(3):
        too_soon = api.post(path_of(credential), {"refused_token": second})
        assert (kind(too_soon), too_soon.status_code) == ("too-many-requests", 429)
        assert 50 < int(too_soon["Retry-After"]) <= 60
    assert get_token(api, credential) == second  # whoever does not report it goes on with it
    assert len(oem.received) == 2
    OemToken.objects.update(refused_at=timezone.now() - REPORT_AGAIN_AFTER)
    assert get_token(api, credential, refused=second) != second
    assert len(oem.received) == 3


def test_the_minute_counts_for_each_credential(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    first = a_tesla(fleet)
    second = a_credential(fleet, name="Two", brand="TESLA", values={"client_secret": "right-2", "region": "EU"})
    for credential in (first, second):
        get_token(api, credential, refused=get_token(api, credential))
    assert len(oem.received) == 4


def test_the_minute_survives_a_failed_sign_in_and_the_clock(
    api: Api, fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = a_tesla(fleet)
    dead = get_token(api, credential)
    with monkeypatch.context() as patch:
        patch.setattr(outbound, "post", lambda *args, **kwargs: outbound.Answer(500, {}, b""))
        assert kind(api.post(path_of(credential), {"refused_token": dead})) == "oem-sign-in-failed"
    assert duties.erase_oem_tokens() == ""
    Credential.objects.update(checked_at=timezone.now() - timedelta(seconds=11))
    new = get_token(api, credential)
    assert new != dead
    assert kind(api.post(path_of(credential), {"refused_token": new})) == "too-many-requests"
    OemToken.objects.update(refused_at=timezone.now() - REPORT_AGAIN_AFTER * 2, renew_at=timezone.now())
    assert duties.erase_oem_tokens() == "1 erased"


def test_while_the_oem_is_left_alone_a_report_takes_nothing_from_others(
    api: Api, fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = a_tesla(fleet)
    kept = get_token(api, credential)
    with monkeypatch.context() as patch:
        patch.setattr(outbound, "post", lambda *args, **kwargs: outbound.Answer(500, {}, b""))
        credential.verify(actor=TEST)
    assert kind(api.post(path_of(credential), {"refused_token": kept})) == "oem-sign-in-failed"
    assert get_token(api, credential) == kept
    assert len(oem.received) == 1


def test_a_vehicles_token_is_reported_as_well(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    vehicle = a_vehicle(fleet, a_tesla(fleet), telematics_unit_id="5YJ3E1EA7KF317000")
    path = f"/vehicles/{vehicle.pk}/access-token"
    dead = api.post(path).json()["access_token"]
    assert api.post(path, {"refused_token": dead}).json()["access_token"] != dead


def test_a_reported_token_is_neither_logged_nor_kept(
    api: Api, fleet: Fleet, oem: DemoOem, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    credential = a_tesla(fleet)
    get_token(api, credential, refused="reported-Zx81")
    answer = api.post(path_of(credential), {"refused_token": "reported-Zx81", "more": 1})
    assert "reported-Zx81" not in answer.content.decode() + caplog.text
    assert "reported-Zx81" not in str(list(AuditEvent.objects.values()))
    assert OemToken.objects.get().refused_at is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"refused_token": 7}', "refused_token"),
        (b'{"refused_token": "%s"}' % (b"a" * 16_385), "refused_token"),
        (b'{"token": "a"}', "token"),
        (b'{"client_secret": "a"}', "client_secret"),
    ],
)
def test_a_body_of_another_form_is_refused(api: Api, fleet: Fleet, body: bytes, field: str) -> None:
    answer = api.post(path_of(a_tesla(fleet)), body)
    assert (kind(answer), answer.json()["errors"][0]["field"]) == ("validation-error", field)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"refused_token": null}', b'{"refused_token": ""}', b"null"])
def test_the_body_may_be_left_out(api: Api, fleet: Fleet, oem: DemoOem, body: bytes) -> None:
    assert api.post(path_of(a_tesla(fleet)), body).status_code == 200


def test_odd_characters_in_a_report_are_no_error(api: Api, fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    get_token(api, credential)
    for odd in (b'"\\u00fc\\ud83d\\ude97"', b'"a\\r\\nb"'):
        assert api.post(path_of(credential), b'{"refused_token": %s}' % odd).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_many_reports_at_once_cause_one_sign_in(fleet: Fleet, oem: DemoOem) -> None:
    api, credential = Api(fleet), a_tesla(fleet)
    dead = get_token(api, credential)

    def report(_number: int) -> Any:
        try:
            return get_token(api, credential, refused=dead)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        answers = set(threads.map(report, range(12)))
    assert len(answers) == 1
    assert dead not in answers
    assert len(oem.received) == 2
