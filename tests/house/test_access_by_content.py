"""What the table of URLs cannot show: IDs of other fleets in the data, other methods, requests for a fresh sign-in."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import get_resolver, reverse

from credentials.models import Credential
from fleetcontrol.people.confirmation import PROOF, Asks
from fleetcontrol.people.models import Fleet, User
from tests.house.test_access import FLEET_PAGES, Page, addresses, ask, every_address
from tests.people.test_confirmation import FORMS
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_shown
from vehicles.models import Vehicle

__all__ = ["addresses"]  # a fixture that the tests below use
pytestmark = pytest.mark.django_db


@pytest.fixture
def foreign(charlie: User) -> tuple[Credential, Vehicle]:
    """Return a credential and a vehicle of Charlie's fleet."""
    fleet = Fleet.objects.get(memberships__user=charlie)
    credential = factory.a_credential(fleet, name="Charlie's account")
    return credential, factory.a_vehicle(fleet, credential, name="Charlie's van")


@pytest.fixture
def own(fleet: Fleet) -> tuple[Credential, Vehicle]:
    credential = factory.a_credential(fleet, name="Our account")
    return credential, factory.a_vehicle(fleet, credential, name="Our van")


def sent(browser: Client, name: str, fleet: Fleet, data: dict[str, Any], *args: str) -> str:
    """Send the data both in the body and as the query, and return the text of the response."""
    answer = browser.post(reverse(name, args=[fleet.slug, *args], query=data), data)
    assert answer.status_code in (302, 404, 409, 422)
    return answer.content.decode()


def test_a_vehicle_takes_no_credential_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: Any, foreign: tuple[Credential, Vehicle]
) -> None:
    vehicle, theirs = own[1], foreign[0]
    for name in ("vehicles:change", "vehicles:move"):
        page = sent(as_bob, name, fleet, {"name": "Our van", "credential": theirs.pk}, vehicle.pk)
        assert theirs.name not in page
    sent(as_bob, "vehicles:add", fleet, {"telematics_unit_id": "u-1", "credential": theirs.pk}, "MERCEDES_BENZ")
    assert not Vehicle.objects.filter(fleet=fleet).exclude(credential=own[0]).exists()


def test_vehicles_of_another_fleet_are_not_moved(
    as_bob: Client, fleet: Fleet, own: tuple[Credential, Vehicle], foreign: tuple[Credential, Vehicle]
) -> None:
    target = factory.a_credential(fleet, name="Our other account")
    both = {"vehicle": [own[1].pk, foreign[1].pk], "credential": target.pk, "to": target.pk, "confirmed": "yes"}
    sent(as_bob, "vehicles:move_many", fleet, both)
    sent(as_bob, "credentials:move", fleet, both, own[0].pk)
    foreign[1].refresh_from_db()
    assert foreign[1].credential == foreign[0]


def test_vehicles_are_not_moved_to_a_credential_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: tuple[Credential, Vehicle], foreign: tuple[Credential, Vehicle]
) -> None:
    data = {"vehicle": [own[1].pk], "all": "on", "credential": foreign[0].pk, "to": foreign[0].pk, "confirmed": "yes"}
    for page in (
        sent(as_bob, "vehicles:move_many", fleet, data),
        sent(as_bob, "credentials:move", fleet, data, own[0].pk),
    ):
        assert foreign[0].name not in page
    own[1].refresh_from_db()
    assert own[1].credential == own[0]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("vehicles:index", {"credential": "credential", "vehicle": "vehicle"}),
        ("vehicles:export", {"credential": "credential"}),
        ("vehicles:move_many", {"vehicle": "vehicle"}),
        ("credentials:index", {"q": "account"}),
        ("credentials:export", {"q": "account"}),
        ("vehicles:index", {"q": "van"}),
    ],
)
def test_a_query_shows_nothing_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: Any, foreign: tuple[Credential, Vehicle], name: str, query: dict[str, str]
) -> None:
    ids = {"credential": foreign[0].pk, "vehicle": foreign[1].pk}
    answer = as_bob.get(reverse(name, args=[fleet.slug]), {key: ids.get(value, value) for key, value in query.items()})
    text = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    assert b"Charlie" not in text


def test_a_leaked_secret_is_not_looked_for_in_another_fleet(as_bob: Client, fleet: Fleet, foreign: Any) -> None:
    page = as_bob.post(reverse("credentials:find_secret", args=[fleet.slug]), {"value": factory.SECRET})
    assert "Charlie" not in page.content.decode()


def test_the_history_of_another_fleets_people_is_not_filtered_for(
    as_alice: Client, fleet: Fleet, charlie: User
) -> None:
    page = as_alice.get(reverse("history:index", args=[fleet.slug]), {"who": f"user:{charlie.pk}"})
    assert "<details>" not in page.content.decode()


@pytest.mark.parametrize("page", FLEET_PAGES, ids=[page.name for page in FLEET_PAGES])
def test_no_other_method_opens_a_page(page: Page, fleet: Fleet, addresses: Any, charlie: User) -> None:
    address = reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])
    for method in ("head", "options", "put", "patch", "delete"):
        assert ask(signed_in(charlie), method, address).status_code in (404, 405), method
        assert ask(Client(), method, address).status_code == 302, method


@pytest.mark.parametrize("page", [page for page in FLEET_PAGES if page.post != 405], ids=lambda page: page.name)
def test_who_is_asked_to_prove_again_who_they_are(page: Page, fleet: Fleet, addresses: Any, alice: User) -> None:
    """Who sends a form without mistakes, that is: others come back first, see people/test_confirmation.py."""
    address = reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])
    stale = signed_in(alice, fresh=False)
    if page.name in FORMS:
        FORMS[page.name].first()
    shows_form = page.name in FORMS and page.name != "history:export"
    typed = FORMS[page.name].right | version_shown(stale, address) if shows_form else None
    answer = ask(stale, "post", address, typed)
    asked = answer.headers.get("Location", "").startswith(reverse("account_reauthenticate"))
    assert asked is (PROOF.get(page.name) is Asks.LAST)


# allauth's pages by what a visitor gets without signing in. The last group redirects to the sign-in or its next step.
ACCOUNT_OPEN = {
    "account_login",
    "account_inactive",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "socialaccount_login_cancelled",
}
ACCOUNT_SHUT = {
    "account_confirm_email",
    "account_email",
    "account_email_verification_sent",
    "account_signup",
    "openid_connect_callback",  # this test has no provider
    "openid_connect_login",
    "socialaccount_connections",
    "socialaccount_signup",
}
ACCOUNT_OWN = {
    "account_change_password",
    "account_confirm_login_code",
    "account_logout",
    "account_reauthenticate",
    "account_set_password",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_authenticate",
    "mfa_deactivate_totp",
    "mfa_download_recovery_codes",
    "mfa_edit_webauthn",
    "mfa_generate_recovery_codes",
    "mfa_index",
    "mfa_list_webauthn",
    "mfa_login_webauthn",  # answers JSON requests only
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "socialaccount_login_error",
    "usersessions_list",
}
ACCOUNT_ARGUMENTS: dict[str, list[Any]] = {
    "account_confirm_email": ["x"],
    "account_reset_password_from_key": ["1", "x-y"],
    "mfa_edit_webauthn": [1],
    "mfa_remove_webauthn": [1],
    "openid_connect_callback": ["oidc"],
    "openid_connect_login": ["oidc"],
}


def test_every_page_of_the_account_is_in_the_table() -> None:
    names = {name for name, route in every_address(get_resolver()) if route.startswith("accounts/")}
    assert names - {"None"} == ACCOUNT_OPEN | ACCOUNT_SHUT | ACCOUNT_OWN


@pytest.mark.parametrize("name", sorted(ACCOUNT_OPEN | ACCOUNT_SHUT | ACCOUNT_OWN))
def test_a_page_of_the_account_is_open_or_leads_to_the_sign_in(client: Client, name: str) -> None:
    answer = client.get(reverse(name, args=ACCOUNT_ARGUMENTS.get(name, [])))
    expected = 200 if name in ACCOUNT_OPEN else 404 if name in ACCOUNT_SHUT else 302
    assert answer.status_code == expected
    if name in ACCOUNT_OWN:
        assert answer.headers["Location"].split("?")[0] in ("/accounts/login/", "/")


@pytest.mark.parametrize("name", ["mfa_edit_webauthn", "mfa_remove_webauthn"])
def test_another_persons_passkey_is_not_found(as_bob: Client, alice: User, name: str) -> None:
    passkey = Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data={"name": "Alice's"})
    assert as_bob.get(reverse(name, args=[passkey.pk])).status_code in (302, 404)
    as_bob.post(reverse(name, args=[passkey.pk]), {"name": "Bob's"})
    passkey.refresh_from_db()
    assert passkey.data["name"] == "Alice's"
