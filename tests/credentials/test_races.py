"""Two people act at once, each on their own database connection: no change is lost, and each gets a true message."""

from collections.abc import Callable, Iterator

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from credentials import duties, notifications
from credentials.models import Credential, CredentialInUse, Notice, ReplacedMeanwhile, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support import factory
from tests.support.connections import at_once, before_commit, on_own_connection
from tests.support.factory import TEST
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
JONAS = Actor("user", "7", "Jonas Petersen")


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    return factory.a_tesla(fleet, name="Tesla Europe")


@pytest.fixture
def during(oem: DemoOem) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Return a function that takes one action to run while FleetControl waits for the OEM's answer."""
    waiting: list[Callable[[], object]] = []

    def tell(_line: str) -> None:
        if waiting:
            on_own_connection(waiting.pop())

    oem.log = tell
    yield waiting.append
    assert not waiting, "the OEM was never asked"


def test_a_verdict_on_a_former_version_does_not_land_on_the_new_one(
    credential: Credential, during: Callable[[Callable[[], object]], None]
) -> None:
    credential.rotate(values={"client_secret": "wrong-2"}, actor=TEST)
    during(lambda: fresh(credential).rotate(values={"client_secret": "right-3"}, actor=JONAS))
    assert credential.verify(actor=TEST).code == "refused"
    assert (fresh(credential).status, fresh(credential).checked_at) == (Status.UNCHECKED, None)
    assert not AuditEvent.objects.filter(action="credential.verify").exists()


def test_of_two_replacements_at_once_the_second_is_told_what_the_first_did(
    credential: Credential, during: Callable[[Callable[[], object]], None]
) -> None:
    during(lambda: fresh(credential).rotate(values={"client_secret": "right-3"}, actor=JONAS))
    with pytest.raises(ReplacedMeanwhile, match=r"Jonas Petersen .* meanwhile\. Version 2 is in use\."):
        credential.rotate(values={"client_secret": "right-2"}, actor=TEST, verify_first=True)
    assert fresh(credential).secret.open() == {"client_secret": "right-3"}


def test_a_replacement_does_not_overwrite_somebody_going_back(
    credential: Credential, during: Callable[[Callable[[], object]], None]
) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    during(lambda: fresh(credential).revert(actor=JONAS))
    with pytest.raises(ReplacedMeanwhile, match="Version 1 is in use"):
        credential.rotate(values={"client_secret": "right-3"}, actor=TEST, verify_first=True)
    assert [(s.version, s.is_current, s.erased_at is None) for s in credential.secrets.all()] == [
        (2, False, True),
        (1, True, True),
    ]


def test_of_two_people_going_back_at_once_only_one_does(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    results = at_once(*[lambda: fresh(credential).revert(actor=JONAS, expected_version=2)] * 2)
    assert sorted(type(result).__name__ for result in results) == ["CredentialSecret", "ReplacedMeanwhile"]
    assert fresh(credential).secret.version == 1


def test_a_credential_is_not_deleted_under_a_vehicle_that_is_being_added(fleet: Fleet, credential: Credential) -> None:
    refused = before_commit(
        lambda: factory.a_vehicle(fleet, credential, name="Van 1"), lambda: fresh(credential).remove(actor=JONAS)
    )
    assert isinstance(refused, CredentialInUse)
    assert refused.count == 1
    assert Vehicle.objects.get().credential == credential


def test_a_vehicle_is_not_added_to_a_credential_that_is_being_deleted(fleet: Fleet, credential: Credential) -> None:
    refused = before_commit(
        lambda: credential.remove(actor=TEST), lambda: factory.a_vehicle(fleet, fresh(credential), name="Van 1")
    )
    assert isinstance(refused, ValidationError)
    assert list(refused.message_dict) == ["credential"]
    assert not Vehicle.objects.exists()
    assert not AuditEvent.objects.filter(action="vehicle.add").exists()


def test_a_credential_is_not_deleted_under_vehicles_that_are_being_moved_to_it(
    fleet: Fleet, credential: Credential
) -> None:
    other = factory.a_tesla(fleet, name="Tesla Two")
    factory.a_vehicle(fleet, credential)
    refused = before_commit(
        lambda: Vehicle.objects.all().move(other, actor=TEST), lambda: fresh(other).remove(actor=JONAS)
    )
    assert isinstance(refused, CredentialInUse)
    assert Vehicle.objects.get().credential == other


def test_vehicles_are_not_moved_to_a_credential_that_is_being_deleted(fleet: Fleet, credential: Credential) -> None:
    other = factory.a_tesla(fleet, name="Tesla Two")
    factory.a_vehicle(fleet, credential)
    refused = before_commit(
        lambda: other.remove(actor=TEST), lambda: Vehicle.objects.all().move(fresh(other), actor=JONAS)
    )
    assert isinstance(refused, ValidationError)
    assert "Tesla Two was deleted meanwhile." in refused.messages
    assert Vehicle.objects.get().credential == credential
    assert not AuditEvent.objects.filter(action="vehicle.move").exists()


def test_a_delete_while_the_last_vehicle_moves_away_is_refused_and_succeeds_afterwards(
    fleet: Fleet, credential: Credential
) -> None:
    other = factory.a_tesla(fleet, name="Tesla Two")
    factory.a_vehicle(fleet, credential)
    result = before_commit(
        lambda: Vehicle.objects.all().move(other, actor=TEST),
        lambda: fresh(credential).remove(actor=JONAS),
        must_wait=False,
    )
    # Until the move is committed, everybody else still sees the vehicle, so the refusal is right.
    assert isinstance(result, CredentialInUse)
    fresh(credential).remove(actor=JONAS)
    assert fleet.credentials.get() == other


def test_a_credential_that_is_deleted_during_its_check_is_gone_and_nothing_fails(
    credential: Credential, during: Callable[[Callable[[], object]], None]
) -> None:
    during(lambda: fresh(credential).remove(actor=JONAS))
    assert credential.verify(actor=TEST).outcome == "works"
    assert not Credential.objects.exists()


def test_a_page_about_a_credential_that_is_deleted_meanwhile_is_not_found(
    fleet: Fleet, as_bob: Client, credential: Credential, during: Callable[[Callable[[], object]], None]
) -> None:
    during(lambda: fresh(credential).remove(actor=JONAS))
    address = f"/f/{fleet.slug}/credentials/{credential.pk}/secret/"
    assert as_bob.post(address, {"client_secret": "right-2"}).status_code == 404


def test_two_rounds_at_once_ask_the_oem_once_and_two_tends_send_one_email(
    fleet: Fleet, bob: User, credential: Credential, oem: DemoOem
) -> None:
    factory.a_vehicle(fleet, credential)
    assert sorted(at_once(duties.verify_due, duties.verify_due)) == [0, 1]
    assert len(oem.received) == 1
    credential.change(ends_on=timezone.localdate(), actor=TEST)
    at_once(*[lambda: notifications.note_ends(timezone.localdate())] * 2)
    assert Notice.objects.count() == 1
    assert sorted(at_once(notifications.email_notices, notifications.email_notices)) == [0, 1]


def fresh(credential: Credential) -> Credential:
    return Credential.objects.get(pk=credential.pk)
