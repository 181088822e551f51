"""A code is taken once: at sign-in, confirming, setting up and removing an app, and when two requests race."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from fleetcontrol.people.duties import forget_used_codes
from fleetcontrol.people.models import UsedCode, User
from tests.support import factory
from tests.support.authenticator_app import code, seed_of, set_up
from tests.support.browsers import is_signed_in, signed_in

pytestmark = pytest.mark.django_db
RACERS = 8
AUTHENTICATE, CONFIRM, SET_UP = map(reverse, ("mfa_authenticate", "mfa_reauthenticate", "mfa_activate_totp"))


@pytest.fixture(autouse=True)
def middle_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shift the clock to the middle of a step, so that no code changes while a test runs."""
    clock, now = time.time, time.time()
    monkeypatch.setattr(time, "time", lambda: clock() + 15 - now % 30)


def at_second_step(user: User) -> Client:
    """A browser that has entered the password, and not yet the code."""
    browser = Client()
    browser.post(reverse("account_login"), {"login": user.email, "password": "pw-of-tests"})
    return browser


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Let time pass, and with it whatever only remembers for a while."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    cache.clear()


@pytest.mark.parametrize("away", [-1, 0, 1])
@pytest.mark.parametrize("seconds", [0, 31, 59])
def test_a_code_signs_in_once_for_as_long_as_it_is_valid(
    bob: User, monkeypatch: pytest.MonkeyPatch, away: int, seconds: int
) -> None:
    seed = set_up(bob)
    typed = code(seed, away)
    first, second = at_second_step(bob), at_second_step(bob)
    first.post(AUTHENTICATE, {"code": typed})
    assert is_signed_in(first)
    later(monkeypatch, seconds)
    second.post(AUTHENTICATE, {"code": typed})
    assert not is_signed_in(second)


def test_a_code_of_a_sign_in_confirms_nothing(bob: User) -> None:
    seed = set_up(bob)
    browser = at_second_step(bob)
    typed = code(seed)
    browser.post(AUTHENTICATE, {"code": typed})
    cache.clear()
    again = browser.post(CONFIRM, {"code": f"{typed[:3]} {typed[3:]}"})
    assert again.status_code == 200 and "Incorrect code" in again.content.decode()
    assert browser.post(CONFIRM, {"code": code(seed, 1)}).status_code == 302, "the next one does"


def test_a_code_that_confirmed_does_not_sign_in(bob: User) -> None:
    seed = set_up(bob)
    typed = code(seed)
    assert signed_in(bob).post(CONFIRM, {"code": typed}).status_code == 302
    cache.clear()
    browser = at_second_step(bob)
    browser.post(AUTHENTICATE, {"code": typed})
    assert not is_signed_in(browser)


def test_the_code_that_set_an_app_up_is_used(bob: User) -> None:
    browser = signed_in(bob)
    shown = re.search(r'once mono">([A-Z2-7]+)<', browser.get(SET_UP).content.decode())
    assert shown
    typed = code(shown[1])
    assert browser.post(SET_UP, {"code": typed}).status_code == 302
    assert seed_of(bob) == shown[1]
    other = at_second_step(bob)
    other.post(AUTHENTICATE, {"code": typed})
    assert not is_signed_in(other)
    other.post(AUTHENTICATE, {"code": code(shown[1], 1)})
    assert is_signed_in(other)


def test_two_people_and_two_apps_do_not_use_up_each_others_codes(bob: User, alice: User) -> None:
    for user in (bob, alice):
        assert UsedCode.take(user, seed="A", step=1)
        assert UsedCode.take(user, seed="B", step=1)
        assert not UsedCode.take(user, seed="A", step=1)


def test_the_database_refuses_the_second_use_whoever_writes(bob: User) -> None:
    UsedCode.take(bob, seed="A", step=1)
    row = UsedCode.objects.get()
    with pytest.raises(IntegrityError, match="code_used_once"):
        UsedCode.objects.create(user=bob, seed=row.seed, step=row.step)


def test_used_codes_are_forgotten_when_they_have_long_ceased_to_be_valid(bob: User) -> None:
    now = int(time.time()) // 30
    for step in (now - 3000, now - 100, now):
        UsedCode.take(bob, seed="A", step=step)
    forget_used_codes()
    assert set(UsedCode.objects.values_list("step", flat=True)) == {now - 100, now}


def race(do: Callable[[Client], Any], browsers: list[Client]) -> list[Any]:
    """Let all browsers do it at the same moment, each with a database connection of its own, as processes have."""
    start = Barrier(len(browsers))

    def one(browser: Client) -> Any:
        start.wait()
        try:
            return do(browser)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(browsers)) as pool:
        return list(pool.map(one, browsers))


@pytest.fixture
def zoe(transactional_db: None) -> User:
    return factory.a_user("Zoe")


def without_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take allauth's own memory away, so that only the database decides."""
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.cache.add", lambda *_a, **_k: True)
    monkeypatch.setattr("allauth.core.internal.ratelimit.consume", lambda *_a, **_k: object())


def test_of_many_posts_of_one_code_at_once_one_signs_in(zoe: User, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = set_up(zoe)
    browsers = [at_second_step(zoe) for _number in range(RACERS)]
    without_cache(monkeypatch)
    typed = code(seed)
    race(lambda browser: browser.post(AUTHENTICATE, {"code": typed}), browsers)
    assert [is_signed_in(browser) for browser in browsers].count(True) == 1


def test_of_many_posts_of_one_recovery_code_at_once_one_signs_in(zoe: User, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(zoe)
    typed = RecoveryCodes.activate(zoe).get_unused_codes()[0]
    browsers = [at_second_step(zoe) for _number in range(RACERS)]
    without_cache(monkeypatch)
    race(lambda browser: browser.post(AUTHENTICATE, {"code": typed}), browsers)
    assert [is_signed_in(browser) for browser in browsers].count(True) == 1


def test_a_recovery_code_stays_used_when_an_older_copy_of_the_row_is_written(bob: User) -> None:
    set_up(bob)
    codes = RecoveryCodes.activate(bob)
    former = Authenticator.objects.get(pk=codes.instance.pk).wrap()
    typed = codes.get_unused_codes()[0]
    assert codes.validate_code(typed)
    former.mark_as_viewed()  # as the page of the codes does, which was opened before
    assert not Authenticator.objects.get(pk=codes.instance.pk).wrap().validate_code(typed)


def test_of_many_posts_that_set_up_an_app_at_once_one_does(zoe: User, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = signed_in(zoe)
    shown = re.search(r'once mono">([A-Z2-7]+)<', browser.get(SET_UP).content.decode())
    assert shown
    browsers = []
    for _number in range(3):
        copy = Client(raise_request_exception=False)
        copy.cookies = browser.cookies
        browsers.append(copy)
    without_cache(monkeypatch)
    codes = {id(one): code(shown[1], away) for one, away in zip(browsers, (-1, 0, 1), strict=True)}
    answers = race(lambda one: one.post(SET_UP, {"code": codes[id(one)]}), browsers)
    assert 500 not in [answer.status_code for answer in answers]
    assert Authenticator.objects.filter(user=zoe, type=Authenticator.Type.TOTP).count() == 1
