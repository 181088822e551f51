"""No import keeps a person waiting, and none keeps the worker for ever."""

import io
import threading
import zipfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from fleetcontrol.imports import load
from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.models import ImportRun, Stage
from fleetcontrol.people.models import Fleet, Role
from fleetcontrol.tabular import unpacked_size
from tests.imports.test_stalled_work import GOOD, a_worker, an_import, begin, until
from tests.support import factory
from tests.support.api import Api, kind
from tests.support.browsers import signed_in
from tests.support.import_files import check, import_by_command, upload
from tests.tabular.test_malicious_files import NAMESPACE, hostile, sheet
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = "name,telematics_brand,qnr\nVan,CLOUDBOXX,1\n"


def test_work_that_takes_too_long_is_left_to_the_worker(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "SECONDS_AT_ONCE", 0)
    run = an_import(fleet, SMALL)
    begin(run)
    assert (run.stage, run.step, run.failure) == (Stage.WRITING, "queue", "")
    assert not Vehicle.objects.exists()
    with a_worker():
        until(lambda: ImportRun.objects.get(pk=run.pk).stage == Stage.DONE)
    assert Vehicle.objects.count() == 1


def test_nobody_waits_for_another_import_of_the_fleet(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "SECONDS_AT_ONCE", 1)
    locked, done = threading.Event(), threading.Event()

    def lock() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [load._LOCK, fleet.pk])
            locked.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    locked.wait()
    try:
        run = an_import(fleet, SMALL)
        begin(run)
    finally:
        done.set()
        thread.join()
    assert (run.stage, run.step, run.failure) == (Stage.WRITING, "queue", "")


def test_the_worker_gives_up_and_says_so(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "AT_ONCE", 0)
    run = an_import(fleet, GOOD)
    begin(run)
    late = import_work.Progress(seconds=0)
    monkeypatch.setattr(import_work, "Progress", lambda: late)
    import_work.attempt_in_background.func(run.pk, run.attempt, "de")
    run.refresh_from_db()
    assert run.stage == Stage.FAILED
    assert (
        run.failure == "Das dauerte länger als eine Stunde. Nichts wurde gespeichert. Versuchen Sie kleinere Dateien."
    )
    assert not Vehicle.objects.exists()


def test_a_small_file_that_is_large_when_unpacked_is_left_to_the_worker(fleet: Fleet) -> None:
    row = '<row><c t="inlineStr"><is><t>x</t></is></c></row>'
    data = hostile(sheet=sheet(row * 100_000))
    assert len(data) < 50_000 and unpacked_size(io.BytesIO(data)) > import_work.UNPACKED_AT_ONCE
    run = ImportRun.upload(
        fleet=fleet, actor=factory.TEST, kind="vehicle", name="x.xlsx", chunks=[data], header=["name"]
    )
    begin(run)
    assert (run.stage, run.step) == (Stage.WRITING, "queue")


MALICIOUS = {
    "row": hostile(sheet=sheet('<row r="1000000000"><c t="n"><v>1</v></c></row>')),
    "styles": hostile(styles=f'<styleSheet xmlns="{NAMESPACE}">' + "<xf/>" * 4_000_000),
    "closing tags": hostile(sheet=sheet("<row >" + "<c><v>1</v></c>" * 1_500_000 + "</row >")),
    "twice": ("{" + "".join(f'"k{n}": 1, ' for n in range(10_000)) + '"k9999": 2}').encode(),
    "keys": ("{" + ", ".join(f'"k{n}": 1' for n in range(150_000)) + "}").encode(),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_malicious_file_is_refused_when_it_is_uploaded(fleet: Fleet, name: str) -> None:
    client = signed_in(factory.a_member(fleet, Role.MANAGER))
    file = io.BytesIO(MALICIOUS[name])
    file.name = "cars.bin"
    answer = client.post(f"/f/{fleet.slug}/imports/add/", {"kind": "vehicle", "file": file})
    assert answer.status_code == 422
    response = Api(fleet).send("POST", "/vehicles/imports", MALICIOUS[name], Content_Type="application/octet-stream")
    assert kind(response) == "validation-error"
    assert len(response.content) < 2_000
    assert not ImportRun.objects.exists()


def test_a_refused_row_of_many_keys_is_one_problem(fleet: Fleet) -> None:
    client = signed_in(factory.a_member(fleet, Role.MANAGER))
    first = '{"name": "Van", "telematics_brand": "CLOUDBOXX", "qnr": "1"}\n'
    page = check(
        client,
        upload(
            client, fleet, first + MALICIOUS["twice"].decode() + "\n" + first.replace("1", "2").replace("Van", "Bus")
        ),
    )
    run = ImportRun.objects.get()
    assert page.endswith(f"/{run.pk}/check/")
    assert (run.report["new"], run.report["errors"]) == (2, 1)
    assert len(str(run.findings)) < 2_000


def test_the_command_reads_a_malicious_file_as_one_problem(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.xlsx"
    file.write_bytes(MALICIOUS["row"])
    with pytest.raises(SystemExit):
        call_command("import_vehicles", str(file), f"--fleet={fleet.slug}")
    assert "higher numbers" in capsys.readouterr().out


def test_the_size_of_what_is_no_archive_is_its_own() -> None:
    assert unpacked_size(io.BytesIO(b"name\nVan\n")) == 9
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"a" * 100_000)
    assert unpacked_size(out) == 100_000


def test_the_command_prints_a_thousand_problems_and_counts_the_others(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, report = tmp_path / "x.csv", tmp_path / "report.csv"
    file.write_text("name,telematics_brand,qnr\n" + "Van,NOBODY,1\n" * 1500)
    with pytest.raises(SystemExit):
        call_command("import_vehicles", str(file), f"--fleet={fleet.slug}", f"--report={report}")
    lines = capsys.readouterr().out.splitlines()
    problems = len(report.read_text().splitlines()) - 1
    assert problems >= 1500
    assert sum(line.startswith("line ") for line in lines) == 1000
    assert f"{problems - 1000} more are not printed. --report FILE writes all problems to a file." in lines


@pytest.mark.parametrize("levels", [1, 900, 9_000, 16_000])
def test_deep_cells_are_problems_of_their_rows(fleet: Fleet, tmp_path: Path, levels: int) -> None:
    deep = "[" * levels + "]" * levels
    text = (
        "name,telematics_brand,qnr,tags,custom_fields\n"
        f'A,CLOUDBOXX,1,"[{deep}]",\n'
        f'B,CLOUDBOXX,2,,"{{""a"": {deep}}}"\n'
        "C,CLOUDBOXX,3,a,\n"
    )
    _code, summary, problems = import_by_command("import_vehicles", fleet, text, "--on-error=skip", tmp_path=tmp_path)
    assert {problem["column"] for problem in problems} == {"tags", "custom_fields"}
    assert summary["new"] == 3 - len(problems)
    assert Api(fleet).get("/vehicles").status_code == 200
