"""The page *System* and `manage.py status` say what the health check says."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from fleetcontrol.audit.keys import require_keys
from fleetcontrol.operations.models import Report
from fleetcontrol.people.models import User
from tests.support.browsers import signed_in
from tests.support.reports import leave_all_reports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_superuser(vera: User) -> Client:
    User.objects.filter(pk=vera.pk).update(is_superuser=True)
    return signed_in(vera)


@pytest.mark.parametrize(("language", "words"), [("en", "Everything works"), ("de", "Alles funktioniert")])
def test_superusers_see_the_state_of_everything(as_superuser: Client, language: str, words: str) -> None:
    leave_all_reports()
    Report.leave("prune_tasks", "7 deleted")
    page = as_superuser.get("/system/", headers={"Accept-Language": language}).content.decode()
    assert words in page
    assert "7 deleted" in page


def test_the_page_shows_warnings_and_problems(as_superuser: Client, settings: Settings) -> None:
    assert "No worker runs" in as_superuser.get("/system/").content.decode()
    require_keys()
    settings.FINGERPRINT_KEY = "another"
    page = as_superuser.get("/system/").content.decode()
    assert "FINGERPRINT_KEY is not the one" in page
    assert "No worker runs" not in page


def test_only_superusers_see_the_page_and_the_way_to_it(as_alice: Client, as_superuser: Client) -> None:
    assert as_alice.get("/system/").status_code == 404
    assert "/system/" not in as_alice.get("/f/nordlicht-logistik/vehicles/").content.decode()
    assert 'href="/system/"' in as_superuser.get("/f/nordlicht-logistik/vehicles/").content.decode()


def status(*arguments: str) -> str:
    out = StringIO()
    call_command("status", *arguments, stdout=out)
    return out.getvalue()


def test_status_says_the_same_in_the_terminal() -> None:
    assert "! No worker runs" in status()
    assert status().endswith("warn\n")
    leave_all_reports()
    assert status().endswith("pass\n")
    assert "!" not in status()


def test_status_says_the_same_to_programs() -> None:
    leave_all_reports()
    said = json.loads(status("--json"))
    assert (said["status"], said["problems"]) == ("pass", [])
    assert said["rows"]["mail"] == {"value": 0, "warning": ""}
    assert said["rows"]["duty seal_audit"].keys() == {"value", "warning", "at"}
    assert {"worker", "tend", "queue", "keys", "seals"} <= said["rows"].keys()
