"""Every address that changes something is decided: it asks for fresh proof of who the person is, or it does not.

A new address fails here until it is in `fleetcontrol.people.confirmation.PROOF` or in the list below. What a person may
do in a fleet by their role is in tests/house/test_access.py, and tests/house/test_access_by_content.py tries each page.
"""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import get_resolver, reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.confirmation import PROOF, Asks
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.house.test_access import FLEET_PAGES, OPEN_PAGES, OWN_PAGES, every_address
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_shown

pytestmark = pytest.mark.django_db

# Work of every day on vehicles and credentials. Whoever may do it cannot read a secret, nor gain or give any access.
DAILY = {
    "credentials:add",
    "credentials:change",
    "credentials:rotate",
    "credentials:revert",
    "credentials:verify",
    "credentials:move",
    "credentials:remove",
    "credentials:find_secret",
    "credentials:export",
    "vehicles:add",
    "vehicles:change",
    "vehicles:move",
    "vehicles:move_many",
    "vehicles:remove",
    "vehicles:export",
    "imports:add",
    "imports:columns",
    "imports:write",
    "imports:cancel",
}
# Lists that only look as if they took a form.
LISTS = {"members:index", "clients:index", "history:index"}
OWN = {
    "people:preferences",
    "people:profile",  # the name
    "fleets:add",  # a fleet that holds nothing, for superusers
    "people:second_factor_needed",
    "fleetcontrol:home",
    "fleetcontrol:health",
    "fleetcontrol:security_txt",
    "fleetcontrol:styleguide",
    "invitations:accept",  # the link is the proof
}
# Ways in and out, and the proof itself.
ACCOUNT = {
    "account_login",
    "account_logout",
    "account_inactive",
    "account_reauthenticate",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",  # the link is the proof
    "account_reset_password_from_key_done",
    "account_confirm_login_code",
    "mfa_index",
    "mfa_authenticate",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_list_webauthn",
    "mfa_login_webauthn",
    "openid_connect_login",
    "openid_connect_callback",
    "socialaccount_login_cancelled",
    "socialaccount_login_error",
    "usersessions_list",  # signs out elsewhere, which must be quick
}
SHUT = {
    "account_signup",
    "account_email",
    "account_email_verification_sent",
    "account_confirm_email",
    "socialaccount_signup",
    "socialaccount_connections",
    "None",  # allauth's former addresses, which redirect to the above
}
# The rest of the Django admin shows, or changes vehicles and credentials.
ADMIN = {
    "admin:index",
    "admin:login",
    "admin:logout",
    "admin:password_change_done",
    "admin:autocomplete",
    "admin:jsi18n",
    "admin:view_on_site",
    "admin:app_list",
    "admin:None",
    "admin:people_user_changelist",
    "admin:people_user_delete",  # nobody may
    "admin:people_fleet_changelist",
    "admin:people_fleet_delete",  # nobody may
    *(f"admin:api_apiclient_{page}" for page in ("add", "change", "delete")),  # nobody may change any there
    *(f"admin:{kind}_history" for kind in ("people_fleet", "people_membership", "people_user", "api_apiclient")),
    *(
        f"admin:{kind}_{page}"
        for kind in ("credentials_credential", "vehicles_vehicle", "audit_auditevent")
        for page in ("changelist", "add", "change", "delete", "history")
    ),
}
DO_NOT_ASK = DAILY | LISTS | OWN | ACCOUNT | SHUT | ADMIN


def names() -> set[str]:
    """Every address that takes a form, or may take one."""
    shows = {page.name for page in FLEET_PAGES if page.post == 405}
    shows |= {name for name, (_get, post) in (OWN_PAGES | OPEN_PAGES).items() if post == 405}
    return {name for name, _route in every_address(get_resolver())} - shows


def test_every_address_is_decided() -> None:
    assert names() - PROOF.keys() - DO_NOT_ASK == set(), "add it to PROOF, or say here why it does not ask"
    assert PROOF.keys() - names() == DO_NOT_ASK - names() == set(), "these are no longer there"
    assert PROOF.keys() & DO_NOT_ASK == set()


ARGUMENTS = {"mfa_edit_webauthn": [1], "mfa_remove_webauthn": [1]}


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", [name for name, asks in PROOF.items() if asks is Asks.FIRST])
def test_a_page_of_ones_own_account_asks_before_it_is_shown(bob: User, name: str, method: str) -> None:
    if name == "account_set_password":
        bob.set_unusable_password()
        bob.save()
    Authenticator.objects.create(user=bob, type=Authenticator.Type.RECOVERY_CODES, data={})
    address = reverse(name, args=ARGUMENTS.get(name, []))
    asked = getattr(signed_in(bob, fresh=False), method)(address)
    page = "mfa_reauthenticate" if name == "account_set_password" else "account_reauthenticate"
    assert (asked.status_code, asked["Location"]) == (302, reverse(page, query={"next": address}))


@pytest.fixture
def rows(fleet: Fleet, alice: User, bob: User) -> dict[str, Any]:
    membership = Membership.objects.get(user=bob)
    return {
        "admin:people_fleet_change": fleet.pk,
        "admin:people_membership_change": membership.pk,
        "admin:people_membership_delete": membership.pk,
        "admin:people_user_change": bob.pk,
        "admin:auth_user_password_change": bob.pk,
    }


@pytest.mark.parametrize("name", [name for name, asks in PROOF.items() if asks is Asks.SENT])
def test_a_form_of_the_django_admin_asks_when_it_is_sent(rows: dict[str, Any], name: str) -> None:
    root = signed_in(factory.a_user("Root", is_staff=True, is_superuser=True), fresh=False)
    address = reverse(name, args=[rows[name]] if name in rows else [])
    assert root.get(address).status_code == 200
    before = AuditEvent.objects.count()
    asked = root.post(address, {"post": "yes", "_save": "Save"})
    assert asked.status_code == 302 and asked["Location"].startswith(reverse("account_reauthenticate"))
    assert AuditEvent.objects.count() == before


def test_a_form_of_the_django_admin_is_done_after_the_proof(fleet: Fleet, alice: User, bob: User) -> None:
    root = signed_in(factory.a_user("Root", is_staff=True, is_superuser=True), fresh=False)
    address = reverse("admin:people_membership_change", args=[Membership.objects.get(user=bob).pk])
    asked = root.post(address, {"role": Role.VIEWER, "_continue": "yes"} | version_shown(root, address))
    back = root.post(asked["Location"], {"password": "pw-of-tests"})
    assert back.status_code == 302 and back["Location"].startswith(address)
    assert Membership.objects.get(user=bob).role == Role.MANAGER, "not yet"
    done = root.get(back["Location"])
    assert Membership.objects.get(user=bob).role == Role.VIEWER
    assert done["Location"] == address, "the button that was pressed counts"
    assert root.get(back["Location"]).status_code == 200
    assert AuditEvent.objects.filter(action="member.change").count() == 1, "the way back works once"


def test_other_pages_of_the_django_admin_do_not_ask(fleet: Fleet) -> None:
    root: Client = signed_in(factory.a_user("Root", is_staff=True, is_superuser=True), fresh=False)
    vehicle = factory.a_vehicle(fleet)
    assert root.post(reverse("admin:vehicles_vehicle_delete", args=[vehicle.pk]), {"post": "yes"}).status_code == 302
    assert not fleet.vehicles.exists()
