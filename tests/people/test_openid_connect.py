"""Invited people sign in through a real OpenID Connect provider. Nobody else gets in."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from django.urls import reverse, reverse_lazy

from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Invitation, Membership, Role, User
from tests.support import factory
from tests.support.authenticator_app import code, set_up
from tests.support.browsers import is_signed_in, signed_in
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, Provider, provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def oidc(settings: Any) -> Iterator[Provider]:
    with provider() as found:
        settings.OIDC = {
            "provider_id": "oidc",
            "name": "Example SSO",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": found.issuer, "oauth_pkce_enabled": True},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [settings.OIDC]}}
        yield found


def sign_in(client: Client, oidc: Provider, **claims: Any) -> Any:
    """Go through the provider and back."""
    oidc.person = {"sub": "1234", "email": "bob@example.com", "email_verified": True, "name": "Bob"} | claims
    start = client.post(reverse("openid_connect_login", args=["oidc"]))
    assert start.status_code == 302, start.content.decode()
    at_provider = httpx2.get(start["Location"])
    return client.get(at_provider.headers["Location"].removeprefix("http://testserver"))


@pytest.fixture
def bob_of_provider(bob: User) -> User:
    """Bob, who has no password."""
    bob.set_unusable_password()
    bob.save()
    return bob


def prove(client: Client, oidc: Provider, asked: Any) -> Any:
    """Follow an answer that asks for proof to the provider, enter the password there, and come back."""
    assert asked.status_code == 302 and asked["Location"].startswith(reverse("openid_connect_login", args=["oidc"]))
    start = client.post(asked["Location"])
    at_provider = httpx2.get(start["Location"])
    return client.get(at_provider.headers["Location"].removeprefix("http://testserver"))


def test_the_sign_in_page_offers_it(client: Client, oidc: Provider) -> None:
    assert "Example SSO" in client.get(reverse("account_login")).content.decode()


def test_a_person_is_found_by_verified_email(client: Client, bob: User, fleet: Fleet, oidc: Provider) -> None:
    sign_in(client, oidc, email="BOB@example.com")
    assert client.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 200
    assert AuditEvent.objects.filter(action="user.sign_in", actor_label="Bob", fleet_id=fleet.pk).exists()


def test_an_unverified_email_finds_nobody(client: Client, bob: User, oidc: Provider) -> None:
    for verified in (False, None, "true"):
        sign_in(client, oidc, email_verified=verified)
        assert not is_signed_in(client)


def test_a_stranger_stays_outside(client: Client, oidc: Provider) -> None:
    answer = sign_in(client, oidc, email="mallory@example.com", sub="666")
    assert not is_signed_in(client)
    assert not User.objects.filter(email="mallory@example.com").exists()
    assert "invited" in answer.content.decode()


def test_an_invited_person_gets_an_account_and_is_in(client: Client, fleet: Fleet, oidc: Provider) -> None:
    Invitation.add(fleet=fleet, emails=["nina@example.com"], role=Role.MANAGER, actor=factory.TEST)
    sign_in(client, oidc, email="nina@example.com", sub="77", name="Nina")
    assert client.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 200
    membership = Membership.objects.get(user__email="nina@example.com")
    assert (membership.role, membership.user.name) == ("manager", "Nina")
    assert not membership.user.has_usable_password()


def test_a_blocked_person_stays_outside(client: Client, bob: User, oidc: Provider) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    sign_in(client, oidc)
    assert not is_signed_in(client)


def test_the_second_factor_is_asked_for_here_too(client: Client, bob: User, oidc: Provider) -> None:
    TOTP.activate(bob, generate_totp_secret())
    answer = sign_in(client, oidc)
    assert answer["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(client)


def test_a_forged_state_is_refused(client: Client, bob: User, oidc: Provider) -> None:
    oidc.person = {"sub": "1234", "email": "bob@example.com", "email_verified": True}
    start = client.post(reverse("openid_connect_login", args=["oidc"]))
    back = httpx2.get(start["Location"]).headers["Location"].removeprefix("http://testserver")
    other = Client()
    other.get(back)
    assert not is_signed_in(other), "the answer of one browser is no good in another"


def test_who_has_no_password_proves_again_at_the_provider(bob: User, fleet: Fleet, oidc: Provider) -> None:
    bob.set_unusable_password()
    bob.save()
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Ada")
    bob.memberships.update(role=Role.ADMINISTRATOR)
    browser = signed_in(bob, fresh=False)
    answer = browser.post(reverse("members:invite", args=[fleet.slug]), {"emails": "a@example.com", "role": "viewer"})
    assert answer["Location"].startswith(reverse("openid_connect_login", args=["oidc"]))
    assert httpx2.get(browser.post(answer["Location"])["Location"]).status_code == 302
    assert oidc.prompts == ["login"]


SET_PASSWORD, SET_UP = reverse_lazy("account_set_password"), reverse_lazy("mfa_activate_totp")
NEW = {"password1": "another-long-one-8", "password2": "another-long-one-8"}


@pytest.mark.parametrize("page", [SET_PASSWORD, SET_UP, reverse_lazy("mfa_add_webauthn")])
@pytest.mark.parametrize("fresh", ["sign-in without a question", "no record"])
def test_a_session_alone_gives_itself_no_password_and_no_factor(
    client: Client, bob_of_provider: User, oidc: Provider, page: str, fresh: str
) -> None:
    if fresh == "no record":
        client = signed_in(bob_of_provider, fresh=False)
    else:
        sign_in(client, oidc)
    for method in ("get", "post"):
        asked = getattr(client, method)(page, NEW | {"code": "123456"} if method == "post" else {})
        assert "prompt%3Dlogin%26max_age%3D0" in asked["Location"]
    bob_of_provider.refresh_from_db()
    assert not bob_of_provider.has_usable_password()
    assert not Authenticator.objects.exists()
    assert "secret" not in " ".join(client.session.keys()), "the seed was not even made"


def test_a_fresh_sign_in_at_the_provider_is_proof(client: Client, bob_of_provider: User, oidc: Provider) -> None:
    sign_in(client, oidc)
    back = prove(client, oidc, client.get(SET_PASSWORD))
    assert back["Location"].startswith(str(SET_PASSWORD))
    assert client.get(back["Location"]).status_code == 200
    client.post(SET_PASSWORD, NEW)
    bob_of_provider.refresh_from_db()
    assert bob_of_provider.has_usable_password()


def test_a_provider_that_does_not_say_when_proves_nothing(
    client: Client, bob_of_provider: User, oidc: Provider
) -> None:
    oidc.says_when = False
    sign_in(client, oidc)
    prove(client, oidc, client.get(SET_UP))
    assert client.get(SET_UP).status_code == 302
    assert "has not said that you signed in to it just now" in client.get("/profile/").content.decode()


@pytest.mark.parametrize("said", [10**12, "9999999999", True, None, [1], -1])
def test_what_the_provider_says_of_the_time_is_not_believed_blindly(
    client: Client, bob_of_provider: User, oidc: Provider, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(client, oidc, auth_time=said)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 700)
    assert client.get(SET_UP).status_code == 302


def test_a_silent_sign_in_of_an_older_one_is_no_proof(client: Client, bob_of_provider: User, oidc: Provider) -> None:
    """Whoever takes the wish to be asked out of the address gets the time of the former sign-in."""
    sign_in(client, oidc)
    asked = client.get(SET_UP)["Location"].replace("prompt%3Dlogin%26max_age%3D0", "max_age%3D9999999")
    start = client.post(asked)
    client.get(httpx2.get(start["Location"]).headers["Location"].removeprefix("http://testserver"))
    assert client.get(SET_UP).status_code == 302


def test_who_has_a_factor_proves_with_it(client: Client, bob_of_provider: User, oidc: Provider) -> None:
    seed = set_up(bob_of_provider)
    sign_in(client, oidc)
    client.post(reverse("mfa_authenticate"), {"code": code(seed)})
    assert client.get(SET_PASSWORD).status_code == 200, "the sign-in was proof by the factor"
    stale = signed_in(bob_of_provider, fresh=False)
    assert stale.get(SET_PASSWORD)["Location"].startswith(reverse("mfa_reauthenticate"))


def test_the_export_of_the_history_goes_on_with_its_filters(
    client: Client, bob_of_provider: User, fleet: Fleet, oidc: Provider
) -> None:
    bob_of_provider.memberships.update(role=Role.ADMINISTRATOR)
    sign_in(client, oidc)
    back = prove(client, oidc, client.get(reverse("history:export", args=[fleet.slug, "csv"], query={"area": "user"})))
    assert "area=user" in back["Location"]
    assert client.get(back["Location"]).status_code == 200


def test_a_button_goes_on_after_the_proof_at_the_provider(
    client: Client, bob_of_provider: User, fleet: Fleet, oidc: Provider
) -> None:
    bob_of_provider.memberships.update(role=Role.ADMINISTRATOR)
    api_client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    sign_in(client, oidc)
    asked = client.post(reverse("clients:revoke", args=[fleet.slug, api_client.client_id]))
    back = prove(client, oidc, asked)
    api_client.refresh_from_db()
    assert api_client.revoked_at is None
    client.get(back["Location"])
    api_client.refresh_from_db()
    assert api_client.revoked_at


def test_a_button_does_not_go_on_for_somebody_else(
    client: Client, bob_of_provider: User, fleet: Fleet, alice: User, oidc: Provider
) -> None:
    bob_of_provider.memberships.update(role=Role.ADMINISTRATOR)
    api_client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    sign_in(client, oidc)
    asked = client.post(reverse("clients:revoke", args=[fleet.slug, api_client.client_id]))
    oidc.person |= {"sub": "2", "email": alice.email}
    client.get(prove(client, oidc, asked)["Location"])
    api_client.refresh_from_db()
    assert api_client.revoked_at is None


@pytest.mark.parametrize("counts", [True, False], ids=["counts", "does not count"])
def test_the_provider_counts_as_second_factor_only_if_the_operator_says_so(
    client: Client, bob: User, fleet: Fleet, oidc: Provider, settings: Any, counts: Any
) -> None:
    settings.OIDC_SECOND_FACTOR = counts
    Fleet.objects.update(require_second_factor=True)
    sign_in(client, oidc)
    assert client.get(reverse("vehicles:index", args=[fleet.slug])).status_code == (200 if counts else 302)
    by_password = Client()
    by_password.post(reverse("account_login"), {"login": bob.email, "password": "pw-of-tests"})
    assert by_password.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 302
