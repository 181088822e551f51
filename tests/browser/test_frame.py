"""The frame around every page: menus, theme, language, shortcuts, drawer, skip link."""

import re

import pytest
from playwright.sync_api import expect

from fleetcontrol.people.models import Fleet, Role, User
from tests.browser.conftest import Opener
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def vehicles(fleet: Fleet) -> str:
    return f"/f/{fleet.slug}/vehicles/"


def test_the_account_menu_stores_the_theme(open_as: Opener, alice: User, vehicles: str) -> None:
    page = open_as(alice, vehicles)
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Dark", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(13, 19, 22)"
    expect(page).to_have_url(re.compile(f"{vehicles}$"))
    alice.refresh_from_db()
    assert alice.theme == "dark"


def test_the_account_menu_switches_the_language(open_as: Opener, alice: User, vehicles: str) -> None:
    page = open_as(alice, vehicles, script=False)
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("link", name="Fahrzeuge", exact=True)).to_be_visible()


def test_shortcuts_lead_to_pages_and_can_be_turned_off(open_as: Opener, alice: User, vehicles: str) -> None:
    page = open_as(alice, vehicles)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/credentials/")
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Off", exact=True).click()
    page.wait_for_load_state()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()


def test_a_menu_is_worked_by_keyboard_alone(open_as: Opener, alice: User, vehicles: str) -> None:
    page = open_as(alice, vehicles)
    opener = page.get_by_role("button", name="Account menu")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="System")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Light")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_the_skip_link_is_first_and_leads_to_the_content(open_as: Opener, alice: User, vehicles: str) -> None:
    page = open_as(alice, vehicles)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("script", [True, False])
def test_on_a_phone_the_sidebar_is_a_drawer(open_as: Opener, alice: User, vehicles: str, *, script: bool) -> None:
    page = open_as(alice, vehicles, width=390, script=script)
    entry = page.get_by_role("link", name="OEM Credentials")
    expect(entry).to_be_hidden()
    page.get_by_role("button", name="Menu", exact=True).click()
    expect(entry).to_be_visible()
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()


def test_another_fleet_opens_in_the_same_section(open_as: Opener, alice: User, vehicles: str) -> None:
    other = factory.a_fleet(name="Südstern", slug="suedstern", administrator=alice)
    page = open_as(alice, vehicles.replace("vehicles", "credentials"))
    page.get_by_role("button", name="Nordlicht Logistik").click()
    page.get_by_role("link", name="Südstern").click()
    page.wait_for_url(f"**/f/{other.slug}/credentials/")


def test_the_navigation_shows_what_the_role_allows(open_as: Opener, vera: User, vehicles: str) -> None:
    page = open_as(vera, vehicles)
    expect(page.get_by_role("link", name="Vehicles", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("link", name="Members")).to_have_count(0)
    assert str(Role.VIEWER.label) in page.locator(".account").inner_text()
