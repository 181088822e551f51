"""Exported files import again unchanged, whatever they contain."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from fleetcontrol.people.models import Fleet
from tests.support.factory import SECRET, a_credential, a_vehicle

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_exported_vehicles_import_again_unchanged(fleet: Fleet, tmp_path: Path, format: str) -> None:
    credential = a_credential(fleet, "=Berlin")
    a_vehicle(fleet, credential, name="'=1+1", license_plate="-HH 1", tags=["a,b", "c"], year=2020)
    a_vehicle(fleet, name='Van "7" \\ second', custom_fields={"a": None, "ö": 1.50}, make="@make", model="\\N")
    a_vehicle(fleet, telematics_brand="OKAI", telematics_unit_id="123456789012345", password=SECRET)
    file = tmp_path / "vehicles"
    call_command("export_vehicles", str(file), f"--fleet={fleet.slug}", f"--format={format}")
    assert SECRET not in file.read_text(encoding="utf-8")
    assert _imported("vehicles", file, fleet)["unchanged"] == 3


@pytest.mark.parametrize(
    ("name", "options", "start"),
    [
        ("a.jsonl", [], '{"name": "Van",'),
        ("a.csv", [], "name,"),
        ("a", [], "name,"),
        ("a.jsonl", ["--format=csv"], "name,"),
        ("a.jsonl", ["--excel"], "\ufeff"),
    ],
)
def test_a_file_has_the_format_of_its_name(
    fleet: Fleet, tmp_path: Path, name: str, options: list[str], start: str
) -> None:
    a_vehicle(fleet, name="Van")
    call_command("export_vehicles", str(tmp_path / name), f"--fleet={fleet.slug}", *options)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


def test_exported_credentials_import_again_unchanged(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "+North", brand="TESLA", values={"region": "EU"}, note="-1")
    a_credential(fleet, "South", brand="NIU")
    file = tmp_path / "credentials.csv"
    call_command("export_credentials", str(file), f"--fleet={fleet.slug}", "--excel")
    assert SECRET not in file.read_text(encoding="utf-8")
    assert _imported("credentials", file, fleet)["unchanged"] == 2


def test_an_export_goes_to_standard_output_and_names_a_wrong_fleet(fleet: Fleet) -> None:
    a_vehicle(fleet, name="Van")
    out = StringIO()
    call_command("export_vehicles", f"--fleet={fleet.slug}", stdout=out)
    assert out.getvalue().splitlines()[1].startswith("Van,CLOUDBOXX,")
    with pytest.raises(CommandError, match="The fleets are: nordlicht-logistik"):
        call_command("export_vehicles", "--fleet=nowhere")


def _imported(what: str, file: Path, fleet: Fleet) -> dict[str, int]:
    out = StringIO()
    call_command(f"import_{what}", str(file), f"--fleet={fleet.slug}", "--on-duplicate=update", "--json", stdout=out)
    counts: dict[str, int] = json.loads(out.getvalue())
    return counts
