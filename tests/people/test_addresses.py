"""An address has one form, by which it is kept and compared. One that looks like it opens nobody's account."""

from importlib import import_module
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.addresses import known_as, normal
from fleetcontrol.people.models import Fleet, Invitation, Role, User
from tests.people.test_openid_connect import oidc, sign_in
from tests.support import factory
from tests.support.browsers import is_signed_in, signed_in
from tests.support.forms import version_shown
from tests.support.oidc import Provider
from tests.support.sent_mail import sent_mail

__all__ = ["oidc"]  # a fixture that the tests below use
pytestmark = pytest.mark.django_db
# Each folds to sk@example.com by UPPER(), LOWER(), casefold or NFKC, somewhere.
LOOK_ALIKES = (
    "\u017fk@example.com",
    "s\u212a@example.com",
    "\uff53k@example.com",
    "sk@e\uff58ample.com",
    "sk\uff20example.com",
    "sk@example\uff0ecom",
    "s\u24da@example.com",
    "\u02e2k@example.com",
    "sk@example.\u1d9c\u1d52m",
    "sk@\U0001d41eexample.com",
)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Alice@Example.COM ", "alice@example.com"),
        ("anna@M\u00dcLLER.de", "anna@xn--mller-kva.de"),
        ("anna@mu\u0308ller.de", "anna@xn--mller-kva.de"),
        ("anna@XN--MLLER-KVA.de", "anna@xn--mller-kva.de"),
        ("a+b.c'd@localhost", "a+b.c'd@localhost"),
        ("anna@xn--strae-oqa.de", "anna@xn--strae-oqa.de"),
    ],
)
def test_one_address_has_one_form(typed: str, kept: str) -> None:
    assert normal(typed) == known_as(typed) == normal(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *LOOK_ALIKES, "al\u0131ce@example.com", "anna@stra\u00dfe.de", "", "a", "@b.de", "a@", "a@b@c.de", '"a b"@c.de',
        "a@b\u3002de", "\u00fc@b.de", "a\x00@b.de", "a@b\x00.de", "\ud800@b.de", "a@\ud800.de", "a@-\u00fc.de",
        "a@b\u00ad.de", "a@\u200db.de", "a" * 250 + "@b.de", "a@" + "\u00fc" * 300 + ".de",
    ],
)  # fmt: skip
def test_what_has_no_normal_form_is_refused_and_finds_nobody(typed: str) -> None:
    with pytest.raises(ValidationError):
        normal(typed)
    assert known_as(typed) == ""
    with pytest.raises(ValidationError), transaction.atomic():
        User.objects.create_user(typed, "pw-of-tests")


@pytest.mark.parametrize("typed", LOOK_ALIKES)
def test_no_provider_opens_an_account_by_a_look_alike(client: Client, fleet: Fleet, oidc: Provider, typed: str) -> None:
    factory.a_user("Sk", email="sk@example.com", is_superuser=True, is_staff=True)
    Invitation.add(fleet=fleet, emails=["sk@example.com"], role=Role.ADMINISTRATOR, actor=factory.TEST)
    sign_in(client, oidc, email=typed, sub="9")
    assert not is_signed_in(client)
    assert User.objects.count() == 1 and Invitation.objects.exists()


def test_a_look_alike_signs_nobody_in_by_password_and_is_counted_against_nobody(client: Client) -> None:
    factory.a_user("Sk", email="sk@example.com")
    for typed in LOOK_ALIKES[:2] * 3:
        client.post(reverse("account_login"), {"login": typed, "password": "pw-of-tests"})
        assert not is_signed_in(client)
    assert not AuditEvent.objects.filter(action="user.sign_in_failed", target_label="Sk").exists()
    client.post(reverse("account_login"), {"login": "SK@Example.com", "password": "pw-of-tests"})
    assert is_signed_in(client)


def test_a_look_alike_gets_no_link_for_a_new_password(client: Client) -> None:
    factory.a_user("Sk", email="sk@example.com")
    for typed in LOOK_ALIKES[:2]:
        assert client.post(reverse("account_reset_password"), {"email": typed}).status_code == 200
    assert sent_mail() == []
    client.post(reverse("account_reset_password"), {"email": "SK@EXAMPLE.com"})
    assert [mail.to for mail in sent_mail()] == [["sk@example.com"]]


def test_an_international_domain_is_one_in_each_spelling(client: Client) -> None:
    anna = factory.a_user("Anna", email="anna@m\u00fcller.de")
    assert anna.email == "anna@xn--mller-kva.de"
    client.post(reverse("account_reset_password"), {"email": "Anna@M\u00fcller.de"})
    assert [mail.to for mail in sent_mail()] == [[anna.email]]
    client.post(reverse("account_login"), {"login": "Anna@M\u00fcller.de", "password": "pw-of-tests"})
    assert is_signed_in(client)


def test_a_look_alike_is_not_invited_and_the_form_says_which_letter(as_alice: Client, fleet: Fleet) -> None:
    typed = {"emails": "new@example.com, al\u0131ce@example.com", "role": "viewer"}
    page = as_alice.post(reverse("members:invite", args=[fleet.slug]), typed)
    assert page.status_code == 422 and "“\u0131” can be taken for another letter" in page.content.decode()
    assert not Invitation.objects.exists()


def test_a_member_and_an_invited_address_are_known_in_each_spelling(as_alice: Client, bob: User, fleet: Fleet) -> None:
    invite = reverse("members:invite", args=[fleet.slug])
    assert as_alice.post(invite, {"emails": "BOB@Example.com", "role": "viewer"}).status_code == 422
    assert as_alice.post(invite, {"emails": "New@Example.com NEW@example.com", "role": "viewer"}).status_code == 302
    assert [one.email for one in Invitation.objects.all()] == ["new@example.com"]
    assert as_alice.post(invite, {"emails": "nEW@example.com", "role": "viewer"}).status_code == 422


@pytest.mark.parametrize("typed", LOOK_ALIKES[:2])
def test_the_commands_take_no_look_alike(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.a_user("Sk", email="sk@example.com")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "long-enough-9")
    for command in (
        ["create_fleet", "New", "--administrator", typed],
        ["remove_person", typed],
        ["createsuperuser", "--noinput", "--email", typed],
    ):
        with pytest.raises((CommandError, ValidationError)):
            call_command(*command)
    assert [user.email for user in User.objects.all()] == ["sk@example.com"]
    assert not Fleet.objects.exists()


def test_the_admin_keeps_the_normal_form_and_takes_no_look_alike() -> None:
    root = signed_in(factory.a_user("Root", is_staff=True, is_superuser=True))
    sk = factory.a_user("Sk", email="sk@example.com")
    EmailAddress.objects.create(user=sk, email=sk.email, primary=True, verified=True)
    change = reverse("admin:people_user_change", args=[sk.pk])
    for typed, kept in ((LOOK_ALIKES[0], "sk@example.com"), ("New@Example.com", "new@example.com")):
        root.post(change, {"email": typed, "name": "Sk", "is_active": "on"} | version_shown(root, change))
        sk.refresh_from_db()
        assert sk.email == kept
    assert not EmailAddress.objects.filter(email="sk@example.com").exists(), "the old address signs nobody in"


@pytest.mark.parametrize("email", ["Bob@example.com", LOOK_ALIKES[0], "a b@example.com", "bob", ""])
@pytest.mark.parametrize("table", ["people_user", "people_invitation"])
def test_the_database_keeps_no_other_form(fleet: Fleet, bob: User, email: str, table: str) -> None:
    Invitation.add(fleet=fleet, emails=["new@example.com"], role=Role.VIEWER, actor=factory.TEST)
    with pytest.raises(IntegrityError, match="email_normal"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET email = %s", [email])


def test_the_migration_normalizes_what_is_there_and_stops_for_what_it_cannot(fleet: Fleet, bob: User) -> None:
    migration = import_module("fleetcontrol.people.migrations.0004_normal_addresses")
    drop = "ALTER TABLE people_user DROP CONSTRAINT user_email_normal, DROP CONSTRAINT user_email_unique"
    with connection.cursor() as cursor:
        cursor.execute(drop)
    User.objects.filter(pk=bob.pk).update(email="Bob@M\u00dcller.de")
    migration.normalize(apps, None)
    bob.refresh_from_db()
    assert bob.email == "bob@xn--mller-kva.de"
    other = factory.a_user("Other")
    for wrong, said in ((LOOK_ALIKES[0], "can be taken"), ("BOB@m\u00fcller.de", "one address")):
        User.objects.filter(pk=other.pk).update(email=wrong)
        with pytest.raises(RuntimeError, match=said):
            migration.normalize(apps, None)


def test_wrong_passwords_lock_the_account_whatever_the_host_and_spelling(client: Client, settings: Any) -> None:
    factory.a_user("Sk", email="sk@example.com")
    hosts = ["testserver", "localhost:81", "localhost", "127.0.0.1:8000", "[::1]:9"]
    spellings = ["sk@example.com", "SK@example.com", " sk@EXAMPLE.com", "Sk@Example.Com", "sK@example.com"]
    for number, (host, email) in enumerate(zip(hosts, spellings, strict=True)):
        client.post(
            reverse("account_login"),
            {"login": email, "password": "wrong"},
            headers={"Host": host},
            REMOTE_ADDR=f"203.0.113.{number}",
        )
    right = {"login": "sk@example.com", "password": "pw-of-tests"}
    answer = client.post(reverse("account_login"), right, headers={"Host": "localhost:99"}, REMOTE_ADDR="203.0.113.99")
    assert not is_signed_in(client)
    assert "Too many failed login attempts" in answer.content.decode()
