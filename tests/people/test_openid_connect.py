"""Invited people sign in through a real OpenID Connect provider. Nobody else gets in."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from django.urls import reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Invitation, Membership, Role, User
from tests.support import factory
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
