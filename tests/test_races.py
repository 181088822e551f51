"""Two people at once, each with a connection to the real database: nothing is lost, and each gets a true sentence."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from credentials import duties, notifications
from credentials.models import Credential, CredentialInUse, Notice, ReplacedMeanwhile, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests import factory
from tests.factory import TEST
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
JONAS = Actor("user", "7", "Jonas Petersen")


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    return a_tesla(fleet, "Tesla Europe")


@pytest.fixture
def during(oem: DemoOem) -> Iterator[Callable[[Callable[[], object]], None]]:
    """Lets somebody else act, once, while FleetControl waits for the OEM's answer."""
    waiting: list[Callable[[], object]] = []

    def tell(_line: str) -> None:
        if waiting:
            alone(waiting.pop())

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
    refused = while_open(
        lambda: factory.a_vehicle(fleet, credential, name="Van 1"), lambda: fresh(credential).remove(actor=JONAS)
    )
    assert isinstance(refused, CredentialInUse)
    assert refused.count == 1
    assert Vehicle.objects.get().credential == credential


def test_a_vehicle_is_not_added_to_a_credential_that_is_being_deleted(fleet: Fleet, credential: Credential) -> None:
    refused = while_open(
        lambda: credential.remove(actor=TEST), lambda: factory.a_vehicle(fleet, fresh(credential), name="Van 1")
    )
    assert isinstance(refused, ValidationError)
    assert list(refused.message_dict) == ["credential"]
    assert not Vehicle.objects.exists()
    assert not AuditEvent.objects.filter(action="vehicle.add").exists()


def test_a_credential_is_not_deleted_under_vehicles_that_are_being_moved_to_it(
    fleet: Fleet, credential: Credential
) -> None:
    other = a_tesla(fleet, "Tesla Two")
    factory.a_vehicle(fleet, credential)
    refused = while_open(
        lambda: Vehicle.objects.all().move(other, actor=TEST), lambda: fresh(other).remove(actor=JONAS)
    )
    assert isinstance(refused, CredentialInUse)
    assert Vehicle.objects.get().credential == other


def test_vehicles_are_not_moved_to_a_credential_that_is_being_deleted(fleet: Fleet, credential: Credential) -> None:
    other = a_tesla(fleet, "Tesla Two")
    factory.a_vehicle(fleet, credential)
    refused = while_open(
        lambda: other.remove(actor=TEST), lambda: Vehicle.objects.all().move(fresh(other), actor=JONAS)
    )
    assert isinstance(refused, ValidationError)
    assert "Tesla Two was deleted meanwhile." in refused.messages
    assert Vehicle.objects.get().credential == credential
    assert not AuditEvent.objects.filter(action="vehicle.move").exists()


def test_after_the_last_vehicle_left_the_waiting_delete_succeeds(fleet: Fleet, credential: Credential) -> None:
    other = a_tesla(fleet, "Tesla Two")
    factory.a_vehicle(fleet, credential)
    result = while_open(
        lambda: Vehicle.objects.all().move(other, actor=TEST),
        lambda: fresh(credential).remove(actor=JONAS),
        must_wait=False,
    )
    # The vehicle was still there for everybody else: a refusal is true then, and a second try succeeds.
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


def a_tesla(fleet: Fleet, name: str) -> Credential:
    values = {"client_secret": f"right-{name}", "region": "EU"}
    return factory.a_credential(fleet, name=name, brand="TESLA", values=values)


def fresh(credential: Credential) -> Credential:
    return Credential.objects.get(pk=credential.pk)


def alone(act: Callable[[], object]) -> Any:
    """Do something with a database connection of its own; the result, or what was raised."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return results[0]


def at_once(*acts: Callable[[], object]) -> list[Any]:
    results: list[Any] = []
    threads = [threading.Thread(target=lambda act=act: results.append(alone(act))) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def while_open(first: Callable[[], object], second: Callable[[], object], *, must_wait: bool = True) -> Any:
    """Do the first and, before it is committed, the second on another connection; what became of the second."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(alone(second)))
    with transaction.atomic():
        first()
        thread.start()
        deadline = time.monotonic() + 10
        while not is_somebody_waiting() and not results:
            assert time.monotonic() < deadline, "the second never came to the lock"
            time.sleep(0.01)
        assert results == [] or not must_wait, "the second did not wait for the first"
    thread.join(20)
    return results[0]


def is_somebody_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # inside a transaction the first look would stay
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        (count,) = cursor.fetchone()
    return bool(count)
