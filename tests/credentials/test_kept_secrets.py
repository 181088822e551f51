"""A secret that was typed while the OEM did not answer: kept sealed for ten minutes, and never sent back."""

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client, override_settings
from django.utils import translation
from django.utils.log import AdminEmailHandler
from pytest_django import Settings

from credentials import brands
from credentials.brands import file as brand_file
from credentials.models import Credential, Status
from credentials.oem.demo import DemoOem
from fleetcontrol import outbound
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from fleetcontrol.web.logs import JsonLines, Plain
from tests.support import factory
from tests.support.api import Answer
from tests.support.browsers import signed_in
from tests.support.certificates import a_certificate, stellantis
from tests.support.credential_pages import at, words

pytestmark = pytest.mark.django_db
NEEDLE = "right-Nadel-im-Heuhaufen"
TYPED = {"name": "Tesla Europe", "client_id": "client1", "region": "EU"}
KEPT = "What you typed is kept for ten minutes. Leave this empty to use it, or enter a different secret."
GONE = "What you typed was kept for ten minutes and is erased now. Enter the secret again."
WITH_SIGN_IN = """
[STELLANTIS]
hosts = ["auth.stellantis.example"]
sign_in.url = "https://auth.stellantis.example/token"
"""


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    values = {"client_secret": "right-1", "region": "EU"}
    return factory.a_credential(fleet, name="Tesla Europe", brand="TESLA", values=values, verify_first=True)


@pytest.fixture
def away(oem: DemoOem, settings: Settings) -> Callable[[], None]:
    """The OEM is away until this is called."""
    settings.FLEETCONTROL_DEMO_OEM = "https://127.0.0.1:9"

    def come_back() -> None:
        settings.FLEETCONTROL_DEMO_OEM = oem.address

    return come_back


def token_of(answer: Answer) -> dict[str, str]:
    """What the form sends back in place of the secret, {} if it keeps none."""
    found = re.search(r'name="typed_secrets" value="([\w-]+)"', answer.content.decode())
    return {"typed_secrets": found[1]} if found else {}


def rows_kept() -> int:
    """Rows in the cache that hold a sealed value; the others are numbers and lists of the throttles."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fleetcontrol_cache WHERE value LIKE '\"gAAAA%'")
        (count,) = cursor.fetchone()
    return int(count)


def test_try_again_is_one_click(fleet: Fleet, as_bob: Client, away: Callable[[], None]) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": NEEDLE})
    text = words(answer)
    assert answer.status_code == 422
    assert "You can try again, or save now and check later." in text
    assert KEPT in text
    assert re.search(r"Try again\s+Save without checking", text)
    assert "Enter “Client secret” again" not in text
    again = as_bob.post(page, TYPED | token_of(answer))  # the OEM is still away
    assert KEPT in words(again)
    assert rows_kept() == 1
    away()
    saved = as_bob.post(page, TYPED | token_of(again), follow=True)
    assert "Tesla Europe saved. Its connection works." in words(saved)
    assert Credential.objects.get().secret.open() == {"client_secret": NEEDLE}
    assert rows_kept() == 0


def test_save_without_checking_is_one_click(fleet: Fleet, as_bob: Client, away: Callable[[], None]) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": NEEDLE})
    saved = as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"}, follow=True)
    assert "Tesla Europe saved. Its connection is not checked yet." in words(saved)
    assert Credential.objects.get().secret.open() == {"client_secret": NEEDLE}
    assert rows_kept() == 0


@pytest.mark.parametrize("button", [{}, {"unchecked": "1"}])
def test_replacing_keeps_it_too(
    fleet: Fleet, as_bob: Client, credential: Credential, away: Callable[[], None], button: dict[str, str]
) -> None:
    page = at("rotate", fleet, credential)
    answer = as_bob.post(page, {"client_secret": NEEDLE, "over": "1", "ends_on": "2031-02-03"})
    text = words(answer)
    assert "Version 1 is still in use, nothing has changed." in text
    assert KEPT in text
    assert re.search(r"Try again\s+Replace without checking", text)
    away()
    saved = as_bob.post(page, {"over": "1", "ends_on": "2031-02-03"} | button | token_of(answer), follow=True)
    assert "Version 2 is in use." in words(saved)
    credential.refresh_from_db()
    assert credential.status == (Status.UNCHECKED if button else Status.WORKING)
    assert credential.secret.open() == {"client_secret": NEEDLE}
    assert rows_kept() == 0


def test_missing_permissions_say_nothing_against_the_secret(fleet: Fleet, as_bob: Client, oem: DemoOem) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": "scopes-Nadel"})
    assert KEPT in words(answer)
    as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"})
    assert Credential.objects.get().secret.open() == {"client_secret": "scopes-Nadel"}


@pytest.mark.parametrize("word", ["unapproved", "redirect", "garbage", "closing", "trouble", "busy", "huge"])
def test_every_answer_that_says_nothing_against_the_secret_keeps_it(
    fleet: Fleet, as_bob: Client, oem: DemoOem, word: str
) -> None:
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"client_secret": f"{word}-Nadel"})
    assert answer.status_code == 422
    assert KEPT in words(answer)
    as_bob.post(at("add", fleet, brand="TESLA"), TYPED | token_of(answer) | {"unchecked": "1"})
    assert Credential.objects.get().secret.open() == {"client_secret": f"{word}-Nadel"}


@pytest.mark.parametrize("reason", ["name", "private", "connect", "timeout", "certificate", "large", "broken"])
def test_every_way_not_to_reach_the_oem_keeps_it(
    fleet: Fleet, as_bob: Client, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def silence(*_args: object, **_options: object) -> None:
        raise outbound.NoAnswer(reason)

    monkeypatch.setattr(outbound, "post", silence)  # the network's edge
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"client_secret": NEEDLE})
    assert KEPT in words(answer)


def test_a_secret_that_is_refused_is_not_kept_and_neither_is_what_was_kept_before(
    fleet: Fleet, as_bob: Client, away: Callable[[], None]
) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": "wrong-Zx81"})
    assert rows_kept() == 1
    away()
    refused = as_bob.post(page, TYPED | token_of(answer))
    assert "Tesla refused these details." in words(refused)
    assert KEPT not in words(refused)
    assert token_of(refused) == {}
    assert rows_kept() == 0


def test_typing_a_new_secret_replaces_the_kept_one(fleet: Fleet, as_bob: Client, away: Callable[[], None]) -> None:
    page = at("add", fleet, brand="TESLA")
    first = as_bob.post(page, TYPED | {"client_secret": "right-old"})
    second = as_bob.post(page, TYPED | {"client_secret": "right-new"} | token_of(first))
    assert token_of(second) != token_of(first)
    assert rows_kept() == 1
    away()
    assert GONE in words(as_bob.post(page, TYPED | token_of(first)))
    as_bob.post(page, TYPED | token_of(second))
    assert Credential.objects.get().secret.open() == {"client_secret": "right-new"}


def test_all_secrets_of_a_brand_are_kept_and_each_can_be_typed_anew(
    fleet: Fleet, as_bob: Client, away: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brands.toml").write_text(WITH_SIGN_IN, encoding="utf-8")
    found = brand_file.read(tmp_path / "brands.toml", brands.catalogue())
    monkeypatch.setattr(brands, "catalogue", lambda: found)
    page = at("add", fleet, brand="STELLANTIS")
    certificate, key = a_certificate()
    typed = stellantis(certificate, key) | {"name": "Stellantis"}
    answer = as_bob.post(page, typed)
    assert words(answer).count(KEPT) == 3
    assert "PRIVATE KEY" not in answer.content.decode()
    assert "CERTIFICATE" not in answer.content.decode()
    readable = {"name": "Stellantis", "client_id": "client1", "username": "fleet"}
    anew = as_bob.post(page, readable | {"password": "another", "unchecked": "1"} | token_of(answer))
    assert anew.status_code == 302
    opened = Credential.objects.get().secret.open()
    assert opened["password"] == "another"
    assert opened["certificate"].strip() == certificate.strip()
    assert opened["private_key"].strip() == key.strip()


def test_a_slip_elsewhere_keeps_what_is_kept(fleet: Fleet, as_bob: Client, away: Callable[[], None]) -> None:
    page = at("add", fleet, brand="TESLA")
    factory.a_credential(fleet, name="Taken")
    answer = as_bob.post(page, TYPED | {"client_secret": NEEDLE})
    for slip in ({"name": "taken"}, {"name": ""}, {"ends_on": "never"}, {"ends_on": "2001-01-01"}):
        answer = as_bob.post(page, TYPED | token_of(answer) | slip)
        assert answer.status_code == 422
        assert KEPT in words(answer), slip
    as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"})
    assert Credential.objects.get(name="Tesla Europe").secret.open() == {"client_secret": NEEDLE}


def test_after_ten_minutes_it_is_erased_and_the_form_says_so(
    fleet: Fleet, as_bob: Client, away: Callable[[], None]
) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": NEEDLE})
    with connection.cursor() as cursor:
        cursor.execute("SELECT expires - clock_timestamp() FROM fleetcontrol_cache WHERE value LIKE '\"gAAAA%'")
        (left,) = cursor.fetchone()
        cursor.execute("UPDATE fleetcontrol_cache SET expires = clock_timestamp()")
    assert 590 < left.total_seconds() <= 600
    late = as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"})
    assert late.status_code == 422
    assert GONE in words(late)
    assert not Credential.objects.exists()


def test_nobody_else_and_nothing_else_can_use_the_token(
    fleet: Fleet, bob: User, as_bob: Client, as_alice: Client, credential: Credential, away: Callable[[], None]
) -> None:
    tesla = at("add", fleet, brand="TESLA")
    other = factory.a_credential(fleet, name="Tesla Two", brand="TESLA", values={"region": "EU"})
    typed = TYPED | {"name": "Theirs", "unchecked": "1"}
    added = token_of(as_bob.post(tesla, TYPED | {"name": "Mine", "client_secret": NEEDLE}))
    replaced = token_of(as_bob.post(at("rotate", fleet, credential), {"client_secret": NEEDLE, "over": "1"}))
    assert added and replaced
    over = {"over": "1", "unchecked": "1"}
    elsewhere: list[tuple[Client, str, dict[str, str]]] = [
        (as_alice, tesla, typed | added),
        (signed_in(bob), tesla, typed | added),
        (as_bob, at("add", fleet, brand="NIU"), typed | added),
        (as_bob, tesla, typed | replaced),
        (as_bob, at("rotate", fleet, credential), over | added),
        (as_bob, at("rotate", fleet, other), over | replaced),
        (as_alice, at("rotate", fleet, credential), over | replaced),
        (signed_in(bob), at("rotate", fleet, credential), over | replaced),
    ]
    for client, page, values in elsewhere:
        answer = client.post(page, values)
        assert answer.status_code == 422, page
        assert "Nadel" not in answer.content.decode()
    assert not Credential.objects.filter(name="Theirs").exists()
    assert (credential.secret.version, other.secret.version) == (1, 1)
    assert as_bob.post(tesla, typed | added).status_code == 302  # whoever typed it still can


def test_a_token_with_any_character_is_no_token(fleet: Fleet, as_bob: Client) -> None:
    for text in ("\x00", "ä\U0001f600", "x" * 1000, "typedsecrets:1"):
        answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"typed_secrets": text, "unchecked": "1"})
        assert answer.status_code == 422
        assert GONE in words(answer)


def test_what_is_kept_is_nowhere_to_be_read(
    fleet: Fleet, as_bob: Client, credential: Credential, away: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pages: list[tuple[str, dict[str, str]]] = [
        (at("add", fleet, brand="TESLA"), TYPED | {"name": "Two"}),
        (at("rotate", fleet, credential), {"over": "1"}),
    ]
    answers: list[Any] = []
    for page, typed in pages:
        first = as_bob.post(page, typed | {"client_secret": NEEDLE})
        answers += [first, as_bob.post(page, typed | token_of(first))]
    for answer in answers:
        assert KEPT in words(answer)
        assert "Nadel" not in answer.content.decode() + str(answer.headers) + str(answer.cookies)
    assert rows_kept() == 2
    assert not [record for record in caplog.records if "Nadel" in record.getMessage()]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            quoted = connection.ops.quote_name(table)
            cursor.execute(f"SELECT count(*) FROM {quoted} t WHERE t::text LIKE %s", ["%Nadel%"])
            assert cursor.fetchone() == (0,), table


@pytest.mark.parametrize("debug", [False, True])
@override_settings(ADMINS=["operator@example.com"])
def test_no_error_report_holds_what_is_kept(
    fleet: Fleet, as_bob: Client, away: Callable[[], None], caplog: pytest.LogCaptureFixture, *, debug: bool
) -> None:
    page = at("add", fleet, brand="TESLA")
    answer = as_bob.post(page, TYPED | {"client_secret": NEEDLE})
    as_bob.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent RENAME TO somewhere_else")
    with override_settings(DEBUG=debug):
        broken = as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"})
    assert broken.status_code == 500
    assert "Nadel" not in broken.content.decode()
    told = [record for record in caplog.records if record.exc_info]
    assert told
    for record in told:
        AdminEmailHandler(include_html=True).emit(record)
    lines = [formatter.format(record) for record in caplog.records for formatter in (JsonLines(), Plain())]
    assert not [text for text in (*lines, *(str(one.message()) for one in mail.outbox)) if "Nadel" in text]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE somewhere_else RENAME TO audit_auditevent")
    assert as_bob.post(page, TYPED | token_of(answer) | {"unchecked": "1"}).status_code == 302


def test_no_audit_event_is_made_before_it_is_saved(fleet: Fleet, as_bob: Client, away: Callable[[], None]) -> None:
    before = AuditEvent.objects.count()
    as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"client_secret": NEEDLE})
    assert AuditEvent.objects.count() == before


def test_in_german(fleet: Fleet, bob: User, as_bob: Client, away: Callable[[], None]) -> None:
    User.objects.filter(pk=bob.pk).update(language="de")
    text = words(as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"client_secret": NEEDLE}))
    assert "Ihre Eingabe bleibt zehn Minuten lang erhalten." in text
    assert re.search(r"Erneut versuchen\s+Ohne Prüfung speichern", text)
    translation.activate("en")
