"""The Django admin in a browser, under the same content security policy as every page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from fleetcontrol.people.models import Fleet, Role, User
from tests.browser.conftest import Opener
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def root(fleet: Fleet) -> User:
    return factory.a_member(fleet, Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True)


def test_a_vehicle_is_added_with_its_credential_found_by_search(open_as: Opener, root: User, fleet: Fleet) -> None:
    factory.a_credential(fleet, name="Mercedes-Benz Berlin")
    factory.a_credential(fleet, name="Mercedes-Benz München")
    factory.a_credential(fleet, name="Tesla Berlin", brand="TESLA")
    page = open_as(root, "/admin/vehicles/vehicle/add/")
    page.locator(".select2-selection").click()
    page.get_by_role("option", name=fleet.name).click()
    page.get_by_label("Mercedes-Benz").check()
    page.get_by_role("button", name="Continue").click()
    page.locator("#id_vin").fill("WDB9634031L000001")
    page.locator(".select2-selection").click()
    expect(page.locator(".select2-results__option")).to_have_count(2)
    page.locator(".select2-search__field").fill("berlin")
    expect(page.locator(".select2-results__option")).to_have_text(["Mercedes-Benz Berlin"])
    page.get_by_role("option", name="Mercedes-Benz Berlin").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert fleet.vehicles.filter(credential__name="Mercedes-Benz Berlin").exists()


@pytest.mark.parametrize("rows", ["people/fleet", "people/user", "audit/auditevent"])
def test_lists_and_forms_obey_the_policy(open_as: Opener, root: User, rows: str) -> None:
    page = open_as(root, f"/admin/{rows}/")
    page.locator("#result_list tbody a").first.click()
    expect(page.locator("#content h1")).to_be_visible()
