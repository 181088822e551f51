"""Confirm that it is you: a form is validated first, confirmed last, then done once, and answers at its own address.

Every view that asks for a fresh sign-in is tried; the table of every address finds them.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import resolve, reverse
from pytest_django.fixtures import Settings

from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.confirmation import WAITING
from fleetcontrol.people.models import Fleet, Invitation, Role, User
from tests.house.test_access import FLEET_PAGES
from tests.house.test_access import addresses as addresses  # the fixture of the table
from tests.support import factory
from tests.support.api import Answer
from tests.support.browsers import signed_in
from tests.support.forms import version_shown
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db
PASSWORD = "pw-of-tests"


@dataclass
class Form:
    """A form that asks for fresh proof. `wrong` is answered with `refused`; `right` does something once."""

    right: dict[str, Any]
    is_done: Callable[[], bool]
    then: int  # the status of the answer at the form's own address once it is done
    wrong: dict[str, Any] | None = None
    says: str = ""
    first: Callable[[], object] = lambda: None  # makes what the form works on


FORMS: dict[str, Form] = {
    "members:invite": Form(
        {"emails": "new2@example.com", "role": "viewer"},
        lambda: len(sent_mail()) == 1 and Invitation.objects.filter(email="new2@example.com").count() == 1,
        302,
        {"emails": "new2@example.com nonsense", "role": "viewer"},
        "Not an email address: nonsense",
    ),
    "members:change": Form(
        {"role": "manager"},
        lambda: AuditEvent.objects.filter(action="member.change").count() == 1,
        302,
        {"role": "emperor"},
        "emperor",
    ),
    "members:remove": Form({}, lambda: AuditEvent.objects.filter(action="member.remove").count() == 1, 302),
    "invitations:resend": Form({}, lambda: len(sent_mail()) == 1, 302),
    "invitations:revoke": Form({}, lambda: not Invitation.objects.exists(), 302),
    "clients:add": Form(
        {"name": "Second", "read": ["vehicles.ro"], "lasts": "90"},
        lambda: ApiClient.objects.filter(name="Second").count() == 1,
        200,
        {"name": "erp", "read": ["vehicles.ro"], "lasts": "90"},
        "This fleet has an API client of this name already.",
    ),
    "clients:change": Form(
        {"read": ["vehicles.ro"], "ends_on": "2099-12-31"},
        lambda: AuditEvent.objects.filter(action="client.change").count() == 1,
        302,
        {"read": ["vehicles.ro"], "ends_on": "2001-01-01"},
        "This day has passed.",
    ),
    "clients:replace_secret": Form(
        {"overlap": "24h"},
        lambda: AuditEvent.objects.filter(action="client.replace_secret").count() == 1,
        200,
        {"overlap": "forever"},
        "forever",
    ),
    "clients:stop_former": Form(
        {},
        lambda: AuditEvent.objects.filter(action="client.stop_former").count() == 1,
        302,
        first=lambda: ApiClient.objects.get().replace_secret(actor=factory.TEST, overlap="24h"),
    ),
    "clients:revoke": Form({}, lambda: AuditEvent.objects.filter(action="client.revoke").count() == 1, 302),
    "credentials:webhook": Form(
        {"what": "set_up", "url": "https://hooks.example.com/T0/secret"},
        lambda: AuditEvent.objects.filter(action="webhook.set_up").count() == 1,
        200,
        {"what": "set_up", "url": "http://hooks.example.com/T0/secret"},
        "Enter an address that starts with https://",
    ),
    "history:export": Form({}, lambda: AuditEvent.objects.filter(action="audit.export").exists(), 200),
    "fleets:change": Form(
        {"name": "Südlicht"},
        lambda: AuditEvent.objects.filter(action="fleet.change").count() == 1,
        302,
        {"name": ""},
        "This field is required",
    ),
    "fleets:remove": Form(
        {"name": "Nordlicht Logistik"},
        lambda: not Fleet.objects.filter(slug="nordlicht-logistik").exists(),
        302,
        {"name": "something"},
        "This is not the name of the fleet.",
    ),
}


@pytest.fixture
def stale(alice: User) -> Client:
    return signed_in(alice, fresh=False)


@pytest.fixture
def address(request: pytest.FixtureRequest, fleet: Fleet, addresses: dict[str, Any]) -> str:
    page = next(page for page in FLEET_PAGES if page.name == request.param)
    return reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])


def confirm(client: Client, answer: Answer) -> Answer:
    """Enter the password on the page that the answer leads to, as a browser does. Returns what comes after it."""
    page = client.get(answer.url)
    assert page.status_code == 200 and answer.url.startswith(reverse("account_reauthenticate"))
    back = re.search(r'name="next" value="([^"]+)"', page.content.decode())
    assert back
    return client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": unescape(back[1])})


def send(client: Client, address: str, typed: dict[str, Any], once: str = "token-1") -> Answer:
    """Send a form as a browser does, with the version that it shows."""
    version = version_shown(client, address) if re.search("role/|change|settings|reminders", address) else {}
    sent = urlencode(typed | version | {"once": once}, doseq=True)
    return client.post(address, sent, content_type="application/x-www-form-urlencoded")


def test_every_view_that_asks_for_fresh_proof_is_tried(fleet: Fleet, addresses: dict[str, Any]) -> None:
    pages = {page.name: reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of]) for page in FLEET_PAGES}
    asking = {name for name, path in pages.items() if getattr(resolve(path).func, "asks_for_fresh_sign_in", False)}
    assert asking == FORMS.keys()


@pytest.mark.parametrize(("address", "name"), [(n, n) for n, f in FORMS.items() if f.wrong], indirect=["address"])
def test_a_mistake_is_said_at_the_forms_address_before_anything_is_asked(
    name: str, address: str, stale: Client
) -> None:
    form = FORMS[name]
    answer = send(stale, address, form.wrong or {})
    assert answer.status_code == 422
    assert form.says in answer.content.decode()
    assert not form.is_done()


@pytest.mark.parametrize(("address", "name"), [(n, n) for n in FORMS], indirect=["address"])
def test_what_is_right_is_confirmed_and_then_done_once_at_the_forms_address(
    name: str, address: str, stale: Client
) -> None:
    form = FORMS[name]
    form.first()
    asked = send(stale, address, form.right)
    assert asked.status_code == 302 and not form.is_done()
    back = confirm(stale, asked)
    assert back.status_code == 302 and back.url.split("?")[0] == address and not form.is_done()
    done = stale.get(back.url)
    assert done.status_code == form.then
    assert form.is_done()
    stale.get(back.url)
    stale.get(back.url, follow=True)
    assert form.is_done(), "the way back works once"


@pytest.mark.parametrize("address", ["members:invite"], indirect=True)
def test_a_form_that_waits_may_be_sent_again_but_is_done_once(address: str, stale: Client) -> None:
    form = FORMS["members:invite"]
    send(stale, address, form.right)
    asked = send(stale, address, form.right)  # went back and sent it again, before confirming
    assert asked.url.startswith(reverse("account_reauthenticate"))
    stale.get(confirm(stale, asked).url)
    assert form.is_done()
    again = send(stale, address, form.right)
    assert again.status_code == 302 and "reauthenticate" not in again.url
    assert form.is_done()


@pytest.mark.parametrize("address", ["members:invite"], indirect=True)
def test_what_became_wrong_meanwhile_is_said_at_the_forms_address(address: str, stale: Client, fleet: Fleet) -> None:
    asked = send(stale, address, FORMS["members:invite"].right)
    back = confirm(stale, asked)
    factory.a_member(fleet, Role.VIEWER, name="New2")
    answer = stale.get(back.url)
    assert answer.status_code == 422
    assert "Members of this fleet already: New2." in answer.content.decode()
    assert "new2@example.com</textarea>" in answer.content.decode()


@pytest.mark.parametrize("address", ["members:invite"], indirect=True)
def test_without_the_proof_the_way_back_does_nothing(address: str, stale: Client, alice: User) -> None:
    asked = send(stale, address, FORMS["members:invite"].right)
    token = next(iter(stale.session[WAITING]))
    for client in (stale, signed_in(alice)):  # not confirmed; confirmed in another session
        assert client.get(f"{address}?proof={token}").status_code == 200
    assert not sent_mail()
    other = address.replace("invite/", "")
    assert stale.get(confirm(stale, asked).url.replace(address, other)).status_code == 200
    assert not sent_mail()


@pytest.mark.parametrize("address", ["members:invite"], indirect=True)
def test_a_form_does_not_wait_for_ever(address: str, stale: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = send(stale, address, FORMS["members:invite"].right)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1900)
    assert stale.get(confirm(stale, asked).url).status_code == 200
    assert not sent_mail()


@pytest.mark.parametrize("address", ["clients:add"], indirect=True)
def test_who_confirms_at_the_provider_finds_the_form_filled_in(
    address: str, stale: Client, alice: User, settings: Settings
) -> None:
    settings.OIDC = {"provider_id": "oidc"}
    alice.set_unusable_password()
    alice.save()
    Authenticator.objects.filter(user=alice).delete()
    stale.force_login(alice)
    keep = re.search(r'name="keep" value="([^"]*)"', stale.get(address).content.decode())
    assert keep
    typed = {"name": "Second", "read": ["vehicles.ro", "telematics-credentials.ro"], "lasts": "30", "keep": keep[1]}
    answer = send(stale, address, typed)
    assert answer.status_code == 302 and "oidc" in answer.url and "prompt%3Dlogin" in answer.url
    page = stale.get(address).content.decode()
    assert 'value="Second"' in page
    ticked = re.findall(r'value="([\w.-]+)"[^>]*checked', page)
    assert ticked == ["telematics-credentials.ro", "vehicles.ro"]
