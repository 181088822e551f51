"""Lists: search as you type, sorting, row menus, states, phones, print."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)

# The layout shifts that the browser has counted since the page was shown, with their elements.
MOVED = """() => new Promise(done => { const found = [];
  new PerformanceObserver(list => list.getEntries().forEach(entry => entry.sources.forEach(source =>
    found.push(`${source.node?.nodeName}.${source.node?.className} ${source.node?.textContent.trim().slice(0, 30)}`))))
    .observe({ type: 'layout-shift', buffered: true });
  setTimeout(() => done(found), 400); })"""


@pytest.fixture
def vehicles(fleet: Fleet) -> str:
    credential = factory.a_credential(fleet, "Mercedes-Benz Nord")
    factory.a_credential(fleet, "Mercedes test")
    for number in range(14, 18):
        factory.a_vehicle(fleet, credential, name=f"Transporter 0{number}", license_plate=f"HH-NL 14{number}")
    factory.a_vehicle(fleet, name="Golf 03")
    return f"/f/{fleet.slug}/vehicles/"


def rows(page: Page) -> list[str]:
    return [text.split("\n")[0] for text in page.locator("tbody th .name").all_inner_texts()]


def test_search_as_you_type_keeps_focus_and_address(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("hhnl1415", delay=20)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(search).to_be_focused()
    expect(page.locator("mark").first).to_have_text("HH-NL 1415")
    expect(page).to_have_url(re.compile("q=hhnl1415"))
    expect(page.locator("#live")).to_have_text("1 vehicle found")
    page.reload()
    assert rows(page) == ["Transporter 015"]
    page.go_back()
    page.wait_for_url(re.compile(r"vehicles/($|\?(?!.*hhnl))"))


def test_search_without_script_works_by_enter(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles, script=False)
    page.get_by_role("searchbox").fill("golf")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=golf**")
    assert rows(page) == ["Golf 03"]


def test_no_match_offers_the_way_back(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, f"{vehicles}?q=nothing-like-it")
    expect(page.get_by_role("heading", name="nothing-like-it")).to_be_visible()
    page.get_by_role("link", name="Clear search and filters").click()
    expect(page.locator("tbody tr")).to_have_count(5)


def test_sorting_says_its_direction(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    head = page.get_by_role("columnheader", name="Vehicle")
    expect(head).to_have_attribute("aria-sort", "ascending")
    before = rows(page)
    head.get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Vehicle")).to_have_attribute("aria-sort", "descending")
    assert rows(page) == before[::-1]


def test_a_filter_applies_when_it_is_chosen(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    page.get_by_role("combobox", name="Brand").select_option(label="CloudBoxx")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("brand="))


def test_a_row_menu_is_worked_by_keyboard(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    opener = page.get_by_role("button", name="Actions for Golf 03")
    opener.focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("link", name="Edit")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Remove")).to_be_focused()
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_a_viewer_sees_no_action(open_as: Opener, vera: User, vehicles: str) -> None:
    page = open_as(vera, vehicles)
    expect(page.get_by_role("link", name="Add vehicle")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("Actions for"))).to_have_count(0)
    expect(page.get_by_role("checkbox")).to_have_count(0)


def test_an_update_that_fails_is_said_above_the_list(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    page.route("**/vehicles/?q=*", lambda route: route.fulfill(status=500, body="no"))
    page.get_by_role("searchbox").type("golf", delay=10)
    expect(page.get_by_role("alert")).to_contain_text("could not be updated")
    expect(page.locator("tbody tr")).to_have_count(5)


def test_on_a_phone_rows_are_cards_and_remain_a_table(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles, width=390)
    row = page.locator("tbody tr").first
    assert row.evaluate("e => getComputedStyle(e).display") == "grid"
    expect(page.get_by_role("table", name="Vehicles")).to_be_visible()
    expect(page.get_by_role("cell").filter(has_text="HH-NL 1414")).to_be_visible()


@pytest.mark.parametrize("section", ["vehicles", "credentials"])
def test_print_fits_the_paper_and_drops_the_controls(open_as: Opener, bob: User, vehicles: str, section: str) -> None:
    page = open_as(bob, vehicles.replace("vehicles", section))
    page.set_viewport_size({"width": 1017, "height": 700})  # the width of A4 without margins at 96 dpi
    page.emulate_media(media="print", color_scheme="dark")
    for control in (".sidebar", ".toolbar", ".button", ".icon-button", ".table [type=checkbox]"):
        assert not any(one.is_visible() for one in page.locator(control).all()), control
    assert page.evaluate("document.documentElement.scrollWidth") <= 1017
    assert page.locator("thead").evaluate("e => getComputedStyle(e).display") == "table-header-group"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(18, 32, 40)"
    expect(page.locator(".print-only")).to_contain_text("Nordlicht Logistik")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_the_export_holds_what_the_list_shows(open_as: Opener, vera: User, vehicles: str) -> None:
    page = open_as(vera, vehicles)
    page.get_by_role("searchbox").type("golf", delay=10)
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Export CSV").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="For Excel").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Golf 03;")


def test_a_whole_vin_is_opened_by_enter(open_as: Opener, bob: User, fleet: Fleet, vehicles: str) -> None:
    factory.a_vehicle(fleet, name="Van 1", vin="WBA71EF0X0E123456")
    factory.a_vehicle(fleet, name="Van 2", vin="WBA71EF0X0E123457")
    page = open_as(bob, vehicles)
    search = page.get_by_role("searchbox")
    search.type("wba71ef0x 0e12345", delay=5)
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("link", name="Open Van")).to_have_count(0)
    search.type("7", delay=5)
    expect(page.get_by_role("link", name="Open Van 2")).to_be_visible()
    search.press("Enter")
    expect(page.get_by_role("heading", name="Van 2")).to_be_visible()


def test_nothing_moves_after_the_page_is_there(open_as: Opener, bob: User, vehicles: str) -> None:
    page = open_as(bob, vehicles)
    moved = page.evaluate(MOVED)
    assert moved == []
