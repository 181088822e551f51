"""A person adds a passkey and signs in with it, using the browser's virtual authenticator, under the strict policy."""

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def on_localhost(live_server: LiveServer) -> str:
    """Return the server's URL with a host name: passkeys need one, and browsers trust localhost without https."""
    return live_server.url.replace("127.0.0.1", "localhost")


def with_authenticator(page: Page) -> BrowserContext:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**options, "isUserVerified": True, "automaticPresenceSimulation": True}},
    )
    return page.context


def test_a_passkey_is_added_and_signs_in(open_as: Opener, alice: User, fleet: Fleet, on_localhost: str) -> None:
    page = open_as(None, f"{on_localhost}/accounts/login/?next=/accounts/2fa/webauthn/add/")
    with_authenticator(page)
    page.get_by_label("Email").fill(alice.email)
    page.locator("input[name=password]").fill("pw-of-tests")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/webauthn/add/")  # the sign-in just now is the proof
    page.locator("input[name=name]").fill("Laptop")
    page.locator("input[name=passwordless]").check()
    page.locator("#mfa_webauthn_add").click()
    page.wait_for_url(lambda url: "/add/" not in url)
    assert alice.authenticator_set.filter(type="webauthn").count() == 1  # type: ignore[attr-defined]  # allauth's

    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.goto(f"{on_localhost}/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"**/f/{fleet.slug}/**")
    expect(page.get_by_role("button", name="Account menu")).to_be_visible()
    assert AuditEvent.objects.filter(action="user.sign_in", changes__contains={"method": [None, ["webauthn"]]}).exists()
