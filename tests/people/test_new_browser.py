"""A sign-in from a browser that the person never used is told by mail, whichever way they sign in."""

from typing import Any

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.account.utils import perform_login
from allauth.core.context import request_context
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import signing
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from fleetcontrol.people.browser import _SALT
from fleetcontrol.people.models import Fleet, Invitation, Mail, MailKind, Role, User
from tests.support import factory
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def sign_in(client: Client, user: User, **rest: Any) -> None:
    form = {"login": user.email, "password": "pw-of-tests"}
    answer = client.post("/accounts/login/", form, REMOTE_ADDR="192.0.2.7", **rest)
    assert answer.status_code == 302


@pytest.fixture
def known(bob: User) -> Client:
    """Bob's browser, from which he has signed in before."""
    client = Client()
    sign_in(client, bob)
    client.post("/accounts/logout/")
    assert not Mail.objects.exists(), "the first sign-in of all has no earlier one"
    return client


def told() -> int:
    return Mail.objects.filter(kind=MailKind.NEW_BROWSER).count()


def test_a_known_browser_is_not_told(known: Client, bob: User) -> None:
    sign_in(known, bob)
    assert told() == 0
    cookie = known.cookies["browser"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 365 * 24 * 3600)


def test_another_browser_is_told_with_time_address_and_browser(known: Client, bob: User, client: Client) -> None:
    User.objects.filter(pk=bob.pk).update(language="de")
    sign_in(client, bob, headers={"user-agent": FIREFOX})
    when = Mail.objects.get().created_at
    (message,) = sent_mail()
    assert message.to == [bob.email]
    assert "Anmeldung" in message.subject
    for words in ("192.0.2.7", "Firefox, Linux", f"{when.year}", "http://localhost:8000/accounts/sessions/"):
        assert words in message.body
    sign_in(client, bob)
    assert len(sent_mail()) == 1, "from now on it is known"


def test_a_browser_of_somebody_else_is_told(known: Client, alice: User, bob: User) -> None:
    sign_in(Client(), alice)
    sign_in(known, alice)
    assert told() == 1
    known.post("/accounts/logout/")
    sign_in(known, bob)
    assert told() == 1, "two people use it"


@pytest.mark.parametrize("forged", ["", "x", "{pk}", "[{pk}]", "session"])
def test_a_forged_cookie_counts_for_nothing(known: Client, bob: User, client: Client, forged: str) -> None:
    client.cookies["browser"] = signing.dumps([bob.pk], salt="other") if forged == "session" else forged.format(pk=1)
    sign_in(client, bob)
    assert told() == 1


def test_a_cookie_ends(known: Client, bob: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcontrol.people.browser.KNOWN_FOR", -1)
    sign_in(known, bob)
    assert told() == 1


def test_a_cookie_holds_no_more_than_ten_people(known: Client, bob: User) -> None:
    known.cookies["browser"] = signing.dumps([bob.pk, *range(10_000, 10_050)], salt=_SALT)
    sign_in(known, bob)
    people = signing.loads(known.cookies["browser"].value, salt=_SALT)
    assert (people[0], len(people)) == (bob.pk, 10)


@pytest.mark.parametrize("method", ["mfa", "socialaccount", "password"])
def test_every_way_in_is_told(known: Client, bob: User, method: str) -> None:
    """A passkey and a provider end in the same step of allauth as a password."""
    request: Any = RequestFactory().get("/", headers={"user-agent": FIREFOX})
    SessionMiddleware(lambda _request: HttpResponse()).process_request(request)
    request.user = bob
    request._messages = _NoMessages()
    with request_context(request):
        record_authentication(request, bob, method=method)
        perform_login(request, User.objects.get(pk=bob.pk))
    assert told() == 1
    assert request.people_of_browser == [bob.pk]


def test_who_joins_is_told_nothing_and_known_from_then_on(fleet: Fleet, client: Client) -> None:
    (invitation,) = Invitation.add(fleet=fleet, emails=["nina@example.com"], role=Role.VIEWER, actor=factory.TEST)
    client.post(invitation.link.removeprefix("http://localhost:8000"), {"name": "Nina", "password": "quite-long-odd-7"})
    nina = User.objects.get(email="nina@example.com")
    assert told() == 0
    assert signing.loads(client.cookies["browser"].value, salt=_SALT) == [nina.pk]


def test_a_wrong_password_leaves_the_browser_unknown(known: Client, bob: User, client: Client) -> None:
    client.post("/accounts/login/", {"login": bob.email, "password": "wrong"})
    assert "browser" not in client.cookies
    assert told() == 0


class _NoMessages:
    def add(self, *_args: Any) -> None:
        """Nobody reads it."""
