"""Forms: errors link to their fields, secrets are not sent back, nothing is sent twice, no input is lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, Page, expect

from credentials.models import Credential
from fleetcontrol.people.models import Fleet, User
from tests.browser.conftest import Opener
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "hunter2-Xy7-in-the-browser"


@pytest.fixture
def add(fleet: Fleet) -> str:
    return f"/f/{fleet.slug}/credentials/add/niu/"


def fill(page: Page, name: str = "NIU Hamburg", client_id: str = "niu-1") -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Client ID", exact=True).fill(client_id)
    page.get_by_label("Client secret", exact=True).fill(SECRET)


def send(page: Page) -> None:
    page.locator("main form .button.primary").first.click()


@pytest.mark.parametrize("script", [True, False])
def test_errors_are_summed_up_and_lead_to_their_fields(open_as: Opener, bob: User, add: str, *, script: bool) -> None:
    page = open_as(bob, add, script=script)
    fill(page, client_id="")
    send(page)
    summary = page.get_by_role("alert").filter(has_text="There is a problem")
    expect(summary).to_be_visible()
    assert page.title().startswith("Error:")
    if script:
        expect(summary).to_be_focused()
    summary.get_by_role("link", name="client ID").first.click()
    field = page.get_by_label("Client ID", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name", exact=True)).to_have_value("NIU Hamburg")


def test_a_secret_is_cleared_by_an_error_and_the_form_says_so(open_as: Opener, bob: User, add: str) -> None:
    page = open_as(bob, add)
    fill(page, client_id="")
    send(page)
    expect(page.get_by_label("Client secret", exact=True)).to_have_value("")
    expect(page.get_by_role("alert")).to_contain_text("Secrets are cleared when a form has errors")
    assert SECRET not in page.content()
    stored = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert SECRET not in stored


def test_show_and_hide(open_as: Opener, bob: User, add: str) -> None:
    page = open_as(bob, add)
    secret = page.get_by_label("Client secret", exact=True)
    expect(secret).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show Client secret").click()
    expect(secret).to_have_attribute("type", "text")
    expect(page.get_by_role("button", name="Hide Client secret")).to_have_attribute("aria-pressed", "true")


def test_without_script_there_is_no_button_that_does_nothing(open_as: Opener, bob: User, add: str) -> None:
    page = open_as(bob, add, script=False)
    expect(page.get_by_role("button", name="Show Client secret")).to_have_count(0)


def test_a_double_click_adds_one_credential(open_as: Opener, bob: User, add: str, fleet: Fleet) -> None:
    page = open_as(bob, add)
    fill(page)
    page.locator("main form .button.primary").first.dblclick()
    page.wait_for_url("**/credentials/**")
    expect(page.get_by_role("status").filter(has_text="saved")).to_be_visible()
    assert Credential.objects.filter(fleet=fleet).count() == 1


def test_keyboard_alone_adds_a_credential(open_as: Opener, bob: User, add: str, fleet: Fleet) -> None:
    page = open_as(bob, add.replace("niu/", ""))
    page.get_by_role("link", name="NIU").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/add/NIU/")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("NIU Kiel")
    for words in ("niu-2", SECRET):
        while page.evaluate("document.activeElement.name") not in ("client_id", "client_secret"):
            page.keyboard.press("Tab")
        page.keyboard.type(words)
        page.keyboard.press("Tab")
    page.get_by_label("Client ID", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("NIU Kiel")
    assert Credential.objects.get(fleet=fleet).identifier == "niu-2"


def test_leaving_a_changed_form_asks_first(open_as: Opener, bob: User, add: str) -> None:
    page = open_as(bob, add)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_label("Client ID", exact=True).fill("x")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert page.url.endswith(add)


def test_what_was_typed_survives_a_sign_in(open_as: Opener, bob: User, add: str) -> None:
    page = open_as(bob, add)
    fill(page, name="NIU Lübeck")
    page.context.clear_cookies(name="sessionid")
    send(page)
    page.wait_for_url("**/accounts/login/**")
    page.get_by_label("Email").fill(bob.email)
    page.get_by_label("Password", exact=True).fill("pw-of-tests")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{add}")
    expect(page.get_by_label("Name", exact=True)).to_have_value("NIU Lübeck")
    expect(page.get_by_label("Client ID", exact=True)).to_have_value("niu-1")
    expect(page.get_by_label("Client secret", exact=True)).to_have_value("")


def test_a_credential_in_use_is_not_deleted_but_leads_out(open_as: Opener, bob: User, fleet: Fleet) -> None:
    used = factory.a_credential(fleet, "Nord")
    factory.a_credential(fleet, "Süd")
    vehicle = factory.a_vehicle(fleet, used)
    page = open_as(bob, f"/f/{fleet.slug}/credentials/{used.pk}/", script=False)
    page.get_by_role("link", name="Delete this credential").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nord can’t be deleted yet")
    expect(page.get_by_role("link", name=vehicle.name, exact=True)).to_be_visible()
    page.get_by_role("button", name="Review the move").click()
    page.get_by_role("button", name="Move 1 vehicle").click()
    vehicle.refresh_from_db()
    assert vehicle.credential is not None
    assert vehicle.credential.name == "Süd"


def test_a_vehicle_assigned_meanwhile_still_blocks_the_deletion(open_as: Opener, bob: User, fleet: Fleet) -> None:
    credential = factory.a_credential(fleet, "Nord")
    page = open_as(bob, f"/f/{fleet.slug}/credentials/{credential.pk}/delete/")
    factory.a_vehicle(fleet, credential)
    page.get_by_role("button", name="Delete Nord").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nord can’t be deleted yet")
    assert Credential.objects.filter(pk=credential.pk).exists()
