"""`manage.py create_fleet`, with which a new operator starts."""

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support import factory

pytestmark = pytest.mark.django_db


def create_fleet(*arguments: str, **options: Any) -> str:
    output = StringIO()
    call_command("create_fleet", *arguments, stdout=output, **options)
    return output.getvalue()


def test_a_new_administrator_chooses_a_password_by_the_printed_link_and_is_in(client: Client) -> None:
    output = create_fleet("Weiße Flotte", administrator="ada@example.com")
    assert "the fleet Weiße Flotte at http://localhost:8000/f/weisse-flotte/credentials/ with ada@example.com" in output
    link = re.search(r"http://localhost:8000(/\S+/)$", output.strip())
    assert link
    form = client.get(link[1], follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": "a-long-password", "password2": "a-long-password"})
    assert Client().login(email="ada@example.com", password="a-long-password")
    assert [m.role for m in User.objects.get().memberships.all()] == ["administrator"]


def test_the_link_works_once(client: Client) -> None:
    output = create_fleet("Flotte", administrator="ada@example.com")
    link = output.split("http://localhost:8000")[-1].strip()
    form = client.get(link, follow=True)
    client.post(form.redirect_chain[-1][0], {"password1": "a-long-password", "password2": "a-long-password"})
    assert not Client().get(link, follow=True).redirect_chain


def test_a_known_person_signs_in_as_before() -> None:
    alice = factory.a_user("Alice")
    output = create_fleet("Flotte", "--slug", "f1", administrator=alice.email.upper())
    assert "They sign in as before." in output
    assert Fleet.objects.get(slug="f1").people.get() == alice


def test_it_is_in_the_audit_trail() -> None:
    create_fleet("Flotte", administrator="ada@example.com")
    assert list(AuditEvent.objects.order_by("pk").values_list("actor_label", "action")) == [
        ("create_fleet", "fleet.add"),
        ("create_fleet", "member.add"),
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["Flotte", "--administrator", "ada"], "Enter a valid email address."),
        (["Flotte", "--slug", "a b", "--administrator", "ada@example.com"], "Enter a valid “slug”"),
        (["日本", "--administrator", "ada@example.com"], "with --slug."),
        (["Nordlicht Logistik", "--administrator", "ada@example.com"], "There is a fleet of this name already."),
        (["Other", "--slug", "taken", "--administrator", "ada@example.com"], "Another fleet has this short name"),
    ],
)
def test_bad_input_is_a_sentence_and_creates_nobody(arguments: list[str], sentence: str) -> None:
    factory.a_fleet(slug="taken")
    with pytest.raises(CommandError, match=re.escape(sentence)):
        create_fleet(*arguments)
    assert not User.objects.exists()
