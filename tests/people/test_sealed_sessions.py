"""What lies in the table of sessions tells nobody anything."""

import re

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from fleetcontrol.people.models import Fleet, User
from tests.support.browsers import signed_in
from tests.support.forms import version_shown
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db


def read_as_a_thief() -> str:
    """All sessions as somebody reads them who has a copy of the table: decoded and, where compressed, unpacked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        rows = [row for (row,) in cursor.fetchall()]
    found = []
    for row in rows:
        data = row.rsplit(":", 2)[0]
        found.append(signing.b64_decode(data.lstrip(".").encode()).decode("latin-1"))
        if data.startswith("."):
            found.append(signing.zlib.decompress(signing.b64_decode(data[1:].encode())).decode("latin-1"))  # type: ignore[attr-defined]
    assert found
    return "\n".join(found)


def test_the_seed_of_an_app_that_is_being_set_up(as_bob: Client) -> None:
    shown = re.search(r'once mono">([A-Z2-7]+)<', as_bob.get(reverse("mfa_activate_totp")).content.decode())
    assert shown and as_bob.session["mfa.totp.secret"] == shown[1]
    assert shown[1] not in read_as_a_thief()
    assert "gAAAA" in read_as_a_thief()


def test_the_key_of_a_password_reset(client: Client, bob: User) -> None:
    client.post(reverse("account_reset_password"), {"email": bob.email})
    link = re.search(r"/accounts/password/reset/key/\w+-(\S+)/", str(sent_mail()[0].body))
    assert link
    client.get(link[0])
    assert client.session["_password_reset_key"] == link[1]
    assert link[1] not in read_as_a_thief()


def test_a_form_that_waits_for_proof(alice: User, fleet: Fleet) -> None:
    browser = signed_in(alice, fresh=False)
    address = reverse("credentials:webhook", args=[fleet.slug])
    typed = {"what": "set_up", "url": "https://hooks.example.com/T0/B0/planted-secret"}
    browser.post(address, typed | version_shown(browser, address))
    assert "planted-secret" in str(browser.session["forms_to_confirm"])
    assert "planted-secret" not in read_as_a_thief()


def test_a_session_sealed_with_a_key_that_is_gone_is_over(as_bob: Client, settings: Settings) -> None:
    assert as_bob.get("/profile/").status_code == 200
    before = settings.FERNET_KEYS
    settings.FERNET_KEYS = ["another-key-of-the-tests", *before]
    assert as_bob.get("/profile/").status_code == 200, "an older key of the ring opens it"
    settings.FERNET_KEYS = ["another-key-of-the-tests-2"]
    assert as_bob.get("/profile/").status_code == 302
    assert Session.objects.exists()
