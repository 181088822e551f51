"""A known secret appears in no output: pages, admin, logs, audit trail, tables, error reports and reprs."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse
from django.utils.log import AdminEmailHandler

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Role
from fleetcontrol.web.logs import JsonLines, Plain
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
NEEDLE = "Nadel-im-Heuhaufen-4711"
NEWER = "Nadel-im-Heuhaufen-0815"


def holds(text: object) -> bool:
    return "Nadel-im" in str(text)


def break_the_database() -> None:
    """Make every change fail, because its audit event can no longer be written."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent RENAME TO somewhere_else")


def shows(answer: Any) -> bool:
    return holds(answer.content.decode()) or holds(answer.headers)


@pytest.fixture
def root(fleet: Fleet) -> Client:
    """Return a browser of a superuser who also administers the fleet."""
    return signed_in(factory.a_member(fleet, Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True))


@pytest.fixture
def answers(root: Client, fleet: Fleet, caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """Send the secret through every form, invalid, then valid, then as a replacement, and return the responses."""
    caplog.set_level(logging.DEBUG)
    pages = [
        ("credentials:add", {"brand": "TESLA"}, {"client_id": "", "client_secret": NEEDLE, "unchecked": "1"}),
        (
            "credentials:add",
            {"brand": "TESLA"},
            {"name": "T", "client_id": "c", "client_secret": NEEDLE, "unchecked": "1"},
        ),
        ("vehicles:add", {"brand": "OKAI"}, {"telematics_unit_id": "1", "password": NEEDLE}),
        (
            "vehicles:add",
            {"brand": "OKAI"},
            {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": NEEDLE},
        ),
    ]
    answers = [root.post(at(fleet, name, **kwargs), values, follow=True) for name, kwargs, values in pages]
    credential, vehicle = Credential.objects.get(), Vehicle.objects.get()
    later = [
        ("credentials:rotate", credential, {"client_secret": NEWER, "ends_on": "never", "unchecked": "1"}),
        ("credentials:rotate", credential, {"client_secret": NEWER, "unchecked": "1"}),
        ("vehicles:change", vehicle, {"telematics_unit_id": "", "password": NEWER}),
        (
            "vehicles:change",
            vehicle,
            {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": NEWER},
        ),
    ]
    for name, of, values in later:
        address = at(fleet, name, id=of.pk)
        answers.append(root.post(address, values | version_shown(root, address), follow=True))
    yield answers


def at(fleet: Fleet, name: str, **kwargs: str) -> str:
    return reverse(name, kwargs={"fleet": fleet.slug} | kwargs)


def test_the_secret_went_in(answers: list[Any]) -> None:
    assert NEWER in json.dumps(Credential.objects.get().secret.open())
    assert Vehicle.objects.get().open_password() == NEWER


def test_no_answer_to_a_form_shows_the_secret(answers: list[Any]) -> None:
    assert not [answer.request["PATH_INFO"] for answer in answers if shows(answer)]


def test_no_page_and_no_admin_form_shows_the_secret(answers: list[Any], root: Client, fleet: Fleet) -> None:
    credential, vehicle = Credential.objects.get(), Vehicle.objects.get()
    addresses = [
        *(at(fleet, f"credentials:{name}") for name in ("index", "export", "find_secret")),
        *(at(fleet, f"credentials:{name}", id=credential.pk) for name in ("detail", "change", "rotate", "remove")),
        *(at(fleet, f"vehicles:{name}") for name in ("index", "export")),
        *(at(fleet, f"vehicles:{name}", id=vehicle.pk) for name in ("detail", "change", "remove")),
        at(fleet, "history:index"),
        at(fleet, "history:export", kind="csv"),
    ]
    for kind, row in (("credentials_credential", credential), ("vehicles_vehicle", vehicle)):
        addresses.append(reverse(f"admin:{kind}_changelist"))
        addresses += [reverse(f"admin:{kind}_{page}", args=[row.pk]) for page in ("change", "delete", "history")]
    addresses += [reverse("admin:audit_auditevent_change", args=[event.pk]) for event in AuditEvent.objects.all()]
    for address in addresses:
        answer = root.get(address)
        content = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        assert answer.status_code == 200 and not holds(content), address


def test_no_admin_form_sends_a_secret_back(answers: list[Any], root: Client, fleet: Fleet) -> None:
    add = reverse("admin:credentials_credential_add", query={"fleet": fleet.pk, "brand": "STELLANTIS"})
    typed = {"name": "S", "password": NEEDLE, "private_key": NEEDLE, "certificate": NEEDLE, "passphrase": NEEDLE}
    assert not shows(root.post(add, typed))
    assert not shows(root.post(at(fleet, "credentials:add", brand="STELLANTIS"), typed))
    change = reverse("admin:vehicles_vehicle_change", args=[Vehicle.objects.get().pk])
    assert not shows(root.post(change, {"password": NEEDLE}))


def test_no_log_line_holds_the_secret(answers: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    assert not [record for record in caplog.records if holds(record.getMessage())]


def test_no_table_holds_the_secret_readably(answers: list[Any]) -> None:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            quoted = connection.ops.quote_name(table)
            cursor.execute(f"SELECT count(*) FROM {quoted} t WHERE t::text LIKE %s", ["%Nadel-im%"])
            assert cursor.fetchone() == (0,), table


def test_no_repr_holds_the_secret(answers: list[Any]) -> None:
    credential, vehicle = Credential.objects.get(), Vehicle.objects.get()
    secret = credential.secret
    for thing in (credential, secret, vehicle, secret.value, vehicle.unit_password):
        assert not holds(repr(thing)) and not holds(vars(thing) if hasattr(thing, "__dict__") else "")


@pytest.mark.parametrize("debug", [False, True])
@override_settings(ADMINS=["operator@example.com"])
def test_no_error_report_holds_the_secret(
    root: Client, fleet: Fleet, caplog: pytest.LogCaptureFixture, *, debug: bool
) -> None:
    root.raise_request_exception = False
    pages = [
        (
            at(fleet, "credentials:add", brand="TESLA"),
            {"name": "T", "client_id": "c", "client_secret": NEEDLE, "unchecked": "1"},
        ),
        (
            at(fleet, "vehicles:add", brand="OKAI"),
            {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": NEEDLE},
        ),
    ]
    break_the_database()
    with override_settings(DEBUG=debug):
        answers = [root.post(address, values) for address, values in pages]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert not any(shows(answer) for answer in answers)
    failures = [record for record in caplog.records if record.exc_info]
    assert len(failures) >= 2
    for record in failures:
        AdminEmailHandler(include_html=True).emit(record)
    lines = [formatter.format(record) for record in caplog.records for formatter in (JsonLines(), Plain())]
    reports = [str(message.message()) for message in mail.outbox]
    assert len(reports) == len(failures) and not any(map(holds, [*lines, *reports]))
