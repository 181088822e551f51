"""The commands that check credentials, move their vehicles and find a leaked secret."""

import io
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from credentials.models import Credential, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.factory import TEST, a_tesla

pytestmark = pytest.mark.django_db


def run(name: str, *args: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out, stderr=out, **options)
    return out.getvalue()


def test_check_credentials_names_each_and_fails_when_one_does_not_work(fleet: Fleet, oem: DemoOem) -> None:
    a_tesla(fleet, "right-1", "Good")
    factory.a_credential(fleet, name="Scooters", brand="NIU")
    assert run("check_credentials").splitlines() == [
        "nordlicht-logistik: Scooters (NIU): cannot be checked",
        "nordlicht-logistik: Good (Tesla): works",
    ]
    a_tesla(fleet, "wrong-1", "Bad")
    with pytest.raises(CommandError, match=r"1 of 3 credentials do not work\.") as caught:
        run("check_credentials")
    assert caught.value.returncode == 1
    assert AuditEvent.objects.filter(action="credential.verify", actor_label="check_credentials").exists()


def test_check_credentials_takes_fleet_brand_and_failing(fleet: Fleet, oem: DemoOem) -> None:
    a_tesla(fleet, "right-1", "Good")
    bad = a_tesla(fleet, "wrong-1", "Bad")
    bad.verify(actor=TEST)
    a_tesla(factory.a_fleet(name="Other"), "right-1", "Theirs")
    bad.rotate(values={"client_secret": "right-2"}, actor=TEST)
    Credential.objects.filter(pk=bad.pk).update(status=Status.REJECTED)
    only_bad = run("check_credentials", "--fleet", fleet.slug, "--brand", "tesla", "--failing")
    assert only_bad == "nordlicht-logistik: Bad (Tesla): works\n"
    for options, told in ((["--fleet", "nobody"], "There is no fleet"), (["--brand", "TESLER"], "Did you mean TESLA")):
        with pytest.raises(CommandError, match=told) as caught:
            run("check_credentials", *options)
        assert caught.value.returncode == 2


def test_move_vehicles_moves_all_and_notes_a_differing_region(fleet: Fleet) -> None:
    first, second = a_tesla(fleet, "a", "Tesla EU"), a_tesla(fleet, "b", "Tesla US", "NA")
    for _number in range(3):
        factory.a_vehicle(fleet, first)
    options = ["--fleet", fleet.slug, "--from", "tesla eu", "--to", second.pk]
    assert "3 vehicles would move" in run("move_vehicles", *options, "--dry-run")
    assert first.vehicles.count() == 3
    told = run("move_vehicles", *options)
    assert "3 vehicles moved from Tesla EU to Tesla US." in told
    assert "differ in Region" in told
    assert AuditEvent.objects.filter(action="vehicle.move").count() == 3


def test_move_vehicles_refuses_another_brand_and_unknown_names(fleet: Fleet) -> None:
    first = a_tesla(fleet, "a", "Tesla EU")
    factory.a_vehicle(fleet, first)
    factory.a_credential(fleet, name="Scooters", brand="NIU")
    with pytest.raises(CommandError, match="cannot be used by"):
        run("move_vehicles", "--fleet", fleet.slug, "--from", "Tesla EU", "--to", "Scooters")
    with pytest.raises(CommandError, match="has no credential “Nobody”"):
        run("move_vehicles", "--fleet", fleet.slug, "--from", "Tesla EU", "--to", "Nobody")


def test_find_secret_reads_standard_input_and_says_what_depends_on_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = a_tesla(fleet, "leaked-1", "Tesla EU")
    factory.a_vehicle(fleet, credential)
    monkeypatch.setattr(sys, "stdin", io.StringIO("leaked-1\n"))
    assert run("find_secret") == "nordlicht-logistik: credential Tesla EU, version 1, in use, 1 vehicle depends on it\n"
    credential.rotate(values={"client_secret": "new"}, actor=TEST, why="leaked")
    monkeypatch.setattr(sys, "stdin", io.StringIO("leaked-1"))
    assert "version 1, erased here" in run("find_secret", "--fleet", fleet.slug)
    monkeypatch.setattr(sys, "stdin", io.StringIO("unknown-value"))
    with pytest.raises(SystemExit):
        run("find_secret")


def test_the_django_admin_checks_chosen_credentials(fleet: Fleet, oem: DemoOem) -> None:
    good, bad = a_tesla(fleet, "right-1", "Good"), a_tesla(fleet, "wrong-1", "Bad")
    boss = User.objects.create_superuser("boss@example.com", "pw-of-tests")
    client: Client = signed_in(boss)
    chosen = {"action": "check_connection", "_selected_action": [good.pk, bad.pk]}
    answer = client.post(reverse("admin:credentials_credential_changelist"), chosen, follow=True)
    assert "Bad: Tesla refused these details." in answer.content.decode()
    assert [c.status for c in Credential.objects.order_by("name")] == [Status.REJECTED, Status.WORKING]
