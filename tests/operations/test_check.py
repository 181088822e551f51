"""The health check tells the operator what fails and what to look at, and others only whether something does."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from django.tasks import task
from django.test import Client, override_settings
from django_tasks_db.models import DBTaskResult

from fleetcontrol.duties import duties
from fleetcontrol.operations.models import WORKER, Report
from fleetcontrol.people.models import Fleet, Mail, MailKind, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.reports import leave_all_reports

# The check has a connection of its own, which sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)
ELSEWHERE = "203.0.113.7"
LONG_AGO = timedelta(hours=1)


@pytest.fixture
def reports(db: None) -> None:
    leave_all_reports()


def warnings_of(client: Client) -> list[str]:
    answer = client.get("/health/")
    assert answer.status_code == 200
    found: list[str] = answer.json()["problems"]
    assert answer.json()["status"] == ("warn" if found else "pass")
    return found


def test_health_passes_without_sign_in(client: Client, reports: None) -> None:
    assert warnings_of(client) == []


def test_health_fails_when_the_key_does_not_open_what_is_stored(client: Client, fleet: Fleet) -> None:
    factory.a_credential(fleet)
    with override_settings(FERNET_KEYS=["another key"]):
        answer = client.get("/health/")
    assert answer.status_code == 503
    assert "FERNET_KEYS" in answer.json()["problems"][0]


def test_a_check_leaves_no_check_value_of_a_key_behind(client: Client, reports: None) -> None:
    with override_settings(FERNET_KEYS=["another key"]):
        assert client.get("/health/").status_code == 200
    assert client.get("/health/").status_code == 200


@pytest.mark.parametrize(("name", "words"), [(WORKER, "No worker runs"), ("", "Scheduled duties do not run")])
def test_health_warns_of_a_program_that_is_silent(client: Client, reports: None, name: str, words: str) -> None:
    silent = [name] if name else list(duties())
    Report.objects.filter(name__in=silent).update(at=Now() - LONG_AGO)
    (warning,) = warnings_of(client)
    assert warning.startswith(words)
    Report.objects.filter(name__in=silent).delete()
    (warning,) = warnings_of(client)
    assert warning.startswith(words)


def test_tend_reports_each_duty(client: Client) -> None:
    Report.leave(WORKER)
    call_command("tend", stdout=StringIO())
    assert set(Report.objects.exclude(name=WORKER).values_list("name", "failed")) == {
        (name, False) for name in duties()
    }
    assert warnings_of(client) == []


def test_health_names_a_duty_that_failed_or_no_longer_runs(client: Client, reports: None) -> None:
    Report.leave("prune_tasks", "task 7", failed=True)
    Report.objects.filter(name="seal_audit").update(at=Now() - LONG_AGO)
    found = warnings_of(client)
    assert sorted(found) == [
        "The duty prune_tasks failed, see the log. task 7",
        "The duty seal_audit did not run the last times.",
    ]


@task
def nothing() -> None:
    pass


def test_health_warns_of_tasks_that_wait(client: Client, reports: None) -> None:
    nothing.enqueue()
    assert warnings_of(client) == []
    DBTaskResult.objects.update(enqueued_at=Now() - LONG_AGO)
    (warning,) = warnings_of(client)
    assert warning.startswith("A task waits")


def test_health_warns_of_mail_that_waits_or_was_given_up(client: Client, reports: None, vera: User) -> None:
    mail = Mail.objects.create(kind=MailKind.PASSWORD_CHANGED, user=vera)
    assert warnings_of(client) == []
    Mail.objects.filter(pk=mail.pk).update(created_at=Now() - LONG_AGO)
    (warning,) = warnings_of(client)
    assert warning.startswith("Mail waits")
    Mail.objects.filter(pk=mail.pk).update(try_after=None)
    assert warnings_of(client) == ["Some mail could not be delivered."]


def test_others_see_that_something_is_to_be_done_and_superusers_what(client: Client, vera: User) -> None:
    assert client.get("/health/", REMOTE_ADDR=ELSEWHERE).json() == {"status": "warn"}
    as_vera = signed_in(vera)
    assert as_vera.get("/health/", REMOTE_ADDR=ELSEWHERE).json() == {"status": "warn"}
    User.objects.filter(pk=vera.pk).update(is_superuser=True)
    assert len(as_vera.get("/health/", REMOTE_ADDR=ELSEWHERE).json()["problems"]) == 2
