"""The database's time decides: a host whose clock is days off erases nothing early, refuses nothing, keeps nothing."""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from credentials.brands import find
from credentials.duties import erase_former_secrets, send_notices
from credentials.models import Credential, CredentialSecret, NothingToRevertTo, Notice, OemToken
from credentials.oem.demo import DemoOem
from fleetcontrol.api.models import ApiClient, KeptAnswer, Tally
from fleetcontrol.audit.chain import extend_chain
from fleetcontrol.audit.duties import retire_audit
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.db import clock
from fleetcontrol.imports.models import ImportRun
from fleetcontrol.people.duties import forget_sessions
from fleetcontrol.people.models import Fleet, Invitation, Role, User
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in
from tests.support.certificates import a_certificate, stellantis
from tests.support.import_files import import_by_command

pytestmark = pytest.mark.django_db
Shift = Callable[[timedelta], None]
AHEAD, BEHIND = timedelta(days=30), timedelta(days=-30)


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Sets this host's clock forward or back. What nobody sets goes on."""
    real_now, real_time = timezone.now, time.time

    def set_clock(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: real_now() + by)
        monkeypatch.setattr("time.time", lambda: real_time() + by.total_seconds())

    return set_clock


@pytest.fixture
def rotated(fleet: Fleet) -> Credential:
    credential = factory.a_credential(fleet)
    credential.rotate(actor=factory.TEST, values={"client_secret": "another-secret"})
    return credential


def test_the_time_is_that_of_the_database(shift: Shift) -> None:
    before = clock.database_now()
    shift(AHEAD)
    assert timedelta(0) <= clock.database_now() - before < timedelta(minutes=1)


def test_a_former_secret_is_kept_its_24_hours(rotated: Credential, shift: Shift) -> None:
    shift(AHEAD)
    assert erase_former_secrets() == ""
    assert rotated.former_secret is not None
    rotated.revert(actor=factory.TEST)


def test_a_host_that_is_behind_keeps_24_hours_too(fleet: Fleet, shift: Shift) -> None:
    credential = factory.a_credential(fleet)
    shift(BEHIND)
    credential.rotate(actor=factory.TEST, values={"client_secret": "another-secret"})
    shift(timedelta(0))
    assert erase_former_secrets() == ""
    assert credential.former_secret is not None


def test_a_former_secret_goes_in_time_on_a_host_that_is_behind(rotated: Credential, shift: Shift) -> None:
    CredentialSecret.objects.filter(is_current=False).update(erase_after=timezone.now() - timedelta(minutes=1))
    shift(BEHIND)
    with pytest.raises(NothingToRevertTo):
        rotated.revert(actor=factory.TEST)
    assert erase_former_secrets() != ""


def test_no_session_is_forgotten_early(bob: User, shift: Shift) -> None:
    signed_in(bob)
    shift(AHEAD)
    forget_sessions()
    assert Session.objects.count() == 1


def test_no_audit_event_is_retired_early(fleet: Fleet, shift: Shift, settings: Settings) -> None:
    settings.AUDIT_KEPT_DAYS = 7
    factory.a_credential(fleet)
    extend_chain()
    events = AuditEvent.objects.count()
    shift(AHEAD)
    assert retire_audit() == ""
    assert AuditEvent.objects.count() == events


def test_no_evidence_is_invented_by_a_clock(fleet: Fleet, shift: Shift) -> None:
    extend_chain()
    factory.a_credential(fleet)  # not sealed yet
    shift(AHEAD)
    call_command("verify_audit")


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_the_file_of_an_import_is_kept(fleet: Fleet, shift: Shift, by: timedelta) -> None:
    def upload() -> ImportRun:
        return ImportRun.upload(
            fleet=fleet, actor=factory.TEST, kind="vehicle", name="a.csv", chunks=[b"name\n"], header=["name"]
        )

    shift(by)
    run = upload()
    assert ImportRun.erase_left_files() == 0
    shift(timedelta(0))
    assert ImportRun.erase_left_files() == 0
    assert run.has_file


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_an_oem_token_is_lent_while_it_lives(fleet: Fleet, oem: DemoOem, shift: Shift, by: timedelta) -> None:
    credential = factory.a_credential(
        fleet, name="Tesla", brand="TESLA", values={"client_secret": "right-1", "region": "EU"}
    )
    first = credential.lend_token(actor=factory.TEST)
    shift(by)
    OemToken.erase_ended()
    assert credential.lend_token(actor=factory.TEST).ends_at == first.ends_at


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_the_api_takes_the_tokens_of_other_hosts(fleet: Fleet, shift: Shift, by: timedelta) -> None:
    api = Api(fleet)
    api.sign_in()
    shift(by)
    assert api.get("/credentials").status_code == 200
    other = Api(fleet, name="Other")
    other.sign_in()  # on the host whose clock is off
    shift(timedelta(0))
    assert other.get("/credentials").status_code == 200


def test_a_replaced_secret_and_its_client_work_as_long_as_they_should(fleet: Fleet, shift: Shift) -> None:
    api = Api(fleet)
    client = ApiClient.objects.get()
    ApiClient.objects.update(ends_on=timezone.localdate() + timedelta(days=1))
    client.refresh_from_db()
    former = api.secret
    client.replace_secret(actor=factory.TEST)
    shift(AHEAD)
    client.refresh_from_db()
    assert client.secret_mark(former)


def test_an_invitation_works_its_seven_days(fleet: Fleet, shift: Shift) -> None:
    (invitation,) = Invitation.add(fleet=fleet, emails=["nina@example.com"], role=Role.VIEWER, actor=factory.TEST)
    token = invitation.link.rstrip("/").rpartition("/")[2]
    shift(AHEAD)
    assert Invitation.of_token(token) == invitation
    assert list(Invitation.open_for("nina@example.com")) == [invitation]


def test_what_tend_forgets_for_the_api_is_over(fleet: Fleet, shift: Shift) -> None:
    client = Api(fleet).client
    now: datetime = clock.database_now()
    KeptAnswer.objects.create(client=client, key="k", request="r", status=200, created_at=now)
    Tally.objects.create(key="t", ends_at=now + timedelta(minutes=1), count=1)
    shift(AHEAD)
    assert (KeptAnswer.erase_ended(), Tally.erase_ended()) == (0, 0)


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_a_certificate_and_an_end_are_judged_by_the_database(fleet: Fleet, shift: Shift, by: timedelta) -> None:
    certificate, key = a_certificate(days=10)
    ended, its_key = a_certificate(days=-1)
    credential = factory.a_credential(fleet)
    today = clock.database_today()
    shift(by)
    assert find("STELLANTIS").clean(stellantis(certificate, key)).notes == ()
    with pytest.raises(ValidationError, match="This certificate ended"):
        find("STELLANTIS").clean(stellantis(ended, its_key))
    credential.change(actor=factory.TEST, ends_on=today + timedelta(days=10))
    with pytest.raises(ValidationError):
        credential.change(actor=factory.TEST, ends_on=today - timedelta(days=10))


@pytest.mark.parametrize("by", [AHEAD, BEHIND])
def test_nobody_is_reminded_on_a_wrong_day(fleet: Fleet, shift: Shift, by: timedelta) -> None:
    ends_on = clock.database_today() + timedelta(days=40)
    factory.a_credential(fleet, name="Far", ends_on=ends_on)
    factory.a_credential(fleet, name="Near", ends_on=ends_on - timedelta(days=39))
    shift(by)
    send_notices()
    assert [notice.facts["name"] for notice in Notice.objects.all()] == ["Near"]


def test_while_copy_has_the_connection_the_time_is_counted_on(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    clock._last.clear()
    with clock.counting_on():
        monkeypatch.setattr(clock, "_MEASURED_EVERY", 0)
        with django_assert_num_queries(0):
            before = clock.database_now()
            assert clock.database_now() >= before
    with django_assert_num_queries(1):
        clock.database_now()


def test_an_imported_certificate_asks_the_database_nothing_while_its_rows_are_copied(
    fleet: Fleet, tmp_path: Path
) -> None:
    copies = False

    def watch(execute: Any, statement: str, *rest: Any) -> Any:
        nonlocal copies
        assert not (copies and "clock_timestamp" in statement), "this would wait for ever"
        copies = "SELECT count(*) - 2 FROM pg_attribute" in statement
        return execute(statement, *rest)

    clock._last.clear()
    values = {"name": "Stellantis", "brand": "STELLANTIS", **stellantis(*a_certificate())}
    with connection.execute_wrapper(watch):
        code, _, problems = import_by_command("import_credentials", fleet, json.dumps(values), tmp_path=tmp_path)
    assert (code, problems) == (0, [])
