"""A second factor is asked of the session: what it opens, how one gets it, and what setting one up ends."""

import re
import time
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Role, User
from tests.support import factory
from tests.support.authenticator_app import code, seed_of, set_up
from tests.support.browsers import is_signed_in, signed_in
from tests.support.passkey import FLAG, Passkey
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db
SET_UP = reverse("mfa_activate_totp")


@pytest.fixture
def strict(settings: Settings) -> None:
    """As outside of a trial."""
    settings.ADMINISTRATORS_NEED_SECOND_FACTOR = True


@pytest.fixture
def root(db: None) -> User:
    return factory.a_user("Root", is_staff=True, is_superuser=True)


def vehicles(fleet: Fleet) -> str:
    return reverse("vehicles:index", args=[fleet.slug])


def by_password(user: User, browser: Client | None = None) -> Client:
    browser = browser or Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": "pw-of-tests"})
    return browser


def set_up_app(browser: Client) -> Any:
    """Set up an authenticator app on its page. Returns the answer."""
    shown = re.search(r'once mono">([A-Z2-7]+)<', browser.get(SET_UP).content.decode())
    assert shown
    return browser.post(SET_UP, {"code": code(shown[1])})


# What a session opens


def test_a_session_from_before_the_factor_does_not_open_a_fleet_that_needs_one(fleet: Fleet, bob: User) -> None:
    before = signed_in(bob)
    Fleet.objects.update(require_second_factor=True)
    set_up(bob)  # as if the end of other sessions had failed
    answer = before.get(vehicles(fleet))
    assert answer["Location"] == reverse("mfa_reauthenticate", query={"next": vehicles(fleet)})
    proof = before.post(answer["Location"], {"code": code(seed_of(bob))})
    assert proof["Location"] == vehicles(fleet)
    assert before.get(vehicles(fleet)).status_code == 200


@pytest.mark.usefixtures("strict")
def test_administrators_need_a_factor_in_their_fleet_and_nowhere_else(fleet: Fleet, alice: User, bob: User) -> None:
    other = factory.a_fleet(name="Other")
    other.admit(alice, role=Role.MANAGER, actor=factory.TEST)
    browser = signed_in(alice)
    asked = browser.get(vehicles(fleet), follow=True)
    assert asked.status_code == 403 and "You administer Nordlicht Logistik." in asked.content.decode()
    assert vehicles(other) in asked.content.decode()
    assert browser.get(vehicles(other)).status_code == 200
    assert browser.get("/")["Location"] == reverse("credentials:index", args=[other.slug])
    assert signed_in(bob).get(vehicles(fleet)).status_code == 200, "a manager needs none"
    assert signed_in(alice, factor=True).get(vehicles(fleet)).status_code == 200


def test_in_a_trial_administrators_need_none(fleet: Fleet, alice: User, root: User) -> None:
    assert signed_in(alice).get(vehicles(fleet)).status_code == 200
    assert signed_in(root).get("/admin/").status_code == 200


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/admin/"),
        ("get", "/admin/vehicles/vehicle/"),
        ("get", "/admin/autocomplete/?app_label=vehicles&model_name=vehicle&field_name=credential"),
        ("get", "/admin/people/fleet/add/"),
        ("post", "/admin/people/fleet/add/"),
        ("get", "/admin/nowhere/"),
    ],
)
def test_staff_need_a_factor_everywhere_in_the_django_admin(root: User, method: str, path: str) -> None:
    closed = getattr(signed_in(root), method)(path)
    assert closed.status_code == 403 and "The Django admin takes a second factor" in closed.content.decode()
    assert getattr(signed_in(root, factor=True), method)(path).status_code in (200, 404)


def test_the_django_admin_shows_no_fleet_that_needs_a_factor_to_staff_without_one(root: User, fleet: Fleet) -> None:
    Fleet.objects.update(require_second_factor=True)
    answer = signed_in(root).get("/admin/people/fleet/")
    assert answer.status_code == 403 and fleet.name not in answer.content.decode()


def test_a_factor_that_was_removed_opens_nothing_any_more(fleet: Fleet, bob: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser = signed_in(bob, factor=True)
    assert browser.get(vehicles(fleet)).status_code == 200
    Authenticator.objects.filter(user=bob).delete()
    assert browser.get(vehicles(fleet)).status_code == 302


def test_a_recovery_code_stands_in_for_the_factor(fleet: Fleet, bob: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    set_up(bob)
    typed = RecoveryCodes.activate(bob).get_unused_codes()[0]
    browser = by_password(bob)
    browser.post(reverse("mfa_authenticate"), {"code": typed})
    assert browser.get(vehicles(fleet)).status_code == 200


# The way to a factor and back


@pytest.mark.parametrize("page", ["?q=EQA&brand=MERCEDES_BENZ", "add/MERCEDES_BENZ/"])
def test_who_has_none_is_led_to_set_one_up_and_back(fleet: Fleet, bob: User, page: str) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser = signed_in(bob)
    wanted = vehicles(fleet) + page
    asked = browser.get(wanted, follow=True).content.decode()
    assert reverse("mfa_index") in asked
    assert wanted.replace("&", "&amp;") not in browser.get(reverse("mfa_index")).content.decode(), (
        "not before it is set up"
    )
    codes = browser.get(set_up_app(browser)["Location"]).content.decode()
    assert f'href="{wanted.replace("&", "&amp;")}"' in codes
    assert browser.get(wanted).status_code == 200
    assert "Go on to where you were going" not in browser.get(reverse("mfa_index")).content.decode()


def test_a_fragment_leads_the_whole_page_there_and_back(fleet: Fleet, bob: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser = signed_in(bob)
    shown = f"http://testserver{vehicles(fleet)}?q=EQA"
    answer = browser.get(f"{vehicles(fleet)}?q=EQB", headers={"HX-Request": "true", "HX-Current-URL": shown})
    assert answer.headers["HX-Redirect"] == reverse("people:second_factor_needed", args=[fleet.slug])
    assert browser.session["wanted"] == f"{vehicles(fleet)}?q=EQA"


def test_what_was_typed_waits_for_the_factor(fleet: Fleet, bob: User) -> None:
    browser = signed_in(bob)
    page = reverse("vehicles:add", args=[fleet.slug, "CLOUDBOXX"])
    Fleet.objects.update(require_second_factor=True)
    answer = browser.post(page, {"name": "Van 7", "telematics_unit_id": "", "keep": "name telematics_unit_id"})
    assert answer.status_code == 302 and browser.session["wanted"] == page
    set_up_app(browser)
    assert 'value="Van 7"' in browser.get(page).content.decode()


def test_a_foreign_page_cannot_say_where_to_go_on(fleet: Fleet, bob: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser = signed_in(bob)
    browser.get(vehicles(fleet), headers={"HX-Request": "true", "HX-Current-URL": "https://evil.example/x"})
    assert browser.session["wanted"] == vehicles(fleet)


# What setting one up ends


def test_setting_up_a_factor_ends_every_other_session(bob: User) -> None:
    browser, seen, never_seen = signed_in(bob), signed_in(bob), signed_in(bob)
    seen.get("/profile/")
    set_up_app(browser)
    for other in (seen, never_seen):
        assert other.get("/profile/")["Location"].startswith(reverse("account_login"))
    assert browser.get("/profile/").status_code == 200
    assert not is_signed_in(by_password(bob)), "a new one needs the factor"


def test_a_passkey_ends_them_too_and_signs_in_with_both_factors(fleet: Fleet, bob: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser, other, new, key = signed_in(bob), signed_in(bob), Client(), Passkey()
    key.set_up(browser)
    assert Authenticator.objects.filter(user=bob, type="webauthn").exists()
    assert other.get("/profile/").status_code == 302
    assert browser.get(vehicles(fleet)).status_code == 200
    key.sign_in(new)
    assert new.get(vehicles(fleet)).status_code == 200


def test_a_passkey_that_does_not_verify_its_person_signs_nobody_in(
    bob: User, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, browser = Passkey(), signed_in(bob)
    key.set_up(browser)
    key.flags = FLAG.UP  # a thief has the key and not the PIN
    thief = Client()
    key.sign_in(thief)
    assert not is_signed_in(thief)
    set_up(charlie)  # the thief's own account, whose second step hands out a challenge
    by_password(charlie, thief)
    options = key.options_on(thief.get(reverse("mfa_authenticate")), "request_options")
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 1000)  # the half sign-in is over, the challenge is not
    key.sign_in(thief, options["challenge"])
    assert not is_signed_in(thief)


def test_a_passkey_that_does_not_verify_its_person_is_not_set_up(bob: User) -> None:
    Passkey(verifies=False).set_up(signed_in(bob))
    assert not Authenticator.objects.filter(user=bob).exists()


# Who lost theirs


def test_remove_factors_lets_somebody_in_again(fleet: Fleet, bob: User) -> None:
    bob.language = "de"
    bob.save()
    browser = signed_in(bob, factor=True)
    RecoveryCodes.activate(bob)
    out = StringIO()
    call_command("remove_factors", "BOB@example.com", stdout=out)
    assert "Recovery codes, WebAuthn" in out.getvalue()
    assert not Authenticator.objects.filter(user=bob).exists()
    assert browser.get("/profile/").status_code == 302
    event = AuditEvent.objects.get(action="user.remove_factors")
    assert (event.fleet_id, event.actor_label, event.target_id) == (fleet.pk, "remove_factors", str(bob.pk))
    (message,) = sent_mail()
    assert message.to == [bob.email] and "Wiederherstellungscodes" in str(message.body)
    assert is_signed_in(by_password(bob))


def test_remove_factors_names_an_address_that_nobody_has(db: None) -> None:
    with pytest.raises(CommandError, match=r"nobody@example\.com"):
        call_command("remove_factors", "nobody@example.com")


def test_remove_factors_says_when_there_was_none(bob: User) -> None:
    out = StringIO()
    call_command("remove_factors", bob.email, stdout=out)
    assert "There was no second factor." in out.getvalue()
    assert not sent_mail()


def test_an_old_record_of_another_person_is_no_factor(fleet: Fleet, bob: User, vera: User) -> None:
    Fleet.objects.update(require_second_factor=True)
    browser = signed_in(bob)
    key = Authenticator.objects.create(user=vera, type=Authenticator.Type.WEBAUTHN, data={"name": "Vera's"})
    session = browser.session
    session["account_authentication_methods"] = [{"method": "mfa", "id": key.pk, "type": "webauthn", "at": time.time()}]
    session.save()
    assert browser.get(vehicles(fleet)).status_code == 302
