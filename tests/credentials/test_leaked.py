"""A secret that leaked: known from the moment somebody says so, whatever becomes of its replacement."""

import csv
import re
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import translation

from credentials.condition import condition
from credentials.models import Credential, NothingToRevertTo, SecretRefused, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.credential_pages import at, words
from tests.support.factory import TEST

pytestmark = pytest.mark.django_db


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    values = {"client_secret": "right-1", "region": "EU"}
    return factory.a_credential(fleet, name="Tesla Europe", brand="TESLA", values=values, verify_first=True)


def reports() -> list[dict[str, object]]:
    return list(AuditEvent.objects.filter(action="credential.report_leak").values_list("changes", flat=True))


def leaked(credential: Credential) -> bool:
    return Credential.objects.filter(pk=credential.pk, leaked_at__isnull=False).exists()


@pytest.mark.parametrize(
    "typed",
    [
        {"client_secret": "wrong-2"},
        {"client_secret": "trouble-2"},
        {"client_secret": "scopes-2"},
        {"client_secret": ""},
        {"client_secret": "right-1"},
        {"client_secret": "right-2", "ends_on": "never"},
        {"client_secret": "right-2", "ends_on": "2001-01-01"},
    ],
    ids=["refused", "no answer", "scopes", "nothing typed", "the same", "no date", "past date"],
)
def test_a_replacement_that_fails_leaves_it_known_that_the_secret_leaked(
    fleet: Fleet, as_bob: Client, credential: Credential, typed: dict[str, str]
) -> None:
    answer = as_bob.post(at("rotate", fleet, credential), typed | {"over": "1", "why": "leaked"})
    assert answer.status_code == 422
    credential.refresh_from_db()
    assert (credential.status, credential.secret.version) == (Status.WORKING, 1)
    assert reports() == [{"version": [None, 1]}]
    detail = words(as_bob.get(at("detail", fleet, credential)))
    assert "Secret leaked Since" in detail
    assert re.search(r"The secret of Tesla Europe leaked\. It was reported on .* Revoke it at Tesla", detail)
    assert "Bob reported that the secret of Tesla Europe leaked" in detail


def test_a_crash_on_the_way_leaves_it_known_too(
    fleet: Fleet, as_bob: Client, credential: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Credential, "rotate", crash)
    as_bob.raise_request_exception = False
    typed = {"client_secret": "right-2", "over": "1", "why": "leaked"}
    assert as_bob.post(at("rotate", fleet, credential), typed).status_code == 500
    assert leaked(credential)


def test_it_is_the_worst_that_can_be_said_and_needs_attention(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    rejected = factory.a_credential(fleet, name="Refused")
    for one in (rejected, credential):
        factory.a_vehicle(fleet, one)
    Credential.objects.filter(pk=rejected.pk).update(status=Status.REJECTED)
    assert [*Credential.objects.needing_attention()] == [rejected]
    credential.report_leak(actor=TEST)
    assert {*Credential.objects.needing_attention()} == {credential, rejected}
    text = words(as_bob.get(at("index", fleet)))
    assert re.search(r"The secret of Tesla Europe leaked\..*Refused can’t sign in\.", text)
    Credential.objects.filter(pk=credential.pk).update(status=Status.REJECTED, status_reason="sealed")
    credential.refresh_from_db()
    assert (condition(credential).tone, condition(credential).words) == ("bad", "Secret leaked")


def test_checks_do_not_clear_it_and_the_next_replacement_does(credential: Credential) -> None:
    credential.report_leak(actor=TEST)
    credential.verify(actor=TEST)
    credential.change(note="Known.", actor=TEST)
    assert leaked(credential)
    with pytest.raises(SecretRefused):
        credential.rotate(values={"client_secret": "wrong-2"}, actor=TEST, verify_first=True)
    with pytest.raises(ValidationError):
        credential.rotate(values={"client_secret": ""}, actor=TEST)
    assert leaked(credential)
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, verify_first=True)
    assert not leaked(credential)
    assert condition(credential).words == "Working"


def test_what_was_reported_as_leaked_is_erased_whoever_replaces_it(credential: Credential) -> None:
    credential.report_leak(actor=TEST)
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, why="planned")
    assert AuditEvent.objects.latest("id").changes == {"version": [1, 2], "reason": [None, "leaked"]}
    with pytest.raises(NothingToRevertTo):
        credential.revert(actor=TEST)


def test_going_back_does_not_clear_it_because_the_leaked_version_can_come_back(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    credential.report_leak(actor=TEST)
    credential.revert(actor=TEST)
    assert leaked(credential)
    credential.rotate(values={"client_secret": "right-3"}, actor=TEST)
    assert not leaked(credential)
    assert credential.former_secret is None


def test_a_report_is_made_once_and_only_of_the_version_that_was_seen(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    credential.report_leak(actor=TEST, expected_version=1)
    assert reports() == []
    for _time in range(2):
        credential.report_leak(actor=TEST, expected_version=2)
    assert reports() == [{"version": [None, 2]}]


def test_the_form_opens_with_it_leaked_and_success_leaves_nothing_behind(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    as_bob.post(at("rotate", fleet, credential), {"client_secret": "wrong-2", "over": "1", "why": "leaked"})
    html = as_bob.get(at("rotate", fleet, credential)).content.decode()
    assert re.search(r'value="leaked"[^>]*\schecked', html)
    typed = {"client_secret": "right-2", "over": "1", "why": "leaked"}
    answer = as_bob.post(at("rotate", fleet, credential), typed, follow=True)
    assert "Version 2 is in use. The connection works." in words(answer)
    assert "Secret leaked" not in words(answer)


def test_viewers_see_it_and_report_nothing(fleet: Fleet, as_vera: Client, credential: Credential) -> None:
    typed = {"client_secret": "right-2", "over": "1", "why": "leaked"}
    assert as_vera.post(at("rotate", fleet, credential), typed).status_code == 403
    assert reports() == []
    credential.report_leak(actor=TEST)
    assert "Secret leaked" in words(as_vera.get(at("detail", fleet, credential)))


def test_the_export_says_when(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    credential.report_leak(actor=TEST)
    answer = as_bob.get(at("export", fleet))
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    (row,) = csv.DictReader(StringIO(content.decode("utf-8-sig")))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["leaked_at"])


def test_it_is_said_in_german(credential: Credential) -> None:
    credential.report_leak(actor=TEST)
    with translation.override("de"):
        assert condition(credential).words == "Secret bekannt geworden"
