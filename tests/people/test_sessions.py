"""Sessions end by themselves, whatever the browser says and however much they are used."""

from datetime import datetime, timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from fleetcontrol.environment import Environment, at_least_one
from fleetcontrol.people.models import User
from fleetcontrol.web.sessions import BEGAN, SessionStore

pytestmark = pytest.mark.django_db
# Pages of every kind: of people, of allauth, of the Django admin.
PAGES = ("/profile/", "/accounts/password/change/", "/accounts/sessions/", "/admin/")


@pytest.fixture
def as_root(client: Client, bob: User) -> Client:
    bob.is_staff = bob.is_superuser = True
    bob.save()
    assert client.post("/accounts/login/", {"login": bob.email, "password": "pw-of-tests"}).status_code == 302
    return client


def let_pass(time: timedelta) -> None:
    """Let that much time pass for all sessions."""
    Session.objects.update(expire_date=F("expire_date") - time)


def ends_in(client: Client) -> timedelta:
    """In how much time the session ends, by the database's clock, to the minute."""
    with connection.cursor() as cursor:
        left = "date_trunc('minute', expire_date - now() + interval '30 s')"
        sql = f"SELECT {left} FROM django_session WHERE session_key = %s"
        cursor.execute(sql, [client.session.session_key])
        (rest,) = cursor.fetchone()
    return timedelta(seconds=rest.total_seconds())


def is_in(client: Client, page: str) -> bool:
    return client.get(page).status_code == 200


@pytest.mark.parametrize("page", PAGES)
def test_a_session_that_is_not_used_ends(as_root: Client, page: str) -> None:
    let_pass(timedelta(hours=23, minutes=55))
    assert is_in(as_root, page)
    let_pass(timedelta(hours=24))
    assert not is_in(as_root, page)


@pytest.mark.parametrize("page", PAGES)
def test_a_session_that_is_used_ends_in_the_end(as_root: Client, page: str) -> None:
    session = as_root.session
    began = session[BEGAN]
    for _use in range(3):  # a use now and then saves the session
        session["seen"] = 0
        session.save()
        assert is_in(as_root, page)
        assert as_root.session[BEGAN] == began
    assert ends_in(as_root) == timedelta(hours=24)
    session = as_root.session
    session[BEGAN] = _earlier(began, timedelta(days=13, hours=23))
    session["seen"] = 0
    session.save()
    assert is_in(as_root, page), "used, and so saved by the middleware"
    assert ends_in(as_root) == timedelta(hours=1)
    let_pass(timedelta(hours=1))
    assert not is_in(as_root, page)


def test_both_times_are_settings(as_root: Client, settings: Settings) -> None:
    settings.SESSION_IDLE, settings.SESSION_LONGEST = timedelta(hours=2), timedelta(hours=1)
    as_root.session.save()
    assert ends_in(as_root) == timedelta(hours=1)
    settings.SESSION_LONGEST = timedelta(days=1)
    as_root.session.save()
    assert ends_in(as_root) == timedelta(hours=2)


def test_the_clock_of_the_host_does_not_count(as_root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: 1 / 0)
    store = SessionStore(as_root.session.session_key)
    assert store.load()


def test_a_request_writes_no_session(as_root: Client) -> None:
    as_root.get("/profile/")
    with CaptureQueriesContext(connection) as statements:
        for _use in range(3):
            assert is_in(as_root, "/profile/")
    assert [one["sql"] for one in statements if not one["sql"].startswith("SELECT")] == []


def test_a_new_sign_in_begins_anew(as_root: Client, bob: User) -> None:
    session, before = as_root.session, as_root.session.session_key
    session[BEGAN] = _earlier(session[BEGAN], timedelta(days=13))
    session.save()
    as_root.post("/accounts/logout/")
    as_root.post("/accounts/login/", {"login": bob.email, "password": "pw-of-tests"})
    assert as_root.session.session_key != before
    assert ends_in(as_root) == timedelta(hours=24)


@pytest.mark.parametrize("value", ["0", "-1", "10001", "x", "1.5"])
def test_a_bad_time_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SESSION_IDLE_HOURS", value)
    with pytest.raises(ImproperlyConfigured, match=r"^SESSION_IDLE_HOURS must be a whole number"):
        at_least_one("SESSION_IDLE_HOURS", Environment().int("SESSION_IDLE_HOURS", default=24))


def _earlier(moment: str, by: timedelta) -> str:
    return (datetime.fromisoformat(moment) - by).isoformat()
