"""Importing credentials: the brands' rules hold, secrets are sealed, updates go through the verbs."""

import json
from functools import partial
from pathlib import Path

import pytest

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.factory import SECRET, TEST, a_credential
from tests.support.import_files import import_by_command

pytestmark = pytest.mark.django_db
TEXT = (
    "name,brand,client_id,client_secret,region,note\n"
    f"Berlin,mercedes-benz,client1,{SECRET},,first\nNorth,TESLA,client2,{SECRET}2,eu,\n"
)
run = partial(import_by_command, "import_credentials")


def test_an_imported_credential_equals_one_added_by_hand(fleet: Fleet, tmp_path: Path) -> None:
    values = {"client_id": "client2", "client_secret": SECRET, "region": "EU"}
    by_hand = Credential.add(fleet=fleet, actor=TEST, brand="TESLA", name="North", values=values, note="first")
    event, first, first_secret = AuditEvent.objects.get(action="credential.add"), by_hand.__dict__, by_hand.secret
    assert first_secret.open() == {"client_secret": SECRET}
    Credential.objects.all().delete()
    row = {"name": "North", "brand": "Tesla", "note": "first", **values}
    assert run(fleet, json.dumps(row) + "\n", tmp_path=tmp_path)[0] == 0
    second = Credential.objects.get()
    own = {"_state", "id", "status_since", "created_at", "created_by", "changed_at", "changed_by", "notes"}
    own |= {key for key in first if key.startswith("_")}
    stored = Credential.objects.get().__dict__
    assert {k: v for k, v in stored.items() if k not in own} == {k: v for k, v in first.items() if k not in own}
    assert second.secret.open() == {"client_secret": SECRET}
    assert second.secret.fingerprints == first_secret.fingerprints
    imported = AuditEvent.objects.get(action="credential.add", actor_id="import_credentials")
    assert (imported.changes, imported.target_label) == (event.changes, event.target_label)


def test_each_wrong_row_is_named_by_its_field_and_shows_no_secret(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Taken")
    text = (
        TEXT.splitlines()[0] + "\n"
        f"A,TESLA,,{SECRET},XX,\nB,TESLA,client,,,\nC,NIX,c,{SECRET},,\nD,OKAI,,,,\nE,NIU,c,{SECRET},eu,\n"
        f",NIU,c,{SECRET},,\ntaken,NIU,c,{SECRET},,\nF,NIU,c,{SECRET},,{'x' * 501}\nf,NIU,c,{SECRET},,\n"
        f"G,NIU,c,{SECRET}\x07,,\n"
    )
    code, summary, problems = run(fleet, text, tmp_path=tmp_path)
    assert (code, summary["errors"], Credential.objects.count()) == (1, 10, 1)
    assert [(found["line"], found["column"]) for found in problems] == [
        ("2", "client_id"),
        ("2", "region"),
        ("3", "client_secret"),
        ("4", "brand"),
        ("5", "brand"),
        ("6", "region"),
        ("7", "name"),
        ("8", "name"),
        ("9", "note"),
        ("10", "name"),
        ("11", "client_secret"),
    ]
    assert SECRET not in json.dumps(problems)


def test_an_update_replaces_the_secret_through_its_verb(fleet: Fleet, tmp_path: Path) -> None:
    assert run(fleet, TEXT, tmp_path=tmp_path)[1]["new"] == 2
    assert run(fleet, TEXT, "--on-duplicate=update", tmp_path=tmp_path)[1]["unchanged"] == 2
    changed = TEXT.replace(f"{SECRET}2", "another-secret").replace("first", "second").replace("Berlin", "BERLIN")
    assert run(fleet, changed, "--on-duplicate=update", tmp_path=tmp_path)[1]["updated"] == 2
    berlin, north = Credential.objects.get(name="Berlin"), Credential.objects.get(name="North")
    assert (berlin.note, berlin.secret.version) == ("second", 1)
    assert (north.secret.version, north.secret.open()) == (2, {"client_secret": "another-secret"})
    assert {event.action for event in AuditEvent.objects.all()} >= {"credential.rotate", "credential.change"}


def test_an_update_cannot_change_what_a_credential_is(fleet: Fleet, tmp_path: Path) -> None:
    run(fleet, TEXT, tmp_path=tmp_path)
    for old, new, column in [
        ("client1", "other", "client_id"),
        ("TESLA", "NIU", "brand"),
        (",eu,", ",na,", "settings"),
    ]:
        changed = TEXT.replace(old, new)
        if column == "brand":
            changed = changed.replace(",eu,", ",,")
        code, summary, problems = run(fleet, changed, "--on-duplicate=update", tmp_path=tmp_path)
        assert (code, summary["updated"]) == (1, 0)
        assert column in {found["column"] for found in problems}


def test_an_update_may_leave_the_secret_out(fleet: Fleet, tmp_path: Path) -> None:
    run(fleet, TEXT, tmp_path=tmp_path)
    text = "name,brand,note\nBerlin,MERCEDES_BENZ,second\nNew,MERCEDES_BENZ,third\n"
    code, summary, problems = run(fleet, text, "--on-duplicate=update", "--on-error=skip", tmp_path=tmp_path)
    assert (code, summary["updated"], summary["errors"]) == (1, 1, 1)
    assert {found["line"] for found in problems} == {"3"}


def test_no_secret_reaches_the_trail(fleet: Fleet, tmp_path: Path) -> None:
    run(fleet, TEXT, tmp_path=tmp_path)
    for event in AuditEvent.objects.all():
        assert SECRET not in json.dumps(event.changes)
