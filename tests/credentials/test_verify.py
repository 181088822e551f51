"""Checking a credential: how each answer of the OEM changes its status."""

import pytest

from credentials.models import SecretRefused, Status
from credentials.oem.demo import DemoOem
from credentials.oem.verdict import Outcome
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST, a_tesla

pytestmark = pytest.mark.django_db


def test_a_working_secret_makes_the_credential_working(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    verdict = credential.verify(actor=TEST)
    assert verdict.token is not None
    assert credential.status == Status.WORKING
    assert credential.last_worked_at == credential.checked_at
    assert credential.status_detail == "The connection works."
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.changes["status"]) == ("credential.verify", ["UNCHECKED", "WORKING"])


@pytest.mark.parametrize(
    ("secret", "status"),
    [("wrong-1", Status.REJECTED), ("scopes-1", Status.SCOPES_MISSING), ("trouble-1", Status.UNCHECKED)],
)
def test_what_the_oem_says_becomes_the_status(fleet: Fleet, oem: DemoOem, secret: str, status: str) -> None:
    credential = a_tesla(fleet, secret)
    credential.verify(actor=TEST)
    assert credential.status == status
    assert credential.status_detail
    assert credential.last_worked_at is None


def test_only_three_silences_in_a_row_make_it_unreachable(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "right-1")
    credential.verify(actor=TEST)
    oem.stop()
    statuses = []
    for _time in range(3):
        credential.verify(actor=TEST)
        statuses.append(credential.status)
    assert statuses == [Status.WORKING, Status.WORKING, Status.UNREACHABLE]


def test_silence_does_not_hide_a_refusal(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "wrong-1")
    credential.verify(actor=TEST)
    oem.stop()
    for _time in range(4):
        credential.verify(actor=TEST)
    assert credential.status == Status.REJECTED


def test_since_when_is_kept_while_the_status_stays(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "wrong-1")
    credential.verify(actor=TEST)
    since = credential.status_since
    credential.verify(actor=TEST)
    assert credential.status_since == since
    assert credential.checked_at is not None
    assert credential.checked_at > since


def test_a_brand_without_a_public_sign_in_stays_not_checked_and_says_why(fleet: Fleet, oem: DemoOem) -> None:
    credential = factory.a_credential(fleet, brand="NIU")
    assert credential.verify(actor=TEST).outcome is Outcome.CANNOT_CHECK
    assert (credential.status, credential.checked_at) == (Status.UNCHECKED, None)
    assert "cannot check NIU" in credential.status_detail
    assert not credential.can_be_checked


def test_a_secret_that_cannot_be_opened_is_told_and_needs_attention(
    fleet: Fleet, oem: DemoOem, settings: pytest.FixtureRequest
) -> None:
    credential = a_tesla(fleet)
    settings.FERNET_KEYS = ["another key"]  # type: ignore[attr-defined]
    assert credential.verify(actor=TEST).code == "sealed"
    assert "cannot be opened" in credential.status_detail
    assert fleet.credentials.needing_attention().get() == credential


def test_the_rounds_of_fleetcontrol_leave_an_event_only_on_a_change(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet)
    credential.verify(actor=Actor.system())
    credential.verify(actor=Actor.system())
    assert AuditEvent.objects.filter(action="credential.verify").count() == 1


def test_check_and_save_saves_only_what_works(fleet: Fleet, oem: DemoOem) -> None:
    assert a_tesla(fleet, "right-1", name="Good", verify_first=True).status == Status.WORKING
    with pytest.raises(SecretRefused) as caught:
        a_tesla(fleet, "wrong-1", name="Bad", verify_first=True)
    assert str(caught.value) == "Tesla refused these details. Check the client ID and secret for slips."
    assert [c.name for c in fleet.credentials.all()] == ["Good"]


def test_check_and_save_keeps_what_cannot_be_checked(fleet: Fleet, oem: DemoOem) -> None:
    credential = factory.a_credential(fleet, brand="NIU", verify_first=True)
    assert (credential.status, credential.status_reason) == (Status.UNCHECKED, "no_public_sign_in")


def test_nothing_is_asked_when_the_form_is_wrong(fleet: Fleet, oem: DemoOem) -> None:
    a_tesla(fleet, name="Taken")
    with pytest.raises(Exception, match="already has a credential of this name"):
        a_tesla(fleet, name="taken", verify_first=True)
    assert oem.received == []


def test_the_same_client_id_or_secret_again_gives_a_note(fleet: Fleet) -> None:
    a_tesla(fleet, "right-one", name="First")
    again = a_tesla(fleet, "right-one", name="Second")
    assert again.notes == ["First uses this Client ID too.", "First holds the same secret."]
    assert a_tesla(factory.a_fleet(name="Other"), "right-one").notes == []


def test_using_it_is_noted_to_the_minute(fleet: Fleet) -> None:
    credential = a_tesla(fleet)
    credential.record_use()
    credential.refresh_from_db()
    first = credential.last_used_at
    credential.record_use()
    credential.refresh_from_db()
    assert credential.last_used_at == first
