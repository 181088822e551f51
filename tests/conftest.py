"""Fixtures for every test: a real PostgreSQL, people with their roles, no network but loopback."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from credentials.oem.demo import DemoOem
from fleetcontrol.db.ids import new_id
from fleetcontrol.people.models import Fleet, Role, User
from fleetcontrol.web.session_cookie import cookie_of, session_key_of
from fleetcontrol.web.sessions import SessionStore
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.oem import play
from tests.support.webhook_receiver import Receiver, receive

# schemathesis takes minutes. A core that begins with it late works alone at the end.
LONG_FILES = ("test_contract.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files. `--no-loadscope-reorder` keeps this order; xdist's own begins with many tests."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> None:
    """Disable the trigger that protects the audit trail from TRUNCATE, which empties tables after tests that commit."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_is_for_good_truncate")


@pytest.fixture(autouse=True)
def cheap_passwords(settings: pytest.FixtureRequest) -> Iterator[None]:
    """Replace Argon2, which is slow by design, because tests sign in often."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # type: ignore[attr-defined]
    yield


@pytest.fixture(autouse=True)
def own_audit_head(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the head of each test's audit trail in a file of its own, as each has a database of its own."""
    settings.AUDIT_HEAD_FILE = str(tmp_path_factory.getbasetemp() / f"audit-head-{new_id()}")


@pytest.fixture(autouse=True)
def signed_session_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teach Django's test client, which reads and writes the session cookie itself, that ours is signed."""
    enter = Client._login  # type: ignore[attr-defined]  # Django's own, without a type

    def login(client: Client, *args: Any) -> None:
        enter(client, *args)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME]
        client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(cookie.value)

    def session(client: Client) -> SessionStore:
        cookie = client.cookies.get(settings.SESSION_COOKIE_NAME)
        found = SessionStore(session_key_of(cookie.value) if cookie else None)
        if found.session_key is None:
            found.save()
            client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(str(found.session_key))
        return found

    monkeypatch.setattr(Client, "_login", login)
    monkeypatch.setattr(Client, "session", property(session))


@pytest.fixture
def fleet(db: None) -> Fleet:
    return factory.a_fleet()


@pytest.fixture
def alice(fleet: Fleet) -> User:
    """Administers the fleet."""
    return factory.a_member(fleet, Role.ADMINISTRATOR, name="Alice")


@pytest.fixture
def bob(fleet: Fleet) -> User:
    """Manages the fleet."""
    return factory.a_member(fleet, Role.MANAGER, name="Bob")


@pytest.fixture
def vera(fleet: Fleet) -> User:
    """Views the fleet."""
    return factory.a_member(fleet, Role.VIEWER, name="Vera")


@pytest.fixture
def charlie(db: None) -> User:
    """Administers another fleet and has no access to this one."""
    return factory.a_member(factory.a_fleet(name="Charlie's cars"), Role.ADMINISTRATOR, name="Charlie")


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def as_vera(vera: User) -> Client:
    return signed_in(vera)


@pytest.fixture
def as_charlie(charlie: User) -> Client:
    return signed_in(charlie)


@pytest.fixture
def oem(settings: Settings, tmp_path: Path) -> Iterator[DemoOem]:
    """Start a local HTTPS server that plays every OEM of the catalogue, and send the test's sign-ins to it."""
    yield from play(settings, tmp_path)


@pytest.fixture
def hook(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Receiver]]]:
    """Start a receiver of webhooks that FleetControl trusts. Gives its URL and its class, which records requests."""
    yield from receive(settings, tmp_path, monkeypatch)
