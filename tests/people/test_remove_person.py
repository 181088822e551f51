"""Removing a person replaces their name by a pseudonym and leaves the audit trail provable."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from fleetcontrol.audit.chain import extend_chain
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet, Invitation, Role, User
from tests.support import factory
from tests.support.factory import TEST

pytestmark = pytest.mark.django_db


def remove(email: str) -> str:
    out = StringIO()
    call_command("remove_person", email, stdout=out)
    return out.getvalue()


@pytest.fixture
def busy_bob(fleet: Fleet, alice: User, bob: User) -> User:
    """Let Bob act under two names and be acted on."""
    credential = factory.a_credential(fleet, name="BMW Germany")
    credential.change(actor=Actor.of(bob), note="one")
    User.objects.filter(pk=bob.pk).update(name="Robert Quirk")
    bob.refresh_from_db()
    credential.change(actor=Actor.of(bob), note="two")
    Invitation.add(fleet=factory.a_fleet(name="Other"), emails=["Bob@example.com"], role=Role.VIEWER, actor=TEST)
    namesake = factory.a_user("Bob", email="other-bob@example.com")
    credential.change(actor=Actor.of(namesake), note="three")
    extend_chain()
    return bob


def test_the_name_is_gone_and_the_trail_holds(busy_bob: User) -> None:
    remove("BOB@example.com")
    extend_chain()
    call_command("verify_audit", stdout=StringIO())
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(e::text, ' ') FROM audit_auditevent e WHERE actor_label <> 'Bob'")
        (kept,) = cursor.fetchone()
    assert "Robert Quirk" not in kept
    assert "bob@example.com" not in kept.replace("other-bob@example.com", "").lower()
    assert not User.objects.filter(pk=busy_bob.pk).exists()


def test_what_the_person_did_stays_theirs(busy_bob: User) -> None:
    events = AuditEvent.objects.filter(actor_id=str(busy_bob.pk), actor_kind="user")
    before = events.count()
    remove(busy_bob.email)
    assert events.count() == before
    assert {label[:14] for label in events.values_list("actor_label", flat=True)} == {"Former person "}


def test_a_namesake_keeps_the_name(busy_bob: User) -> None:
    remove(busy_bob.email)
    assert AuditEvent.objects.filter(actor_label="Bob").count() == 1


def test_names_beside_the_trail_go_too(busy_bob: User, fleet: Fleet) -> None:
    fleet.credentials.update(changed_by="Robert Quirk")
    remove(busy_bob.email)
    assert fleet.credentials.get().changed_by.startswith("Former person ")


def test_the_last_administrator_is_not_removed(alice: User) -> None:
    with pytest.raises(CommandError, match="last administrator"):
        remove(alice.email)
    assert User.objects.filter(pk=alice.pk).exists()
