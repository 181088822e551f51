"""Administrators invite, change and remove members; a fleet never loses its last administrator."""

import re
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import VALID_FOR, Fleet, Invitation, LastAdministrator, Membership, Role, User
from tests.support import factory
from tests.support.api import Answer
from tests.support.browsers import signed_in
from tests.support.connections import at_once
from tests.support.factory import TEST
from tests.support.forms import version_shown
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db
NEW = {"name": "Nina", "password": "quite-long-and-odd-7"}


def url(name: str, fleet: Fleet, *args: object) -> str:
    return reverse(name, args=[fleet.slug, *args])


def invited(as_alice: Client, fleet: Fleet, emails: str = "nina@example.com", role: str = "manager") -> list[str]:
    """Invite through the page and return the links in the emails."""
    answer = as_alice.post(url("members:invite", fleet), {"emails": emails, "role": role})
    assert answer.status_code == 302, answer.content.decode()
    return [re.findall(r"http://localhost:8000(\S+)", str(message.body))[0] for message in sent_mail()]


def test_several_people_are_invited_at_once(as_alice: Client, fleet: Fleet) -> None:
    links = invited(as_alice, fleet, "nina@example.com, olaf@example.com\npia@example.com")
    assert len(set(links)) == 3
    assert "invites you to the fleet Nordlicht Logistik" in str(sent_mail()[0].body)
    page = as_alice.get(url("members:index", fleet)).content.decode()
    assert "olaf@example.com" in page


@pytest.mark.parametrize(
    ("emails", "words"),
    [("nonsense", "Not an email address"), ("bob@example.com", "Members of this fleet already"), ("", "at least one")],
)
def test_a_wrong_invitation_invites_nobody(as_alice: Client, bob: User, fleet: Fleet, emails: str, words: str) -> None:
    answer = as_alice.post(url("members:invite", fleet), {"emails": f"{emails}", "role": "viewer"})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Invitation.objects.exists()


def test_an_invited_person_makes_an_account_and_is_in(as_alice: Client, fleet: Fleet, client: Client) -> None:
    (link,) = invited(as_alice, fleet)
    assert "nina@example.com" in client.get(link).content.decode()
    assert client.post(link, NEW).url == reverse("vehicles:index", args=[fleet.slug])  # type: ignore[attr-defined]
    assert client.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 200
    membership = Membership.objects.get(user__email="nina@example.com")
    assert (membership.role, membership.user.name) == ("manager", "Nina")
    assert client.get(link).status_code == 404, "a link works once"


def test_a_weak_password_is_refused(as_alice: Client, fleet: Fleet, client: Client) -> None:
    (link,) = invited(as_alice, fleet)
    for password in ("short", "password123", "12345678901", "nina@example.com"):
        assert client.post(link, {"name": "Nina", "password": password}).status_code == 422
    assert not User.objects.filter(email="nina@example.com").exists()


def test_somebody_with_an_account_signs_in_and_joins_a_second_fleet(
    as_alice: Client, as_charlie: Client, charlie: User, fleet: Fleet, client: Client
) -> None:
    (link,) = invited(as_alice, fleet, charlie.email, "viewer")
    assert "Sign in to join" in client.get(link).content.decode()
    assert as_charlie.post(link).status_code == 302
    assert charlie.memberships.count() == 2


def test_an_invitation_is_for_its_address_only(as_alice: Client, as_charlie: Client, fleet: Fleet) -> None:
    (link,) = invited(as_alice, fleet)
    as_charlie.post(link, NEW)
    assert not User.objects.filter(email="nina@example.com").exists()
    assert not Membership.objects.filter(fleet=fleet, user__email="charlie@example.com").exists()


def test_a_resent_invitation_makes_the_earlier_link_useless(as_alice: Client, fleet: Fleet, client: Client) -> None:
    invited(as_alice, fleet)
    invitation = Invitation.objects.get()
    as_alice.post(url("invitations:resend", fleet, invitation.pk))
    first, second = (re.findall(r"http://localhost:8000(\S+)", str(message.body))[0] for message in sent_mail())
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200


def test_a_revoked_invitation_is_gone(as_alice: Client, fleet: Fleet, client: Client) -> None:
    (link,) = invited(as_alice, fleet)
    as_alice.post(url("invitations:revoke", fleet, Invitation.objects.get().pk))
    assert client.get(link).status_code == 404


def test_an_old_link_and_a_forged_one_are_refused(as_alice: Client, fleet: Fleet, client: Client) -> None:
    (link,) = invited(as_alice, fleet)
    assert client.get(link[:-3] + "x/").status_code == 404
    Invitation.objects.update(sent_at=timezone.now() - VALID_FOR)
    assert client.get(link).status_code == 404


def change_role(client: Client, fleet: Fleet, pk: int, typed: dict[str, str]) -> Answer:
    page = url("members:change", fleet, pk)
    answer: Answer = client.post(page, typed | version_shown(client, page))
    return answer


def test_a_role_is_changed(as_alice: Client, bob: User, fleet: Fleet) -> None:
    membership = bob.memberships.get()
    change_role(as_alice, fleet, membership.pk, {"role": "viewer"})
    membership.refresh_from_db()
    assert membership.role == "viewer"
    assert AuditEvent.objects.filter(action="member.change", changes={"role": ["manager", "viewer"]}).exists()


def test_ones_own_role_is_given_up_only_after_a_confirmation(as_alice: Client, alice: User, fleet: Fleet) -> None:
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Ada")
    membership = alice.memberships.get()
    answer = change_role(as_alice, fleet, membership.pk, {"role": "viewer"})
    assert "Give up your role?" in answer.content.decode()
    membership.refresh_from_db()
    assert membership.role == "administrator"
    change_role(as_alice, fleet, membership.pk, {"role": "viewer", "confirmed": "yes"})
    membership.refresh_from_db()
    assert membership.role == "viewer"


def test_the_last_administrator_stays(as_alice: Client, alice: User, bob: User, fleet: Fleet) -> None:
    membership = alice.memberships.get()
    answer = change_role(as_alice, fleet, membership.pk, {"role": "viewer", "confirmed": "yes"})
    assert "Make someone else an administrator first" in answer.content.decode()
    as_alice.post(url("members:remove", fleet, membership.pk))
    assert alice.memberships.filter(role="administrator").exists()


def test_a_blocked_administrator_does_not_count(alice: User, fleet: Fleet) -> None:
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Ada", is_active=False)
    with pytest.raises(LastAdministrator):
        alice.memberships.get().remove(actor=TEST)


def test_a_removed_member_is_out_at_once(as_alice: Client, as_bob: Client, bob: User, fleet: Fleet) -> None:
    as_alice.post(url("members:remove", fleet, bob.memberships.get().pk))
    assert as_bob.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 404


def test_members_are_changed_only_after_a_fresh_sign_in(alice: User, bob: User, fleet: Fleet) -> None:
    stale, target = signed_in(alice, fresh=False), url("members:remove", fleet, bob.memberships.get().pk)
    answer = stale.post(target)
    assert answer.url.startswith(reverse("account_reauthenticate"))  # type: ignore[attr-defined]
    assert bob.memberships.exists()
    done = stale.post(answer.url, {"password": "pw-of-tests"}, follow=True)  # type: ignore[attr-defined]
    assert [step.split("?")[0] for step, _status in done.redirect_chain] == [target, url("members:index", fleet)]
    assert not bob.memberships.exists(), "after the password the change goes on by itself"


def test_the_members_page_takes_the_same_queries_for_many(
    as_alice: Client, fleet: Fleet, django_assert_max_num_queries: Callable[..., object]
) -> None:
    for number in range(12):
        factory.a_member(fleet, Role.VIEWER, name=f"Person {number}")
    as_alice.get(url("members:index", fleet))  # the first request records her session
    with django_assert_max_num_queries(14):  # type: ignore[attr-defined]
        assert as_alice.get(url("members:index", fleet)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_remove_each_other_at_once_one_stays() -> None:
    fleet = factory.a_fleet()
    members = [factory.a_member(fleet, Role.ADMINISTRATOR, name=name).memberships.get() for name in ("Alice", "Ada")]
    results = at_once(*(lambda member=member: member.remove(actor=TEST) for member in members))
    assert [type(result) for result in results if result is not None] == [LastAdministrator]
    assert fleet.memberships.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_database_keeps_the_last_administrator_from_two_deletions_at_once_in_sql() -> None:
    fleet = factory.a_fleet()
    members = [factory.a_member(fleet, Role.ADMINISTRATOR, name=name).memberships.get() for name in ("Alice", "Ada")]

    def delete(pk: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM people_membership WHERE id = %s", [pk])

    results = at_once(*(lambda pk=member.pk: delete(pk) for member in members))
    assert [type(result) for result in results if result is not None] == [IntegrityError]
    assert fleet.memberships.count() == 1
