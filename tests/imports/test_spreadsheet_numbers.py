"""What a spreadsheet made of an ID or a secret is refused with the reason, and never written over the right one."""

from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from credentials.brands import find
from fleetcontrol.people.models import Fleet
from tests.support.api import Api
from tests.support.factory import a_credential, a_vehicle
from tests.support.import_files import import_by_command
from vehicles.models import Vehicle

run = partial(import_by_command, "import_vehicles")
NUMBERS = [
    "4E+15",
    "8.9E+18",
    "3.56938E+14",
    "3,56938E+14",
    "3.56938035643809e+14",
    "356938035643809.0",
    "4711,0",
    "1E-5",
]
IDS = ["1E10", "12345678901234E5", "4E15", "356938035643809", "12.5", "1.0.3", "E+15", "0SN1", "NBSG4C7B40647G5M"]


@pytest.mark.parametrize("text", NUMBERS)
def test_a_spreadsheets_number_is_no_id_and_no_secret(text: str) -> None:
    for values in ({"client_id": text, "client_secret": "x"}, {"client_id": "x", "client_secret": text}):
        with pytest.raises(ValidationError, match="what a spreadsheet makes of a long number"):
            find("NIU").clean(values)


@pytest.mark.parametrize("text", IDS)
def test_what_only_resembles_one_is_taken(text: str) -> None:
    assert find("NIU").clean({"client_id": text, "client_secret": text}).identifier == text


@pytest.mark.django_db
@pytest.mark.parametrize("text", NUMBERS)
def test_no_unit_is_overwritten(fleet: Fleet, tmp_path: Path, text: str) -> None:
    a_credential(fleet, "NIU EU", brand="NIU")
    vehicle = a_vehicle(fleet, name="Box 1", telematics_brand="CLOUDBOXX", telematics_unit_id="4000000000000121")
    for columns, row in (
        ("name;telematics_brand;telematics_unit_id;license_plate", f"Box 1;CLOUDBOXX;{text};B-CB 11"),
        ("name;telematics_unit_id", f"Box 1;{text}"),
        ("name;telematics_brand;serial;credential", f"New;NIU;{text};NIU EU"),
    ):
        code, _, problems = run(fleet, f"\ufeff{columns}\r\n{row}\r\n", "--on-duplicate=update", tmp_path=tmp_path)
        assert code == 1
        assert "what a spreadsheet makes of a long number" in problems[0]["reason"]
    vehicle.refresh_from_db()
    assert vehicle.telematics_unit_id == "4000000000000121"
    assert Vehicle.objects.count() == 1


@pytest.mark.django_db
def test_an_unusual_cloudboxx_is_taken_with_a_note(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "telematics_brand,qnr\nCLOUDBOXX,0123456789ABCDEF\nCLOUDBOXX,17\n"
    code, summary, _ = run(fleet, text, tmp_path=tmp_path)
    assert (code, summary["new"], summary["notes"]) == (0, 2, 1)
    words = "This is not what such an ID usually looks like: 0123456789ABCDEF."
    assert capsys.readouterr().err == f"line 3, qnr, note: {words}\n"
    answer = Api(fleet).post("/vehicles", {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "18"})
    assert answer.json()["notes"] == [words]
