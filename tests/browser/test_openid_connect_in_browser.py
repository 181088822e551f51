"""The provider's button works under the content security policy, whose form-action also covers redirects."""

import pytest
from playwright.sync_api import expect
from pytest_django.fixtures import Settings

from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener
from tests.support.oidc import CLIENT_ID, CLIENT_SECRET, provider

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_person_signs_in_through_the_provider(open_as: Opener, bob: User, fleet: Fleet, settings: Settings) -> None:
    with provider() as oidc:
        app: dict[str, object] = {
            "provider_id": "oidc",
            "name": "Example SSO",
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
        }
        app["settings"] = {"server_url": oidc.issuer, "oauth_pkce_enabled": True}
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        settings.SECURE_CSP = {**settings.SECURE_CSP, "form-action": ["'self'", oidc.issuer]}
        oidc.person = {"sub": "1", "email": bob.email, "email_verified": True}
        page = open_as(None, f"/accounts/login/?next=/f/{fleet.slug}/vehicles/")
        page.get_by_role("button", name="Continue with Example SSO").click()
        page.wait_for_url(f"**/f/{fleet.slug}/vehicles/")
        expect(page.get_by_role("button", name="Account menu")).to_be_visible()
