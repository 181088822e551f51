"""The main flows of FleetControl by mouse, by keyboard alone, and without JavaScript."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import expect

from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener
from tests.support import factory
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
FILE = "Name;Kennzeichen;QNR\nVan 1;HH-NL 1;0000000000000001\nVan 2;HH-NL 2;0000000000000002\n"


def test_from_the_sign_in_to_the_first_credential(open_as: Opener, bob: User, fleet: Fleet) -> None:
    page = open_as(None, f"/f/{fleet.slug}/credentials/")
    page.get_by_label("Email").fill(bob.email)
    page.get_by_label("Password", exact=True).fill("pw-of-tests")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Connect your first brand")).to_be_visible()
    page.get_by_role("link", name="Add credential").first.click()
    page.get_by_role("link", name="NIU").click()
    page.get_by_label("Client ID", exact=True).fill("niu-7")
    page.get_by_label("Client secret", exact=True).fill("browser-secret-4711")
    page.locator("main form .button.primary").first.click()
    expect(page.get_by_role("status").filter(has_text="saved")).to_be_visible()
    assert fleet.credentials.get().identifier == "niu-7"


def test_a_wrong_password_is_said_once_and_calmly(open_as: Opener, bob: User) -> None:
    page = open_as(None, "/accounts/login/")
    page.get_by_label("Email").fill(bob.email)
    page.get_by_label("Password", exact=True).fill("not-the-password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Password", exact=True)).to_have_value("")


@pytest.mark.parametrize("script", [True, False])
def test_a_file_becomes_vehicles(open_as: Opener, bob: User, fleet: Fleet, tmp_path: Path, *, script: bool) -> None:
    file = tmp_path / "fuhrpark.csv"
    file.write_text(FILE)
    page = open_as(bob, f"/f/{fleet.slug}/imports/add/", script=script)
    page.set_input_files("input[type=file]", file)
    page.get_by_role("button", name="Upload file").click()
    page.get_by_label("Telematics brand").select_option(label="CloudBoxx")
    page.get_by_role("button", name="Check the file").click()
    page.get_by_role("button", name="Import 2 vehicles").click()
    expect(page.get_by_role("link", name="Show the vehicles")).to_be_visible(timeout=20_000)
    assert sorted(Vehicle.objects.values_list("name", flat=True)) == ["Van 1", "Van 2"]


def test_the_secret_of_a_client_is_copied_once(open_as: Opener, alice: User, fleet: Fleet) -> None:
    page = open_as(alice, f"/f/{fleet.slug}/clients/add/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Name", exact=True).fill("ERP")
    page.get_by_label("List and read vehicles").check()
    page.locator("main form .button.primary").click()
    page.get_by_role("button", name="Copy client secret").click()
    expect(page.locator("#live")).to_have_text("Copied")
    secret = page.evaluate("navigator.clipboard.readText()")
    assert secret.startswith("fcs_")
    assert ApiClient.objects.get().name == "ERP"
    page.goto(f"/f/{fleet.slug}/clients/")
    assert secret not in page.content()


def test_a_vehicle_is_removed_by_keyboard_alone(open_as: Opener, bob: User, fleet: Fleet) -> None:
    factory.a_vehicle(fleet, name="Golf 03")
    page = open_as(bob, f"/f/{fleet.slug}/vehicles/")
    page.get_by_role("button", name="Actions for Golf 03").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".menu :focus")).to_be_visible()
    for key in ("ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Golf 03")
    page.locator("main form .button.danger").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Golf 03")).to_be_visible()
    assert not Vehicle.objects.exists()


def test_german_dates_and_numbers(open_as: Opener, bob: User, fleet: Fleet) -> None:
    credential = factory.a_credential(fleet, "Nord", ends_on=date(2099, 8, 12))
    factory.many_vehicles(credential, range(1234))
    User.objects.filter(pk=bob.pk).update(language="de")
    page = open_as(bob, f"/f/{fleet.slug}/credentials/{credential.pk}/")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_text("12. Aug. 2099", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="1.234 Fahrzeuge", exact=True)).to_be_visible()
    page.goto(f"/f/{fleet.slug}/credentials/{credential.pk}/secret/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret von Nord ersetzen")


@pytest.mark.parametrize("address", ["/admin/", "/admin/vehicles/vehicle/", "/admin/credentials/credential/"])
def test_the_admin_keeps_the_policy(open_as: Opener, fleet: Fleet, address: str) -> None:
    root = factory.a_user("Root", is_staff=True, is_superuser=True)
    factory.a_vehicle(fleet)
    factory.a_credential(fleet)
    page = open_as(root, address)
    expect(page.locator("#content")).to_be_visible()
