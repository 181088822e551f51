"""verify_audit finds every change to the audit trail, even by the database owner with the triggers switched off."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from threading import Event, Thread
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from fleetcontrol.audit.chain import WritersStillActive, extend_chain, retire_events
from fleetcontrol.audit.models import AuditEvent, AuditSeal, Pseudonym
from fleetcontrol.people.models import Fleet
from tests.support import factory

pytestmark = pytest.mark.django_db


@pytest.fixture
def trail(fleet: Fleet) -> list[AuditEvent]:
    """Seal a trail of two fleets and return the events of the first."""
    factory.a_credential(fleet, name="BMW Germany")
    factory.a_fleet(name="Other")
    extend_chain()
    for _number in range(3):
        factory.a_vehicle(fleet)
    extend_chain()
    return list(AuditEvent.objects.filter(fleet_id=fleet.pk).order_by("id"))


def proof(*args: str) -> str:
    """Return what verify_audit prints when the trail is whole."""
    out = StringIO()
    call_command("verify_audit", *args, stdout=out, stderr=StringIO())
    return out.getvalue()


def findings(*args: str) -> str:
    """Return what verify_audit prints when it fails."""
    err = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("verify_audit", *args, stdout=StringIO(), stderr=err)
    assert caught.value.returncode == 1
    return err.getvalue()


@contextmanager
def no_triggers() -> Iterator[Any]:
    """Give a cursor that runs no triggers, as the owner of the database can."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield cursor
        cursor.execute("SET session_replication_role = origin")


def test_an_untouched_trail_is_whole(trail: list[AuditEvent]) -> None:
    assert "The audit trail is whole" in proof()


@pytest.mark.parametrize(
    "change",
    [
        "actor_label = 'Somebody else'",
        "target_label = 'Something else'",
        'changes = \'{"name": [null, "other"]}\'',
        "time = time - interval '1 second'",
        "address = '192.0.2.1'",
        "flow_id = 'another'",
        "action = 'vehicle.move'",
        "actor_id = 'somebody-else'",
        "actor_kind = 'user'",
        "target_id = 'another'",
        "target_kind = 'credential'",
    ],
)
def test_a_changed_event_is_named(trail: list[AuditEvent], change: str) -> None:
    victim = trail[-2].pk
    with no_triggers() as cursor:
        cursor.execute(f"UPDATE audit_auditevent SET {change} WHERE id = %s", [victim])
    assert findings().startswith(f"Event {victim} was changed")


def test_a_missing_event_is_named(trail: list[AuditEvent]) -> None:
    victim = trail[1].pk
    with no_triggers() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE id = %s", [victim])
    assert findings().startswith(f"Event {victim} is missing")


@pytest.mark.parametrize("whose", ["nordlicht-logistik", "other", None])
def test_an_inserted_event_is_named(trail: list[AuditEvent], whose: str | None) -> None:
    gap = trail[1].pk
    target = Fleet.objects.get(slug=whose).pk if whose else None
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET id = 900000 WHERE id = %s", [gap])
        cursor.execute(
            "INSERT INTO audit_auditevent OVERRIDING SYSTEM VALUE SELECT (jsonb_populate_record(e, "
            "jsonb_build_object('id', %s::int, 'fleet_id', %s::int))).* FROM audit_auditevent e WHERE id = %s",
            [gap, target, trail[2].pk],
        )
    assert f"Event {gap} was" in findings()


def test_an_event_moved_to_another_fleet_is_named(trail: list[AuditEvent]) -> None:
    victim, other = trail[-1].pk, Fleet.objects.get(slug="other")
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET fleet_id = %s WHERE id = %s", [other.pk, victim])
    assert f"Event {victim} is missing" in findings()
    assert f"Event {victim} was put in later" in findings()


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("DELETE FROM audit_auditseal WHERE number = 2", "Seal 2 is missing."),
        (
            "UPDATE audit_auditseal SET sealed_at = now() - interval '1 day' WHERE number = 2",
            "Seal 2 was changed, or not made with this AUDIT_KEY",
        ),
        (
            "UPDATE audit_auditseal SET leaves = leaves || leaves WHERE number = 2",
            "The leaves of seal 2 were changed.",
        ),
        (
            "UPDATE audit_auditseal SET retired_at = now(), leaves = NULL WHERE number = 1",
            "Seal 1 is marked as retired, but was not.",
        ),
        (
            "UPDATE audit_auditseal SET fleet_id = NULL WHERE number = 3",
            "Seal 3 was changed, or not made with this AUDIT_KEY",
        ),
    ],
)
def test_a_changed_or_missing_seal_is_named(trail: list[AuditEvent], sql: str, finding: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    assert finding in findings()


def test_a_trail_sealed_with_another_key_is_found(trail: list[AuditEvent], settings: Any) -> None:
    last = AuditSeal.objects.order_by("number").last()
    assert last is not None
    key, settings.AUDIT_KEY = settings.AUDIT_KEY, "the key of a forger"
    AuditSeal.objects.filter(pk=last.pk).update(head=last.expected_head("", ""))
    settings.AUDIT_KEY = key
    assert "not made with this AUDIT_KEY" in findings()


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "nothing sealed"])
@pytest.mark.parametrize("whose", ["nordlicht-logistik", "never-sealed", None])
@pytest.mark.parametrize("forged", [0, -1, -5, -(2**63)])
def test_an_event_with_an_id_below_one_is_named(fleet: Fleet, *, forged: int, whose: str | None, sealed: bool) -> None:
    if sealed:
        extend_chain()
    target = (fleet.pk if whose == fleet.slug else 999) if whose else None
    forge(AuditEvent.objects.latest("id").pk, id=forged, fleet_id=target)
    if not sealed:
        extend_chain()
    assert f"Event {forged} was put in later" in findings()


@pytest.mark.parametrize("whose", ["nordlicht-logistik", None])
def test_an_event_with_an_id_that_was_not_given_yet_is_named(trail: list[AuditEvent], whose: str | None) -> None:
    forge(trail[-1].pk, id=900_000, time="2040-01-01", fleet_id=trail[-1].fleet_id if whose else None)
    assert extend_chain() == 0
    assert "Event 900000 has an id that was not given yet." in findings()


def forge(model: int, **values: Any) -> None:
    """Insert a copy of an event with some values changed, as the owner of the database can."""
    with no_triggers() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditevent OVERRIDING SYSTEM VALUE "
            "SELECT (jsonb_populate_record(e, %s::jsonb)).* FROM audit_auditevent e WHERE id = %s",
            [json.dumps(values), model],
        )


@pytest.mark.parametrize("key", ["", "AUDIT_KEY"], ids=["without the key", "with the key"])
def test_a_pseudonym_that_got_another_name_is_found(trail: list[AuditEvent], settings: Any, key: str) -> None:
    """Whoever the pseudonym stands for, the events would be another person's."""
    pseudonym = Pseudonym.of(["test"])["test"]
    AuditEvent.objects.filter(actor_label="test").update(actor_label=pseudonym)
    factory.a_fleet("Another")
    extend_chain()
    assert "whole" in proof()
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET actor_label = 'Mira Krüger' WHERE actor_label = %s", [pseudonym])
    renamed = Pseudonym.objects.get()
    renamed.text = "Mira Krüger"
    renamed.proof = renamed.expected_proof() if key else renamed.proof
    renamed.save()
    found = findings()
    assert ("The pseudonym “Mira Krüger” was changed" in found) is not bool(key)
    assert "The pseudonyms of removed people are not those that seal" in found


def test_a_pseudonym_that_was_put_in_is_found_before_and_after_the_next_seal(trail: list[AuditEvent]) -> None:
    pseudonym = Pseudonym.of(["test"])["test"]
    AuditEvent.objects.filter(actor_label="test").update(actor_label=pseudonym)
    factory.a_fleet("Another")
    extend_chain()
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET actor_label = 'Mira Krüger' WHERE actor_label = %s", [pseudonym])
    known = Pseudonym.objects.get()
    Pseudonym.objects.create(text="Mira Krüger", digest=known.digest, proof=known.proof)
    for _time in range(2):
        assert "The pseudonym “Mira Krüger” was changed" in findings()
        factory.a_fleet(f"Fleet {_time}")
        extend_chain()


def test_a_pseudonym_that_is_gone_is_found(trail: list[AuditEvent]) -> None:
    Pseudonym.of(["Somebody who did nothing"])
    factory.a_fleet("Another")
    extend_chain()
    Pseudonym.objects.all().delete()
    assert "The pseudonyms of removed people are not those that seal" in findings()


@pytest.mark.parametrize("of", ["fleet_id", "until_id", "previous"])
def test_the_chain_of_a_fleet_cannot_be_bent(trail: list[AuditEvent], fleet: Fleet, of: str) -> None:
    """Two fleets' seals change places or fleets, and everything that needs no key is made to fit."""
    other = Fleet.objects.get(slug="other")
    first, last = AuditSeal.objects.filter(fleet_id=fleet.pk).order_by("number")
    match of:
        case "fleet_id":
            AuditSeal.objects.filter(pk=last.pk).update(fleet_id=other.pk)
            with no_triggers() as cursor:
                cursor.execute(
                    "UPDATE audit_auditevent SET fleet_id = %s WHERE fleet_id = %s AND id > %s",
                    [other.pk, fleet.pk, first.until_id],
                )
        case "until_id":
            AuditSeal.objects.filter(pk=first.pk).update(until_id=first.until_id - 1)
        case "previous":
            AuditSeal.objects.filter(pk=last.pk).update(leaves=first.leaves, leaves_digest=first.leaves_digest)
    assert "was changed, or not made with this AUDIT_KEY" in findings()


def test_nothing_sealed_is_not_called_whole(fleet: Fleet) -> None:
    with pytest.raises(CommandError, match=r"^Nothing is sealed yet") as caught:
        proof()
    assert caught.value.returncode == 1


def test_one_fleet_can_be_verified_by_itself(trail: list[AuditEvent]) -> None:
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET actor_label = 'x' WHERE id = %s", [trail[0].pk])
    assert "whole" in proof("--fleet", "other")
    assert "was changed" in findings("--fleet", "nordlicht-logistik")


def test_retired_events_go_and_the_rest_stays_provable(trail: list[AuditEvent], fleet: Fleet) -> None:
    assert retire_events(timezone.now()) > 0
    assert list(AuditEvent.objects.values_list("action", flat=True).distinct()) == ["audit.retire"]
    factory.a_vehicle(fleet)
    extend_chain()
    assert "retired" in proof()


def test_a_pseudonym_takes_the_place_of_a_name_and_the_chain_holds(trail: list[AuditEvent]) -> None:
    pseudonym = Pseudonym.of(["test"])["test"]
    AuditEvent.objects.filter(actor_label="test").update(actor_label=pseudonym)
    assert "whole" in proof()
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET target_label = %s WHERE id = %s", [pseudonym, trail[1].pk])
    assert f"Event {trail[1].pk} was changed" in findings()


def test_sealing_takes_each_event_once(trail: list[AuditEvent], fleet: Fleet) -> None:
    assert extend_chain() == 0
    factory.a_vehicle(fleet)
    assert extend_chain() == 1


def test_tend_seals_and_retires(fleet: Fleet, settings: Any) -> None:
    out = StringIO()
    call_command("tend", "--only", "seal_audit", stdout=out)
    assert proof("--head").strip() in out.getvalue()
    settings.AUDIT_KEPT_DAYS = 30
    call_command("tend", "--only", "retire_audit", stdout=StringIO())
    assert AuditEvent.objects.filter(fleet_id=fleet.pk).exists()
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET time = time - interval '31 days'")
    call_command("tend", "--only", "retire_audit", stdout=StringIO())
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["audit.retire"]


@pytest.mark.django_db(transaction=True)
def test_sealing_waits_for_a_transaction_that_holds_a_lower_id() -> None:
    fleet, written, finish = factory.a_fleet(), Event(), Event()

    def slow_import() -> None:
        with transaction.atomic():
            factory.a_vehicle(fleet, name="Slow")
            written.set()
            finish.wait(10)
        connection.close()

    thread = Thread(target=slow_import)
    thread.start()
    written.wait(10)
    factory.a_vehicle(fleet, name="Quick")
    with pytest.raises(WritersStillActive):
        extend_chain(patience=0.2)
    finish.set()
    thread.join()
    assert extend_chain() == AuditEvent.objects.count()
    assert "whole" in proof()
