"""Importing vehicles: commands, rules, duplicates, updates, and the same result as adding vehicles one by one."""

import csv
import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support.factory import TEST, a_credential, a_vehicle
from tests.support.import_files import import_by_command, in_form, taxi_register
from vehicles import vin as vins
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
run = partial(import_by_command, "import_vehicles")


@pytest.fixture
def register() -> str:
    return taxi_register()


FLAGS = ["--map=name=medallion", "--set=telematics_brand=MERCEDES_BENZ", "--set=credential=Mercedes-Benz fleet Berlin"]


def test_the_real_register_is_refused_with_its_two_wrong_lines(fleet: Fleet, register: str, tmp_path: Path) -> None:
    a_credential(fleet, "Mercedes-Benz fleet Berlin")
    code, summary, problems = run(fleet, register, *FLAGS, tmp_path=tmp_path)
    assert (code, summary["errors"], summary["new"], summary["notes"]) == (1, 2, 0, 9)
    assert problems == [
        {"line": "295", "column": "name", "value": "1D33", "reason": "This name stands on line 294 already."},
        {
            "line": "2358",
            "column": "vin",
            "value": "1FMCU49349KB1090",
            "reason": "A VIN has 17 characters, this one has 16.",
        },
    ]
    assert not Vehicle.objects.exists()


def test_the_real_register_without_its_wrong_lines(fleet: Fleet, register: str, tmp_path: Path) -> None:
    credential = a_credential(fleet, "Mercedes-Benz fleet Berlin")
    code, summary, _ = run(fleet, register, *FLAGS, "--on-error=skip", tmp_path=tmp_path)
    assert (code, summary["new"], summary["errors"]) == (1, 3998, 2)
    assert credential.vehicles.count() == 3998
    assert AuditEvent.objects.filter(fleet_id=fleet.pk, action="vehicle.add").count() == 3998
    assert run(fleet, register, *FLAGS, "--on-error=skip", "--on-duplicate=update", tmp_path=tmp_path)[1] == {
        **summary,
        "new": 0,
        "unchanged": 3998,
    }


@pytest.mark.parametrize("form", ["utf-8-sig", "utf-16", "latin-1", "cp1252", "xlsx", "jsonl"])
def test_the_real_register_reads_alike_in_every_form(fleet: Fleet, register: str, tmp_path: Path, form: str) -> None:
    a_credential(fleet, "Mercedes-Benz fleet Berlin")
    file, out = tmp_path / "register", io.StringIO()
    file.write_bytes(in_form(register, form))
    with pytest.raises(SystemExit):
        call_command("import_vehicles", str(file), f"--fleet={fleet.slug}", "--dry-run", "--json", *FLAGS, stdout=out)
    assert json.loads(out.getvalue())["errors"] == 2


def test_a_dry_run_finds_the_same_and_writes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    text = "telematics_brand,qnr\nCLOUDBOXX,0123456789ABCDEF\n"
    assert run(fleet, text, "--dry-run", tmp_path=tmp_path)[1]["new"] == 1
    assert not Vehicle.objects.exists()
    assert run(fleet, text, tmp_path=tmp_path)[:2] == (
        0,
        run(fleet, text, tmp_path=tmp_path)[1] | {"new": 1, "errors": 0},
    )


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ({"telematics_brand": "NIX"}, "telematics_brand", "There is no brand of this name."),
        ({"telematics_brand": ""}, "telematics_brand", "Enter the telematics brand."),
        ({"credential": ""}, "credential", "Mercedes-Benz vehicles need a credential of their brand."),
        ({"credential": "Nord"}, "credential", "There is no credential of this name in this fleet."),
        ({"credential": "Niu"}, "credential", "This credential is not one of the vehicle's fleet and brand."),
        ({"password": "x"}, "password", "Mercedes-Benz vehicles take no password. Leave it empty."),
        ({"vin": ""}, "telematics_unit_id", "Enter the ID of the telematics unit."),
        ({"vin": "WBA71EF0X0E12345"}, "vin", "A VIN has 17 characters, this one has 16."),
        ({"vin": "WBA71EF0X0E12345O"}, "vin", "A VIN has 17 characters: digits and capital letters without I, O"),
        ({"license_plate": "x" * 31}, "license_plate", "Ensure this value has at most 30 characters (it has 31)."),
        ({"year": "1850"}, "year", "Ensure this value is greater than or equal to 1900."),
        ({"year": "new"}, "year", "“…” value must be an integer."),
        ({"operation_status": "SOLD"}, "operation_status", "This is none of the choices: OPERATING"),
        ({"custom_fields": "[1]"}, "custom_fields", "Custom fields are written as a JSON object"),
        ({"tags": '["a", '}, "tags", "Tags stand between commas or in a JSON list."),
        ({"name": "Taken"}, "name", "This fleet already has a vehicle of this name."),
    ],
)
def test_each_rule_names_line_column_and_reason(
    fleet: Fleet, tmp_path: Path, row: Mapping[str, str], column: str, reason: str
) -> None:
    a_credential(fleet, "Berlin")
    a_credential(fleet, "Niu", brand="NIU")
    a_vehicle(fleet, name="Taken")
    good = {
        "name": "Van", "telematics_brand": "mercedes-benz", "credential": "BERLIN", "password": "",
        "vin": "WBA71EF0X0E123456", "license_plate": "HH-NL 1", "year": "2020", "operation_status": "garage",
        "custom_fields": '{"a": null}', "tags": "a, b",
    }  # fmt: skip
    out = io.StringIO()
    table = csv.DictWriter(out, list(good))
    table.writeheader()
    table.writerow({**good, **row})
    code, summary, problems = run(fleet, out.getvalue(), tmp_path=tmp_path)
    assert (code, summary["errors"]) == (1, 1)
    assert [(found["line"], found["column"]) for found in problems] == [("2", column)]
    assert problems[0]["reason"].startswith(reason)


def test_duplicates_in_the_file_name_the_first_line(fleet: Fleet, tmp_path: Path) -> None:
    text = (
        "Name;FIN;QNR;telematics_brand\nA;WBA71EF0X0E123456;1;CLOUDBOXX\nB;wba71ef0x0e123456;2;CLOUDBOXX\n"
        "C;;1;cloudboxx\nA;;4;CLOUDBOXX\nA;;5;CLOUDBOXX\n"
    )
    problems = run(fleet, text, tmp_path=tmp_path)[2]
    assert [(found["line"], found["column"], found["reason"]) for found in problems] == [
        ("3", "FIN", "This VIN stands on line 2 already."),
        ("4", "QNR", "This telematics unit stands on line 2 already."),
        ("5", "Name", "This name stands on line 2 already."),
        ("6", "Name", "This name stands on line 2 already."),
    ]


def test_an_imported_vehicle_equals_one_added_by_hand(fleet: Fleet, tmp_path: Path) -> None:
    credential = a_credential(fleet, "Berlin")
    values: dict[str, Any] = {
        "license_plate": "HH-NL 1", "vin": "WBA71EF0X0E123456", "make": "BMW\\", "model": 'iX"1', "year": 2024,
        "tags": ["a", 'b"\\'], "custom_fields": {"x": None}, "fuel_type": "=electric",
    }  # fmt: skip
    by_hand = Vehicle.add(fleet=fleet, actor=TEST, telematics_brand="MERCEDES_BENZ", credential=credential, **values)
    first = Vehicle.objects.get().__dict__
    event = AuditEvent.objects.get(action="vehicle.add")
    by_hand.remove(actor=TEST)
    row = values | {"telematics_brand": "MERCEDES_BENZ", "credential": "Berlin"}
    assert run(fleet, json.dumps(row) + "\n", tmp_path=tmp_path)[0] == 0
    own = ("_state", "id", "created_at", "created_by", "changed_at", "changed_by")
    second = Vehicle.objects.get().__dict__
    assert {k: v for k, v in second.items() if k not in own} == {k: v for k, v in first.items() if k not in own}
    imported = AuditEvent.objects.get(action="vehicle.add", actor_id="import_vehicles")
    assert imported.changes == event.changes
    assert imported.target_label == event.target_label


def test_an_update_changes_only_what_the_file_has(fleet: Fleet, tmp_path: Path) -> None:
    kept = a_vehicle(fleet, name="Kept", license_plate="HH 1", make="BMW")
    a_vehicle(fleet, name="Same", license_plate="HH 2")
    text = "name,license_plate,make\nKept,HH 9,\nSame,HH 2,\nOther,HH 3,\n"
    code, summary, problems = run(fleet, text, "--on-duplicate=update", "--on-error=skip", tmp_path=tmp_path)
    assert (code, summary["updated"], summary["unchanged"], summary["new"], summary["errors"]) == (1, 1, 1, 0, 1)
    assert problems[0]["reason"] == "Enter the telematics brand."
    kept.refresh_from_db()
    assert (kept.license_plate, kept.make) == ("HH 9", "BMW")
    event = AuditEvent.objects.get(action="vehicle.change")
    assert event.changes == {"license_plate": ["HH 1", "HH 9"]}


def test_an_update_that_means_two_vehicles_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    a_vehicle(fleet, name="A", vin="WBA71EF0X0E123456")
    a_vehicle(fleet, name="B")
    problems = run(fleet, "name,vin\nB,WBA71EF0X0E123456\n", "--on-duplicate=update", tmp_path=tmp_path)[2]
    assert problems[0]["reason"] == "Name, VIN and unit of this row belong to different vehicles of the fleet."


def test_a_new_unit_password_is_sealed_for_its_vehicle_and_never_shown(fleet: Fleet, tmp_path: Path) -> None:
    text = "name,telematics_brand,imei,password\nScooter,OKAI,123456789012345,geheim-17\n"
    assert run(fleet, text, tmp_path=tmp_path)[0] == 0
    vehicle = Vehicle.objects.get()
    assert vehicle.open_password() == "geheim-17"
    assert run(fleet, text, "--on-duplicate=update", tmp_path=tmp_path)[1]["unchanged"] == 1
    changed = text.replace("geheim-17", "geheim-18")
    assert run(fleet, changed, "--on-duplicate=update", tmp_path=tmp_path)[1]["updated"] == 1
    vehicle.refresh_from_db()
    assert vehicle.open_password() == "geheim-18"
    assert AuditEvent.objects.get(action="vehicle.change").changes == {"password": ["replaced", "replaced"]}
    broken = 'name,telematics_brand,imei,password\n"Sc"x,OKAI,123456789012345,geheim-17\nx,NIU,1,geheim-17\n'
    assert "geheim" not in json.dumps(run(fleet, broken, tmp_path=tmp_path)[2])


def test_duplicates_can_be_left_out(fleet: Fleet, tmp_path: Path) -> None:
    a_vehicle(fleet, name="A")
    text = "name,telematics_brand,qnr\nA,CLOUDBOXX,100\nB,CLOUDBOXX,101\nB,CLOUDBOXX,102\n"
    code, summary, _ = run(fleet, text, "--on-duplicate=skip", tmp_path=tmp_path)
    assert (code, summary["new"], summary["skipped"], summary["errors"]) == (0, 1, 2, 0)


@pytest.mark.parametrize("flags", [["--map=x=y"], ["--map=name=y"], ["--set=name"], ["--set=x=1"], ["--fleet=nowhere"]])
def test_wrong_usage_ends_with_code_2(fleet: Fleet, tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        run(fleet, "name\nA\n", *flags, tmp_path=tmp_path)
    assert caught.value.returncode == 2


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=32)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "name": TEXT,
                "license_plate": TEXT,
                "make": TEXT,
                "year": st.sampled_from(["", "1899", "2000", "x", "20000000000"]),
                "vin": st.sampled_from(["", "WBA71EF0X0E123456", "wba 71ef0x0e-123457", "WBA", "WBA71EF0X0E12345I"]),
                "qnr": st.sampled_from(["", "1", "22", "a b", "x" * 65]),
            }
        ),
        min_size=1,
        max_size=4,
    )
)
def test_file_and_form_take_and_refuse_the_same(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    """The import accepts and refuses the same rows as the verb of the model."""
    for number, row in enumerate(rows):
        text = json.dumps({**row, "telematics_brand": "CLOUDBOXX"}) + "\n"
        errors = _by_hand(fleet, row)
        summary = run(fleet, text, tmp_path=tmp_path_factory.mktemp(str(number)))
        # For a row without name and unit, the import reports only the missing unit.
        assert {found["column"] for found in summary[2]} == errors - ({"name"} if not row["name"] else set())
        Vehicle.objects.all().delete()


def _by_hand(fleet: Fleet, row: dict[str, str]) -> set[str]:
    values: dict[str, Any] = {key: value for key, value in row.items() if value and key != "qnr"}
    try:
        vehicle = Vehicle.add(
            fleet=fleet, actor=TEST, telematics_brand="CLOUDBOXX", telematics_unit_id=row["qnr"], **values
        )
    except ValidationError as error:
        return {"qnr" if key == "telematics_unit_id" else key for key in error.error_dict}
    vehicle.delete()
    return set()


def test_a_wrong_check_digit_is_a_note(fleet: Fleet, tmp_path: Path) -> None:
    assert vins.check_digit_is_wrong("1FMCU493X9XB81028")
    text = "telematics_brand,qnr,vin\nCLOUDBOXX,0123456789ABCDEF,1FMCU493X9XB81028\n"
    code, summary, problems = run(fleet, text, tmp_path=tmp_path)
    assert (code, summary["notes"], problems) == (0, 1, [])
