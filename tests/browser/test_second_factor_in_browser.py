"""An administrator without a second factor is led to set one up, and goes on to where they were going."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect
from pytest_django.fixtures import Settings

from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener
from tests.support.authenticator_app import code

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_way_to_a_second_factor_and_back(open_as: Opener, alice: User, fleet: Fleet, settings: Settings) -> None:
    settings.ADMINISTRATORS_NEED_SECOND_FACTOR = True
    wanted = reverse("members:invite", args=[fleet.slug])
    page = open_as(None, f"/accounts/login/?next={wanted}")
    page.get_by_label("Email").fill(alice.email)
    page.locator("input[name=password]").fill("pw-of-tests")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="A second factor is needed")).to_be_visible()
    page.get_by_role("link", name="Set up a second factor").click()
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Authenticator code").fill(code(page.locator("p.once").inner_text()))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator("#codes li")).to_have_count(10)
    page.get_by_role("link", name="Go on to where you were going").click()
    page.wait_for_url(f"**{wanted}")
    expect(page.get_by_role("heading", name="Invite people")).to_be_visible()
