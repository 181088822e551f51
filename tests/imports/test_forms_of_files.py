"""What spreadsheets and exporters add to files is taken off, but never from a secret; nothing unused is in the way."""

import json
from functools import partial
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from fleetcontrol.people.models import Fleet, User
from tests.support.factory import a_credential, a_vehicle
from tests.support.import_files import import_by_command, upload
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
run = partial(import_by_command, "import_vehicles")
run_credentials = partial(import_by_command, "import_credentials")
SECRETS = ["'-x9=pw", "''=x", '="abc"', "=S3cret+9", "@home", "'"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("header", ["name,brand,client_id,client_secret", "id,name,brand,client_id,client_secret"])
def test_a_secret_is_the_same_from_every_form(fleet: Fleet, tmp_path: Path, header: str, secret: str) -> None:
    quoted = '"' + secret.replace('"', '""') + '"'
    first = "17," if header.startswith("id") else ""
    assert run_credentials(fleet, f"{header}\n{first}A,NIU,a,{quoted}\n", tmp_path=tmp_path)[0] == 0
    row = json.dumps({"name": "B", "brand": "NIU", "client_id": "a", "client_secret": secret})
    assert run_credentials(fleet, row + "\n", tmp_path=tmp_path)[0] == 0
    assert [one.secret.open()["client_secret"] for one in fleet.credentials.all()] == [secret, secret]


def test_a_units_password_is_the_same_too(fleet: Fleet, tmp_path: Path) -> None:
    text = "name,telematics_brand,imei,password\nA,OKAI,123456789012345,'-x9=pw\n"
    assert run(fleet, text, tmp_path=tmp_path)[0] == 0
    assert Vehicle.objects.get().open_password() == "'-x9=pw"


def test_text_markers_of_exporters_are_taken_off(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "NIU EU", brand="NIU")
    text = (
        "name,telematics_brand,telematics_unit_id,credential,license_plate\n"
        '"=""101""",NIU,"=""0SN1""",NIU EU,"=""B-AB 1"""\n="102",NIU,="0SN2",NIU EU,="B-AB 2"\n'
    )
    assert run(fleet, text, tmp_path=tmp_path)[0] == 0
    found = list(Vehicle.objects.values_list("name", "telematics_unit_id", "license_plate"))
    assert found == [("101", "0SN1", "B-AB 1"), ("102", "0SN2", "B-AB 2")]


def test_an_apostrophe_is_taken_off_only_where_our_export_put_it(fleet: Fleet, tmp_path: Path) -> None:
    vehicle = a_vehicle(fleet, name="=1+1")
    file = tmp_path / "export.csv"
    call_command("export_vehicles", str(file), f"--fleet={fleet.slug}")
    text = file.read_text(encoding="utf-8")
    assert "'=1+1" in text
    assert run(fleet, text, "--on-duplicate=update", tmp_path=tmp_path)[1]["unchanged"] == 1
    foreign = text.replace("name,", "Name,", 1)
    assert run(fleet, foreign.replace("=1+1", "-Van"), "--on-duplicate=update", tmp_path=tmp_path)[1]["updated"] == 1
    vehicle.refresh_from_db()
    assert vehicle.name == "'-Van"


def test_short_rows_are_rows_with_empty_cells(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Mercedes Süd")
    flags = ["--set=telematics_brand=MERCEDES_BENZ", "--set=credential=Mercedes Süd"]
    text = (
        "name;vin;license_plate;make;model;note\r\nVan 1;WDB9066331S123451;B-AB 101;Mercedes;Sprinter;x\r\n"
        "Van 2;WDB9066331S123452;B-AB 102\r\nVan 3;WDB9066331S123453\r\n;;\r\n \r\n; ;;;;\r\n"
    )
    assert run(fleet, text, *flags, tmp_path=tmp_path)[1]["new"] == 3
    code, _, problems = run(fleet, "name,vin\nA,WDB9066331S123454,x\n", *flags, tmp_path=tmp_path)
    assert (code, problems[0]["reason"]) == (1, "This row has 3 cells, the header has 2.")


def test_two_unused_columns_of_one_name_are_in_nobodys_way(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Mercedes Süd")
    flags = ["--set=telematics_brand=MERCEDES_BENZ", "--set=credential=Mercedes Süd"]
    text = "name,vin,Notes,Status,Notes\nVan 1,WDB9066331S123456,a,OPERATING,b\n"
    assert run(fleet, text, *flags, tmp_path=tmp_path)[0] == 0
    with pytest.raises(CommandError, match="names the column “VIN” twice, so it is not clear which one to import"):
        run(fleet, "name,VIN,vin\nA,1,2\n", *flags, tmp_path=tmp_path)


def test_the_page_leaves_two_columns_of_one_name_to_the_person(client: Client, fleet: Fleet, bob: User) -> None:
    client.force_login(bob)
    page = client.get(upload(client, fleet, "name,VIN,vin,plate\nA,1,2,3\n")).content.decode()
    assert page.count('value="license_plate" selected') == page.count('value="name" selected') == 1
    assert 'value="vin" selected' not in page
