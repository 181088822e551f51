"""A column that every row needs and the file does not have is told once, with what to do about it."""

from functools import partial
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.test import Client

from fleetcontrol.people.models import Fleet, User
from tests.support.api import Api
from tests.support.factory import a_credential, a_vehicle
from tests.support.import_files import columns_form, import_by_command, upload
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
run = partial(import_by_command, "import_vehicles")
ROWS = "name,vin\n" + "".join(f"Van {number},WDB9066331S1234{number:02}\n" for number in range(30))


def test_by_command(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(
        CommandError, match=r"no column for “Telematics brand”.*--set telematics_brand=…, or its column"
    ):
        run(fleet, ROWS, tmp_path=tmp_path)
    with pytest.raises(CommandError, match=r"no column for “Credential”.*--set credential=…"):
        run(fleet, ROWS, "--set=telematics_brand=MERCEDES_BENZ", tmp_path=tmp_path)
    a_credential(fleet, "Berlin")
    flags = ["--set=telematics_brand=MERCEDES_BENZ", "--set=credential=Berlin"]
    assert run(fleet, ROWS, *flags, tmp_path=tmp_path)[1]["new"] == 30


def test_of_credentials(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no column for “Brand”.*--set brand=…"):
        import_by_command("import_credentials", fleet, "name,client_id\nA,b\n", tmp_path=tmp_path)
    with pytest.raises(CommandError, match=r"no column for “Name”.*--map name=COLUMN"):
        import_by_command("import_credentials", fleet, "client_id\nb\n", "--set=brand=NIU", tmp_path=tmp_path)


def test_an_update_needs_neither(fleet: Fleet, tmp_path: Path) -> None:
    a_vehicle(fleet, name="Van")
    assert run(fleet, "name,make\nVan,BMW\n", "--on-duplicate=update", tmp_path=tmp_path)[1]["updated"] == 1


def test_by_api(fleet: Fleet) -> None:
    answer = Api(fleet).send("POST", "/vehicles/imports", ROWS.encode(), Content_Type="text/csv")
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert "no column for “Telematics brand”. Name it for all rows with set=telematics_brand=…" in error["message"]


def test_by_page_it_is_asked_first_and_required(client: Client, fleet: Fleet, bob: User) -> None:
    a_credential(fleet, "Berlin")
    client.force_login(bob)
    page = upload(client, fleet, ROWS)
    html = client.get(page).content.decode()
    assert (
        html.index("What the file does not say")
        < html.index('name="same_telematics_brand"')
        < html.index('name="column_0"')
    )
    answer = client.post(page, columns_form(client, page))
    assert answer.status_code == 422
    words = "The file has no column for “Telematics brand”. Choose what holds for all rows."
    assert answer.content.decode().count(words) == 2  # above the form, and at the field
    brand = columns_form(client, page, same_telematics_brand="MERCEDES_BENZ")
    assert client.post(page, brand).status_code == 422
    assert client.post(page, brand | {"same_credential": "Berlin"}, follow=True).status_code == 200
    assert not Vehicle.objects.exists()  # checked, and not yet written


def test_a_file_that_says_it_is_not_asked(client: Client, fleet: Fleet, bob: User) -> None:
    client.force_login(bob)
    html = client.get(upload(client, fleet, "name,oem,credential\nA,TESLA,x\n")).content.decode()
    assert "What the file does not say" not in html
    assert "As the file says" in html


def test_a_column_that_only_bears_the_name_is_left_out_with_a_note(
    client: Client, fleet: Fleet, bob: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"Van {number},000000000000000{number},In Service\n" for number in range(3))
    text = f"name,qnr,Status\n{rows}Van 4,0000000000000004,Garage\n"
    flags = ["--set=telematics_brand=CLOUDBOXX"]
    code, summary, _ = run(fleet, text, "--dry-run", *flags, tmp_path=tmp_path)
    assert (code, summary["new"]) == (0, 4)
    assert "“Status” is left out: most of its values mean nothing for “Operation status”" in capsys.readouterr().err
    code, summary, problems = run(fleet, text, "--map=operation_status=Status", *flags, tmp_path=tmp_path)
    assert (code, summary["errors"]) == (1, 3)
    assert problems[0]["reason"].startswith("This is none of the choices: OPERATING")
    answer = (
        Api(fleet)
        .send(
            "POST",
            "/vehicles/imports?set=telematics_brand=CLOUDBOXX&dry_run=true",
            text.encode(),
            Content_Type="text/csv",
        )
        .json()
    )
    assert (answer["counts"]["errors"], answer["counts"]["notes"]) == (0, 1)
    assert "“Status” is left out" in str(answer["problems"])
    client.force_login(bob)
    html = client.get(upload(client, fleet, text)).content.decode()
    assert 'value="operation_status" selected' not in html
    good = text.replace("In Service", "In Betrieb").replace("In Betrieb", "Operating")
    assert 'value="operation_status" selected' in client.get(upload(client, fleet, good)).content.decode()
