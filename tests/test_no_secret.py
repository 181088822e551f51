"""Hunts a known secret through everything that comes out: pages, admin, logs, audit trail, tables, errors and reprs."""

import json
import logging
import traceback
from collections.abc import Iterator

import pytest
from django.core import mail
from django.db import connection
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import reverse

from credentials.models import Credential
from fleetcontrol.models import AuditEvent, Fleet
from tests import factory
from tests.conftest import signed_in
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
NEEDLE = "Nadel-im-Heuhaufen-4711"
NEWER = "Nadel-im-Heuhaufen-0815"


def holds(text: object) -> bool:
    return "Nadel-im" in str(text)


def shows(answer: HttpResponse) -> bool:
    return holds(answer.content.decode()) or holds(answer.headers)


@pytest.fixture
def root(fleet: Fleet) -> Client:
    """Administers the fleet and everything else."""
    return signed_in(factory.a_member(fleet, factory.Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True))


@pytest.fixture
def said(root: Client, fleet: Fleet, caplog: pytest.LogCaptureFixture) -> Iterator[list[HttpResponse]]:
    """What was answered while the secret went in by every page: with errors, then rightly, then replaced."""
    caplog.set_level(logging.DEBUG)
    pages = [
        ("credentials:add", {"brand": "TESLA"}, {"client_id": "", "client_secret": NEEDLE}),
        ("credentials:add", {"brand": "TESLA"}, {"name": "T", "client_id": "c", "client_secret": NEEDLE}),
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
        ("credentials:rotate", credential, {"client_secret": NEWER, "ends_on": "never"}),
        ("credentials:rotate", credential, {"client_secret": NEWER}),
        ("vehicles:change", vehicle, {"telematics_unit_id": "", "password": NEWER}),
        (
            "vehicles:change",
            vehicle,
            {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": NEWER},
        ),
    ]
    answers += [root.post(at(fleet, name, id=of.pk), values, follow=True) for name, of, values in later]
    yield answers


def at(fleet: Fleet, name: str, **kwargs: str) -> str:
    return reverse(name, kwargs={"fleet": fleet.slug} | kwargs)


def test_the_secret_went_in(said: list[HttpResponse]) -> None:
    assert NEWER in json.dumps(Credential.objects.get().secret.open())
    assert Vehicle.objects.get().open_password() == NEWER


def test_no_answer_to_a_form_shows_the_secret(said: list[HttpResponse]) -> None:
    assert not [answer.request["PATH_INFO"] for answer in said if shows(answer)]  # type: ignore[attr-defined]


def test_no_page_and_no_admin_form_shows_the_secret(said: list[HttpResponse], root: Client, fleet: Fleet) -> None:
    credential, vehicle = Credential.objects.get(), Vehicle.objects.get()
    addresses = [
        *(at(fleet, f"credentials:{name}") for name in ("index", "export", "find_secret")),
        *(at(fleet, f"credentials:{name}", id=credential.pk) for name in ("detail", "change", "rotate", "remove")),
        *(at(fleet, f"vehicles:{name}") for name in ("index", "export")),
        *(at(fleet, f"vehicles:{name}", id=vehicle.pk) for name in ("detail", "change", "remove")),
        at(fleet, "fleetcontrol:audit"),
        at(fleet, "fleetcontrol:audit_export", kind="csv"),
    ]
    for kind, row in (("credentials_credential", credential), ("vehicles_vehicle", vehicle)):
        addresses.append(reverse(f"admin:{kind}_changelist"))
        addresses += [reverse(f"admin:{kind}_{page}", args=[row.pk]) for page in ("change", "delete", "history")]
    addresses += [
        reverse("admin:fleetcontrol_auditevent_change", args=[event.pk]) for event in AuditEvent.objects.all()
    ]
    for address in addresses:
        answer = root.get(address)
        content = answer.getvalue().decode() if answer.streaming else answer.content.decode()
        assert answer.status_code == 200 and not holds(content), address


def test_no_admin_form_sends_a_secret_back(said: list[HttpResponse], root: Client, fleet: Fleet) -> None:
    add = reverse("admin:credentials_credential_add", query={"fleet": fleet.pk, "brand": "STELLANTIS"})
    typed = {"name": "S", "password": NEEDLE, "private_key": NEEDLE, "certificate": NEEDLE, "passphrase": NEEDLE}
    assert not shows(root.post(add, typed))
    assert not shows(root.post(at(fleet, "credentials:add", brand="STELLANTIS"), typed))
    change = reverse("admin:vehicles_vehicle_change", args=[Vehicle.objects.get().pk])
    assert not shows(root.post(change, {"password": NEEDLE}))


def test_no_log_line_holds_the_secret(said: list[HttpResponse], caplog: pytest.LogCaptureFixture) -> None:
    assert not [record for record in caplog.records if holds(record.getMessage())]


def test_no_table_holds_the_secret_readably(said: list[HttpResponse]) -> None:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            quoted = connection.ops.quote_name(table)
            cursor.execute(f"SELECT count(*) FROM {quoted} t WHERE t::text LIKE %s", ["%Nadel-im%"])
            assert cursor.fetchone() == (0,), table


def test_no_repr_holds_the_secret(said: list[HttpResponse]) -> None:
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
        (at(fleet, "credentials:add", brand="TESLA"), {"name": "T", "client_id": "c", "client_secret": NEEDLE}),
        (
            at(fleet, "vehicles:add", brand="OKAI"),
            {"telematics_unit_id": "123456789012345", "operation_status": "OPERATING", "password": NEEDLE},
        ),
    ]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE fleetcontrol_auditevent RENAME TO somewhere_else")
    with override_settings(DEBUG=debug):
        answers = [root.post(address, values) for address, values in pages]
    assert [answer.status_code for answer in answers] == [500, 500]
    assert not any(shows(answer) for answer in answers)
    told = [record for record in caplog.records if record.exc_info]
    assert told and not any(holds("".join(traceback.format_exception(*r.exc_info))) for r in told)  # type: ignore[misc]
    if not debug:
        assert len(mail.outbox) == 2
    assert not any(holds(message.message()) or holds(message.body) for message in mail.outbox)
