"""What an import shows of its file: to who sent it, to other managers, to API clients, in the file of refused rows."""

import csv
import io
import traceback
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client

from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.models import ImportPiece, ImportRun, Stage
from fleetcontrol.people.models import Fleet, Role
from tests.support import factory
from tests.support.api import Api, kind
from tests.support.browsers import signed_in
from tests.support.import_files import check, upload

pytestmark = pytest.mark.django_db
TEXT = "name,vin,login_password,API key\nVan 1,WBA71EF0X0E12345,geheim-1,geheim-2\n"


@pytest.fixture
def as_carol(fleet: Fleet) -> Client:
    return signed_in(factory.a_member(fleet, Role.MANAGER, name="Carol"))


def rows_of(answer: object) -> list[dict[str, str]]:
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # a stream
    return list(csv.DictReader(io.StringIO(text)))


def test_unknown_columns_are_shown_to_who_sent_them_alone(as_bob: Client, as_carol: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, TEXT)
    mine, others = as_bob.get(page).content.decode(), as_carol.get(page).content.decode()
    assert "login_password" in mine and "geheim-1" in mine
    assert "login_password" not in others and "geheim" not in others and "column 3" in others
    assert "Van 1" in others and "WBA71EF0X0E12345" in others


def test_a_check_shows_only_what_may_be_shown(as_bob: Client, as_carol: Client, fleet: Fleet) -> None:
    address = check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    for client in (as_bob, as_carol):
        html = client.get(f"{address}?show=error").content.decode()
        assert "Van 1" in html and "geheim" not in html and "login_password" not in html
    assert rows_of(as_carol.get(address.replace("check/", "refused.csv"))) == [
        {
            "line": "2",
            "reason": "vin: A VIN has 17 characters, this one has 16. telematics_unit_id: Enter the ID of the "
            "telematics unit.",
            "name": "Van 1",
            "vin": "WBA71EF0X0E12345",
            "column 3": "",
            "column 4": "",
        }
    ]


def test_the_first_row_of_a_file_without_a_header_is_no_header_to_others(
    as_bob: Client, as_carol: Client, fleet: Fleet
) -> None:
    page = upload(as_bob, fleet, "Van 1,CLOUDBOXX,geheim-1\nVan 2,CLOUDBOXX,geheim-2\n")
    address = check(as_bob, page, column_0="name", column_1="telematics_brand", column_2="password")
    assert "geheim" not in as_carol.get(address, follow=True).content.decode()
    run = ImportRun.objects.get()
    assert "geheim" not in str(vars(run)) and set(run.columns) >= {"name", "telematics_brand", "password"}
    assert all(not digest or len(digest) == 64 for digest in run.columns.values())


def test_a_row_that_cannot_be_split_comes_back_as_line_and_reason(as_bob: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, 'name,password\n"Van"1,geheim-1\n')
    address = check(as_bob, page, same_telematics_brand="OKAI")
    [row] = rows_of(as_bob.get(address.replace("check/", "refused.csv")))
    assert row == {
        "line": "2",
        "reason": "A closing quote must be followed by a separator or the end of the line.",
        "name": "",
        "password": "",
    }


def test_a_secret_for_all_rows_is_refused_in_the_address(fleet: Fleet) -> None:
    api = Api(fleet)
    path = "/credentials/imports?set=client_secret=geheim-4711"
    answer = api.send("POST", path, b"name,brand\nA,NIU\n", Content_Type="text/csv")
    assert kind(answer) == "validation-error" and answer.status_code == 400
    assert "client_secret" in answer.content.decode() and "geheim-4711" not in answer.content.decode()
    assert not ImportRun.objects.exists()


def test_a_secret_for_all_rows_is_refused_on_the_command_line(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("name,brand,client_id\nA,NIU,c\n", encoding="utf-8")
    with pytest.raises(CommandError) as caught:
        call_command("import_credentials", str(file), f"--fleet={fleet.slug}", "--set=client_secret=geheim-4711")
    assert "--ask" in str(caught.value) and "geheim-4711" not in str(caught.value)


def test_what_the_database_says_of_a_row_is_in_no_traceback(as_bob: Client, fleet: Fleet) -> None:
    check(as_bob, upload(as_bob, fleet, "name,telematics_brand,qnr,make\nA,CLOUDBOXX,1,geheim-1\n"))
    run = ImportRun.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE vehicles_vehicle ADD CONSTRAINT broken CHECK (make <> 'geheim-1')")
    attempt = run.start(Stage.WRITING, actor=factory.TEST)
    with pytest.raises(IntegrityError) as caught:
        import_work.attempt_now(run.pk, attempt, "en")
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    run.refresh_from_db()
    assert run.stage == Stage.FAILED and "geheim" not in run.failure


def test_nothing_of_the_file_stays_but_refused_rows(as_bob: Client, fleet: Fleet) -> None:
    text = "name,telematics_brand,qnr,year\nA,CLOUDBOXX,1,\nB,CLOUDBOXX,2,never\n"
    address = check(as_bob, upload(as_bob, fleet, text), same_telematics_brand="CLOUDBOXX")
    assert set(ImportPiece.objects.values_list("part", flat=True)) == {"file", "header", "set", "samples", "refused"}
    as_bob.post(address.replace("check/", "import/"))
    assert set(ImportPiece.objects.values_list("part", flat=True)) == {"refused"}
    assert ImportRun.objects.get().constants == {"telematics_brand": "CLOUDBOXX"}
