"""An import by its pages: file, columns, check, import and report, also in the background and cancelled."""

import re
import threading
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.models import ImportPiece, ImportRun, Stage
from fleetcontrol.people.models import Fleet
from tests.support.factory import SECRET, TEST, a_credential, a_vehicle
from tests.support.import_files import check, columns_form, in_form, taxi_register, upload
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
TEXT = "Name;Kennzeichen;Marke;QNR;note\nVan 1;HH-1;BMW;1;x\nVan 2;HH-2;BMW;2;y\nVan 2;HH-3;BMW;3;z\n"


def test_a_file_goes_through_all_steps(as_bob: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, TEXT)
    columns = as_bob.get(page).content.decode()
    assert "Kennzeichen" in columns and "HH-2" in columns
    address = check(as_bob, page, same_telematics_brand="CLOUDBOXX")
    assert address.endswith("/check/")
    html = as_bob.get(address).content.decode()
    assert "2 new, 1 need fixing." in html
    assert "This name stands on line 3 already." in html
    assert "<td>Van 2</td>" in as_bob.get(address + "?show=error").content.decode()
    assert as_bob.get(address + "?show=header").status_code == 200
    assert not Vehicle.objects.exists()
    done = as_bob.post(address.replace("check/", "import/"), follow=True)
    assert "2 new, 1 need fixing." in done.content.decode()
    assert sorted(Vehicle.objects.values_list("name", "license_plate", "make")) == [
        ("Van 1", "HH-1", "BMW"),
        ("Van 2", "HH-2", "BMW"),
    ]
    run = ImportRun.objects.get()
    assert not run.has_file
    assert {event.flow_id for event in AuditEvent.objects.filter(action="vehicle.add")} == {run.pk}
    assert AuditEvent.objects.filter(actor_label="Bob", action="vehicle.add").count() == 2
    assert "cars.csv" in as_bob.get(f"/f/{fleet.slug}/imports/").content.decode()


def test_refused_rows_come_back_to_be_mended(as_bob: Client, fleet: Fleet) -> None:
    address = check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    refused = address.replace("check/", "refused.csv")
    text = b"".join(as_bob.get(refused).streaming_content).decode()  # type: ignore[attr-defined]  # a stream
    assert text == (
        "line,reason,Name,Kennzeichen,Marke,QNR,column 5\r\n"
        "4,Name: This name stands on line 3 already.,Van 2,HH-3,BMW,3,\r\n"
    )
    mended = text.replace("Van 2", "Van 3")
    again = check(as_bob, upload(as_bob, fleet, mended), same_telematics_brand="CLOUDBOXX")
    assert "1 new, 0 need fixing." in as_bob.get(again).content.decode()


def test_updates_show_what_changes(as_bob: Client, fleet: Fleet) -> None:
    a_vehicle(fleet, name="Van 1", license_plate="HH-9")
    page = upload(as_bob, fleet, "name,license_plate\nVan 1,HH-1\n")
    address = check(as_bob, page, on_duplicate="update")
    html = as_bob.get(address).content.decode()
    assert "HH-9 → HH-1" in html and "Licence plate" in html and "license_plate" not in html
    as_bob.post(address.replace("check/", "import/"))
    assert Vehicle.objects.get().license_plate == "HH-1"


def test_secrets_of_a_file_are_sealed_shown_nowhere_and_erased(as_bob: Client, fleet: Fleet) -> None:
    text = f"name,brand,client_id,client_secret\nBerlin,NIU,client1,{SECRET}\nBad,NIX,client1,{SECRET}\n"
    page = upload(as_bob, fleet, text, kind="credential")
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(convert_from(content, 'LATIN1'), '') FROM imports_importpiece")
        assert SECRET not in cursor.fetchone()[0]
    assert SECRET not in as_bob.get(page).content.decode()
    address = check(as_bob, page)
    assert SECRET not in as_bob.get(address).content.decode()
    assert SECRET not in as_bob.get(address + "?show=error").content.decode()
    done = as_bob.post(address.replace("check/", "import/"), follow=True)
    assert SECRET not in done.content.decode()
    refused = as_bob.get(address.replace("check/", "refused.csv"))
    assert b"".join(refused.streaming_content).decode().endswith(",Bad,,client1,\r\n")  # type: ignore[attr-defined]
    run = ImportRun.objects.get()
    assert SECRET not in str(run.findings)
    assert Credential.objects.get().secret.open() == {"client_secret": SECRET}
    assert not ImportPiece.objects.filter(part="file").exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cars.csv", b"", "The file is empty."),
        ("cars.csv", b"name\n", "The file has a header but no rows."),
        ("cars.pdf", b"%PDF-1.7 something", "This is a PDF file."),
        ("cars.csv", b"x" * (33 * 2**20), "The file must be smaller than"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_reason(
    as_bob: Client, fleet: Fleet, name: str, data: bytes, words: str
) -> None:
    file = SimpleUploadedFile(name, data)
    answer = as_bob.post(f"/f/{fleet.slug}/imports/add/", {"kind": "vehicle", "file": file})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not ImportRun.objects.exists()


@pytest.mark.parametrize("size", [32 * 2**20 + 1, 33 * 2**20])
@pytest.mark.parametrize(("kind", "command"), [("vehicle", "import_vehicles"), ("credential", "import_credentials")])
def test_a_file_that_is_too_large_is_referred_to_the_command_of_its_noun(
    as_bob: Client, fleet: Fleet, kind: str, command: str, size: int
) -> None:
    file = SimpleUploadedFile("rows.csv", b"x" * size)
    answer = as_bob.post(f"/f/{fleet.slug}/imports/add/", {"kind": kind, "file": file})
    assert answer.status_code == 422
    assert f"The command {command} takes larger ones." in answer.content.decode()


def test_two_columns_cannot_fill_one_field(as_bob: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, TEXT)
    answer = as_bob.post(page, columns_form(as_bob, page, column_4="name"))
    assert answer.status_code == 422
    assert "fills this field already" in answer.content.decode()


def test_a_cancelled_import_leaves_nothing(as_bob: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, TEXT)
    as_bob.post(page.replace("columns/", "cancel/"))
    assert ImportRun.objects.get().stage == Stage.CANCELLED
    assert not ImportPiece.objects.exists()
    assert as_bob.get(page, follow=True).redirect_chain[-1][0].endswith(f"/{ImportRun.objects.get().pk}/")


def test_a_large_file_waits_for_the_worker_and_tells_how_far_it_is(
    as_bob: Client, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_work, "AT_ONCE", 0)
    page = upload(as_bob, fleet, TEXT)
    address = check(as_bob, page, same_telematics_brand="CLOUDBOXX")
    assert address.endswith("/progress/")
    html = as_bob.get(address).content.decode()
    assert "Waiting for its turn." in html and "an import is running" in html
    run = ImportRun.objects.get()
    import_work.attempt_now(run.pk, run.attempt, "en")
    assert "an import is running" not in as_bob.get(f"/f/{fleet.slug}/vehicles/").content.decode()
    moved = as_bob.get(address, headers={"HX-Request": "true"})
    assert moved["HX-Redirect"].endswith("/check/")


def test_an_attempt_that_was_cancelled_or_repeated_writes_nothing(as_bob: Client, fleet: Fleet) -> None:
    check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    run = ImportRun.objects.get()
    attempt = run.start(Stage.WRITING, actor=TEST)
    run.cancel()
    import_work.attempt_now(run.pk, attempt, "en")
    assert not Vehicle.objects.exists()


def test_a_dead_process_is_noticed_and_can_be_repeated(as_bob: Client, fleet: Fleet) -> None:
    address = check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    run = ImportRun.objects.get()
    run.start(Stage.WRITING, actor=TEST)
    ImportRun.objects.update(step="write", beat_at="2020-01-01T00:00Z")
    html = as_bob.get(address, follow=True).content.decode()
    assert "Nothing was written." in html and "Try again" in html
    as_bob.post(address.replace("check/", "import/"))
    assert Vehicle.objects.count() == 2


def test_what_is_imported_is_by_who_imported_it(as_alice: Client, as_bob: Client, fleet: Fleet) -> None:
    address = check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    as_alice.post(address.replace("check/", "import/"))
    assert set(AuditEvent.objects.filter(action="vehicle.add").values_list("actor_label", flat=True)) == {"Alice"}
    assert ImportRun.objects.get().created_by == "Bob"


def test_the_report_leads_administrators_to_what_the_import_did(as_alice: Client, as_bob: Client, fleet: Fleet) -> None:
    address = check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    report = as_bob.post(address.replace("check/", "import/"), follow=True)
    assert "?flow=" not in report.content.decode()
    a_vehicle(fleet, name="Another")
    html = as_alice.get(report.redirect_chain[-1][0]).content.decode()
    history = as_alice.get(re.findall(r'href="(/f/[^"]+\?flow=\w+)"', html)[0]).content.decode()
    assert "Van 1" in history and "Van 2" in history and "Another" not in history


def test_files_that_were_left_alone_are_erased(fleet: Fleet, as_bob: Client) -> None:
    upload(as_bob, fleet, TEXT)
    ImportRun.objects.update(created_at="2020-01-01T00:00Z")
    assert ImportRun.erase_left_files() == 1
    assert not ImportPiece.objects.exists()


def test_viewers_and_outsiders_have_no_imports(
    as_vera: Client, as_charlie: Client, as_bob: Client, fleet: Fleet
) -> None:
    page = upload(as_bob, fleet, TEXT)
    assert as_vera.get(page).status_code == 403
    assert as_charlie.get(page).status_code == 404
    assert as_vera.post(f"/f/{fleet.slug}/imports/add/").status_code == 403


@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "xlsx", "jsonl"])
def test_the_real_register_by_page(as_bob: Client, fleet: Fleet, form: str) -> None:
    a_credential(fleet, "Berlin")
    page = upload(as_bob, fleet, in_form(taxi_register(), form))
    address = check(as_bob, page, column_0="name", same_telematics_brand="MERCEDES_BENZ", same_credential="Berlin")
    run = ImportRun.objects.get()
    if run.is_running:
        import_work.attempt_now(run.pk, run.attempt, "en")
    html = as_bob.get(address, follow=True).content.decode()
    assert "3,998 new, 2 need fixing." in html
    assert "A VIN has 17 characters, this one has 16." in html


@pytest.mark.django_db(transaction=True)
def test_the_background_task_tells_how_far_it_is_and_stops_when_cancelled(as_bob: Client, fleet: Fleet) -> None:
    check(as_bob, upload(as_bob, fleet, TEXT), same_telematics_brand="CLOUDBOXX")
    run = ImportRun.objects.get()
    import_work.attempt_in_background.func(run.pk, run.start(Stage.WRITING, actor=TEST), "en")
    run.refresh_from_db()
    assert (run.stage, run.written) == (Stage.DONE, 2)
    assert run.beat_at is not None
    cancelled = ImportRun.objects.create(fleet=fleet, kind="vehicle", size=0, stage=Stage.CANCELLED)
    progress = import_work.Progress()
    thread = threading.Thread(target=progress.save_every_second, args=(cancelled.pk, 0))
    thread.start()
    progress.ended.set()
    thread.join()
    with pytest.raises(import_work._Cancelled):
        import_work.GroupingListener(progress).progress("read", 1, 2)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("vehicle", {"name": "Van 1", "telematics_brand": "CLOUDBOXX", "telematics_unit_id": "0123456789ABCDEF"}),
        ("credential", {"name": "Depot", "brand": "NIU", "client_id": "niu-7", "client_secret": SECRET}),
    ],
)
def test_the_template_imports_its_own_columns(as_bob: Client, fleet: Fleet, kind: str, row: dict[str, str]) -> None:
    answer = as_bob.get(f"/f/{fleet.slug}/imports/template/{kind}.csv")
    header = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # a stream
    columns = header.strip().split(",")
    file = header + ",".join(row.get(column, "") for column in columns) + "\n"
    page = upload(as_bob, fleet, file, kind=kind)
    assert {name: key for name, key in columns_form(as_bob, page).items() if name.startswith("column_")} == {
        f"column_{place}": column for place, column in enumerate(columns)
    }
    as_bob.post(check(as_bob, page).replace("check/", "import/"))
    assert (fleet.vehicles if kind == "vehicle" else fleet.credentials).get().name == row["name"]


def test_an_unknown_kind_has_no_template(as_bob: Client, fleet: Fleet) -> None:
    assert as_bob.get(f"/f/{fleet.slug}/imports/template/nix.csv").status_code == 404


@pytest.mark.parametrize("above", ["", "Report;;;;\nMade on;1.11.2026;;;\n;;;;\n"])
def test_a_header_below_a_title_is_found(as_bob: Client, fleet: Fleet, above: str) -> None:
    page = upload(as_bob, fleet, above + TEXT)
    assert "Kennzeichen" in as_bob.get(page).content.decode()
    address = check(as_bob, page, same_telematics_brand="CLOUDBOXX")
    assert "2 new, 1 need fixing." in as_bob.get(address).content.decode()


def test_of_a_file_without_a_header_no_row_is_lost(as_bob: Client, fleet: Fleet) -> None:
    page = upload(as_bob, fleet, "Van 1;HH-1;CLOUDBOXX;1\nVan 2;HH-2;CLOUDBOXX;2\n")
    assert "column 1" in as_bob.get(page).content.decode()
    address = check(as_bob, page, column_0="name", column_1="license_plate", column_2="telematics_brand",
                    column_3="telematics_unit_id")  # fmt: skip
    assert "2 new, 0 need fixing." in as_bob.get(address).content.decode()
    as_bob.post(address.replace("check/", "import/"))
    assert sorted(Vehicle.objects.values_list("name", "license_plate")) == [("Van 1", "HH-1"), ("Van 2", "HH-2")]


def test_two_readings_are_asked_about_on_the_page(as_bob: Client, fleet: Fleet) -> None:
    data = "name,telematics_brand,qnr\nélan,CLOUDBOXX,0123456789ABCDEF\n".encode("cp850")
    address = f"/f/{fleet.slug}/imports/add/"

    def post(**more: str) -> Any:
        return as_bob.post(address, {"kind": "vehicle", "file": SimpleUploadedFile("cars.csv", data), **more})

    answer = post()
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "“élan” (MS-DOS (850))" in html and "“‚lan” (Windows-1252)" in html
    page = post(encoding="cp850")["Location"]
    assert "élan" in as_bob.get(page).content.decode()
    report = check(as_bob, page)
    assert "élan" in as_bob.get(report).content.decode()
    assert post(encoding="klingon").status_code == 422


def test_the_line_of_the_header_can_be_given(as_bob: Client, fleet: Fleet) -> None:
    file = SimpleUploadedFile("cars.csv", b"name,qnr\nVan,wrong one\nName,QNR\nBus,17\n")
    answer = as_bob.post(f"/f/{fleet.slug}/imports/add/", {"kind": "vehicle", "file": file, "header_row": "3"})
    html = as_bob.get(answer["Location"]).content.decode()
    assert "Bus" in html and "wrong one" not in html
