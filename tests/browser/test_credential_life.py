"""A credential in a browser, from the first mistyped secret to its deletion, against a local OEM."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from credentials.oem.demo import DemoOem
from fleetcontrol.people.models import Fleet, User
from tests.browser.accessibility import violations
from tests.browser.conftest import Opener
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("script", [True, False])
def test_added_with_a_slip_mended_replaced_and_taken_back(
    open_as: Opener, bob: User, fleet: Fleet, oem: DemoOem, *, script: bool
) -> None:
    page = open_as(bob, f"/f/{fleet.slug}/credentials/add/tesla/", script=script)
    page.get_by_label("Name", exact=True).fill("Tesla Europe")
    page.get_by_label("Client ID", exact=True).fill("client1")
    page.get_by_label("Client secret", exact=True).fill("wrong-1")
    page.get_by_label("Region").select_option(label="Europe")
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_role("alert").filter(has_text="Tesla refused these details.")).to_be_visible()
    if script:
        assert violations(page, "light") == []
    page.get_by_label("Client secret", exact=True).fill("right-1")
    page.get_by_role("button", name="Check and save").click()
    expect(page.get_by_text("Tesla Europe saved. Its connection works.")).to_be_visible()
    sentences = {"wrong-2": "nothing has changed", "right-2": "Version 2 is in use. The connection works."}
    for secret, sentence in sentences.items():
        if secret == "wrong-2":
            page.get_by_role("link", name="Replace secret").first.click()
        page.get_by_label("Client secret", exact=True).fill(secret)
        page.get_by_role("button", name="Check and replace").click()
        expect(page.get_by_text(sentence)).to_be_visible()
    page.get_by_role("button", name="Go back to version 1").click()
    expect(page.get_by_text("Version 1 is in use. The connection works.")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_retired_by_moving_its_vehicles(open_as: Opener, bob: User, fleet: Fleet, width: int) -> None:
    old, new = (
        factory.a_credential(fleet, name, brand="TESLA", values={"region": region, "client_secret": name})
        for name, region in (("Tesla Europe", "EU"), ("Tesla America", "NA"))
    )
    for _number in range(3):
        factory.a_vehicle(fleet, old)
    page = open_as(bob, f"/f/{fleet.slug}/credentials/{old.pk}/delete/", width=width)
    page.get_by_role("checkbox", name="Choose Vehicle").first.check()
    page.get_by_label("Move all 3 vehicles to").select_option("Tesla America (North America)")
    page.get_by_role("button", name="Review the move").click()
    expect(page.get_by_role("heading", name="Move 1 vehicle to Tesla America?")).to_be_visible()
    expect(page.get_by_text("The two credentials differ: Region.")).to_be_visible()
    assert violations(page, "light") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Move 1 vehicle").click()
    page.get_by_role("button", name="Review the move").click()
    page.get_by_role("button", name="Move 2 vehicles").click()
    expect(page.get_by_text("2 vehicles moved. You can delete Tesla Europe now.")).to_be_visible()
    page.get_by_role("button", name="Delete Tesla Europe").click()
    expect(page.get_by_text("Tesla Europe deleted.")).to_be_visible()
    assert fleet.credentials.get() == new
