"""Work whose process died is taken up again as it was begun, is done once, and has failed after three times."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import Error, connection, transaction
from django.db.models.functions import Now
from django.tasks import TaskResultStatus
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django_tasks_db.models import DBTaskResult

from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.imports import load
from fleetcontrol.imports import work as import_work
from fleetcontrol.imports.columns import Columns
from fleetcontrol.imports.importer import OnError
from fleetcontrol.imports.models import STALLED_AFTER, ImportPiece, ImportRun, NotNow, Stage
from fleetcontrol.people.models import Fleet, Role
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 1500
BOB = Actor("person", "7", "Bob")
GOOD = "name,telematics_brand,qnr\n" + "".join(f"Van {number},CLOUDBOXX,{number:X}\n" for number in range(1, ROWS + 1))
BAD = GOOD + "Van 0,CLOUDBOX,0\n"
LOCKS = {
    "wait": f"SELECT pg_advisory_xact_lock({load._LOCK}, %(fleet)s)",
    "check": "LOCK TABLE vehicles_vehicle IN SHARE MODE",
}


@pytest.fixture(autouse=True)
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "AT_ONCE", 0)


@contextmanager
def a_worker() -> Iterator[subprocess.Popen[bytes]]:
    database = {key: connection.settings_dict[key] for key in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    with subprocess.Popen([sys.executable, "-m", "tests.support.worker_process", json.dumps(database)]) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def an_import(fleet: Fleet, text: str = GOOD, *, on_duplicate: str = "fail") -> ImportRun:
    header = text.partition("\n")[0].split(",")
    run = ImportRun.upload(
        fleet=fleet, actor=BOB, kind="vehicle", name="vans.csv", chunks=[text.encode()], header=header
    )
    run.choose(columns={}, constants={}, on_duplicate=on_duplicate)
    return run


def begin(run: ImportRun, on_error: str = "stop", stage: Stage = Stage.WRITING) -> None:
    import_work.check_or_write(run, stage, actor=BOB, on_error=OnError(on_error))


def read(run: ImportRun) -> ImportRun:
    return ImportRun.objects.get(pk=run.pk)


def let_a_minute_pass() -> None:
    ImportRun.objects.update(started_at=Now() - 2 * STALLED_AFTER)
    ImportRun.objects.exclude(beat_at=None).update(beat_at=Now() - 2 * STALLED_AFTER)


def claim(run: ImportRun, step: str = "read") -> None:
    """What a worker leaves that took the task and died."""
    DBTaskResult.objects.get(status=TaskResultStatus.READY).claim("dead")
    if step != "queue":
        ImportRun.objects.filter(pk=run.pk).update(step=step, beat_at=Now())
    let_a_minute_pass()


def statuses() -> list[str]:
    return list(DBTaskResult.objects.order_by("enqueued_at").values_list("status", flat=True))


def work_until_nothing_is_left() -> None:
    call_command("db_worker", batch=True, startup_delay=False, reload=False, verbosity=0)


def done_once(run: ImportRun) -> bool:
    run = read(run)
    return (run.stage, run.written, Vehicle.objects.count(), AuditEvent.objects.filter(action="vehicle.add").count()) \
        == (Stage.DONE, ROWS, ROWS, ROWS)  # fmt: skip


@pytest.mark.parametrize("step", LOCKS)
def test_what_a_killed_worker_left_is_done_once_by_the_next(step: str) -> None:
    fleet = factory.a_fleet()
    run = an_import(fleet)
    begin(run)
    with a_worker() as first:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LOCKS[step], {"fleet": fleet.pk})
            until(lambda: read(run).step == step)
            first.send_signal(signal.SIGKILL)
            first.wait()
            assert first.returncode == -signal.SIGKILL
        assert import_work.take_up_stalled() == (0, 0)  # a worker that lives may be silent for a while
        let_a_minute_pass()
        assert read(run).is_stalled
        assert not Vehicle.objects.exists()
    with a_worker():
        until(lambda: read(run).stage == Stage.DONE)
        until(lambda: statuses() == [TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL])
    assert done_once(run)
    assert set(AuditEvent.objects.filter(action="vehicle.add").values_list("actor_label", "flow_id")) == {
        ("Bob", run.pk)
    }
    assert not ImportPiece.objects.exists()


def test_a_worker_that_was_frozen_and_comes_back_doubles_nothing() -> None:
    fleet = factory.a_fleet()
    run = an_import(fleet)
    begin(run)
    with a_worker() as frozen:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LOCKS["check"])
            until(lambda: read(run).step == "check")
            frozen.send_signal(signal.SIGSTOP)
        let_a_minute_pass()
        with a_worker():
            until(lambda: read(run).step == "wait")  # for the fleet's lock, which the first one still holds
            frozen.send_signal(signal.SIGCONT)
            until(lambda: read(run).stage == Stage.DONE)
            until(lambda: TaskResultStatus.RUNNING not in statuses())
    assert done_once(run)
    assert read(run).attempt == 2


def test_a_worker_that_is_slow_but_lives_is_left_alone_also_when_its_connection_breaks() -> None:
    fleet = factory.a_fleet()
    run = an_import(fleet)
    begin(run)
    ends_beat = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND state = 'idle' AND query LIKE 'UPDATE \"imports_importrun\"%%'"
    )
    with a_worker():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(LOCKS["wait"], {"fleet": fleet.pk})
                until(lambda: read(run).step == "wait")
                cursor.execute(ends_beat)
                assert cursor.fetchone()[0] == 1
            broken_at = read(run).beat_at
            until(lambda: read(run).beat_at != broken_at)
            assert import_work.take_up_stalled() == (0, 0)
        until(lambda: read(run).stage == Stage.DONE)
    assert done_once(run) and read(run).attempt == 1


@pytest.mark.parametrize("road", ["worker", "tend", "page", "api"])
@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_what_was_chosen_stays_when_work_is_taken_up_again(road: str, on_error: str) -> None:
    fleet = factory.a_fleet()
    run = an_import(fleet, BAD)
    begin(run, on_error)
    claim(run, "write")
    if road == "worker":
        work_until_nothing_is_left()
    elif road == "tend":
        out = StringIO()
        call_command("tend", only=["take_up_imports"], stdout=out)
        assert out.getvalue() == "take_up_imports: 1 taken up again, 0 failed\n"
    elif road == "page":
        page = f"/f/{fleet.slug}/imports/{run.pk}"
        alice = signed_in(factory.a_member(fleet, Role.MANAGER))
        html = alice.get(f"{page}/progress/", headers={"HX-Request": "true"}).content.decode()
        assert "by itself" in html and "Try again" in html and 'name="resume"' in html
        alice.post(f"{page}/import/", {"resume": "1"})
    else:
        api = Api(fleet)
        address = f"/vehicles/imports/{run.pk}"
        assert [api.get(address).json()["stalled"], api.get("/vehicles/imports").json()["items"][0]["stalled"]] == [
            True,
            True,
        ]
        assert api.post(f"{address}/write").json()["stalled"] is False
    assert road == "worker" or read(run).stage == Stage.WRITING
    work_until_nothing_is_left()
    run = read(run)
    assert run.on_error == on_error
    assert run.import_actor.label == {"page": "Alice", "api": "ERP"}.get(road, "Bob")
    assert (run.stage, Vehicle.objects.count()) == (
        (Stage.DONE, ROWS) if on_error == "skip" else (Stage.CHECKED, 0)
    )  # fmt: skip


def test_a_check_stays_a_check_with_its_duplicates_columns_and_language() -> None:
    fleet = factory.a_fleet()
    factory.a_vehicle(fleet, name="Van 1", license_plate="HH-9")
    run = an_import(fleet, "Wagen,license_plate\nVan 1,HH-1\n", on_duplicate="update")
    run.choose(columns={"name": "Wagen"}, constants={"telematics_brand": "CLOUDBOXX"}, on_duplicate="update")
    attempt = run.start(Stage.CHECKING, actor=BOB, on_error="stop", language="de")
    import_work.attempt_in_background.enqueue(run.pk, attempt, "de")
    claim(run)
    before = {
        field.attname: getattr(read(run), field.attname)
        for field in ImportRun._meta.concrete_fields
        if field.attname not in {"attempt", "step", "started_at", "beat_at", "taken_up"}
    }
    assert import_work.take_up_stalled() == (1, 0)
    assert {name: getattr(read(run), name) for name in before} == before
    assert DBTaskResult.objects.get(status=TaskResultStatus.READY).args_kwargs["args"] == [run.pk, attempt + 1, "de"]
    work_until_nothing_is_left()
    assert (read(run).stage, read(run).report["updated"]) == (Stage.CHECKED, 1)
    assert Vehicle.objects.get().license_plate == "HH-9"


def test_try_again_does_not_import_what_stopped_meanwhile() -> None:
    """The page says that the process is gone, the process was only slow, and found a wrong row."""
    fleet = factory.a_fleet()
    run = an_import(fleet, BAD)
    begin(run)
    work_until_nothing_is_left()
    assert read(run).stage == Stage.CHECKED
    alice = signed_in(factory.a_member(fleet, Role.MANAGER))
    answer = alice.post(f"/f/{fleet.slug}/imports/{run.pk}/import/", {"resume": "1"}, follow=True)
    assert "This import went on meanwhile." in answer.content.decode()
    assert read(run).stage == Stage.CHECKED
    with pytest.raises(NotNow):
        run.resume(actor=BOB)


def test_after_three_times_it_has_failed_with_a_reason() -> None:
    fleet = factory.a_fleet()
    run = an_import(fleet)
    with translation.override("de"):
        begin(run)
    for _time in range(import_work.TAKEN_UP):
        claim(run)
        assert import_work.take_up_stalled() == (1, 0)
        assert import_work.take_up_stalled() == (0, 0)
    claim(run)
    assert import_work.take_up_stalled() == (0, 1)
    run = read(run)
    assert (run.stage, run.ended_at is not None) == (Stage.FAILED, True)
    assert "viermal versucht" in run.failure
    assert set(statuses()) == {TaskResultStatus.FAILED}
    assert not ImportRun.is_any_running(fleet)
    body = Api(fleet).get(f"/vehicles/imports/{run.pk}").json()
    assert (body["stage"], body["stalled"], body["failure"]) == ("failed", False, run.failure)


def test_a_person_who_tries_again_begins_the_count_anew() -> None:
    run = an_import(factory.a_fleet())
    begin(run)
    claim(run)
    import_work.take_up_stalled()
    claim(run)
    import_work.resume(read(run), actor=BOB)
    assert read(run).taken_up == 0
    assert import_work.take_up_stalled() == (0, 0)


def test_work_that_waits_for_a_worker_may_wait() -> None:
    run = an_import(factory.a_fleet())
    begin(run)
    let_a_minute_pass()
    for _time in range(2):
        assert import_work.take_up_stalled() == (0, 0)
        let_a_minute_pass()
    assert not read(run).is_stalled


def test_a_worker_that_died_before_its_first_beat_is_noticed() -> None:
    run = an_import(factory.a_fleet())
    begin(run)
    claim(run, "queue")
    assert import_work.take_up_stalled() == (0, 0)  # it may have taken the task this very moment
    let_a_minute_pass()
    assert read(run).is_stalled
    assert import_work.take_up_stalled() == (1, 0)
    assert statuses() == [TaskResultStatus.FAILED, TaskResultStatus.READY]


def test_stage_and_task_are_begun_together_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    run = an_import(factory.a_fleet())

    def die(*args: Any, **kwargs: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(type(import_work.attempt_in_background), "enqueue", die)
    with pytest.raises(SystemExit):
        begin(run)
    assert read(run).stage == Stage.UPLOADED


def test_many_processes_take_up_an_import_once() -> None:
    fleet = factory.a_fleet()
    for _number in range(3):
        run = an_import(fleet)
        begin(run)
        claim(run)
    found: list[tuple[int, int]] = []

    def take_up() -> None:
        found.append(import_work.take_up_stalled())
        connection.close()

    threads = [threading.Thread(target=take_up) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken_up for taken_up, _failed in found) == 3
    assert statuses().count(TaskResultStatus.READY) == 3


@pytest.mark.parametrize("days", [-3, 3])
def test_the_clock_of_this_machine_decides_nothing(days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, real = factory.a_fleet(), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(days=days))
    run = an_import(fleet)
    begin(run)
    assert ImportRun.erase_left_files() == 0
    DBTaskResult.objects.get().claim("here")
    progress = import_work.Progress()
    beat = threading.Thread(target=progress.save_every_second, args=(run.pk, run.attempt))
    beat.start()
    until(lambda: read(run).beat_at is not None)
    assert import_work.take_up_stalled() == (0, 0)
    assert not read(run).is_stalled
    progress.ended.set()
    beat.join()
    let_a_minute_pass()
    assert read(run).is_stalled


def test_a_small_file_that_takes_long_shows_that_its_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_work, "AT_ONCE", 10**6)
    monkeypatch.setattr(import_work, "_FIRST_BEAT_AT_ONCE", 0.1)
    fleet = factory.a_fleet()
    run = an_import(fleet)

    def write() -> None:
        begin(run)
        connection.close()

    at_once = threading.Thread(target=write)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LOCKS["wait"], {"fleet": fleet.pk})
        at_once.start()
        until(lambda: read(run).step == "wait")
        assert read(run).beat_at is not None
    at_once.join()
    assert done_once(run)


def test_the_web_process_that_died_over_a_small_file_leaves_it_to_the_worker() -> None:
    run = an_import(factory.a_fleet())
    run.start(Stage.WRITING, actor=BOB, on_error="stop", step="read")
    let_a_minute_pass()
    work_until_nothing_is_left()
    assert done_once(run)


def test_a_process_that_hangs_does_not_keep_the_fleets_other_imports_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = factory.a_fleet()
    holds, over = threading.Event(), threading.Event()

    def hang() -> None:
        importer: Any = SimpleNamespace(fleet=fleet)
        with suppress(Error), transaction.atomic():
            load._Load(importer, Columns([], {}), load.Listener()).lock_fleet()
            holds.set()
            over.wait(60)
        connection.close()

    longest = load._LONGEST_PAUSE
    monkeypatch.setattr(load, "_LONGEST_PAUSE", "100ms")
    hanging = threading.Thread(target=hang)
    hanging.start()
    assert holds.wait(60)
    monkeypatch.setattr(load, "_LONGEST_PAUSE", longest)
    run = an_import(fleet)
    begin(run)
    work_until_nothing_is_left()
    assert done_once(run)
    over.set()
    hanging.join()


def test_finished_tasks_are_kept_for_a_week() -> None:
    for number, days in enumerate((6, 8)):
        for status in (TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED, TaskResultStatus.READY):
            ended = None if status == TaskResultStatus.READY else timezone.now() - timedelta(days=days)
            DBTaskResult.objects.create(
                status=status, finished_at=ended, args_kwargs={"args": [number, 1, "en"], "kwargs": {}},
                task_path="gone.task", backend_name="default", run_after=timezone.now(),
            )  # fmt: skip
    out = StringIO()
    call_command("tend", only=["prune_tasks"], stdout=out)
    assert out.getvalue() == "prune_tasks: 2 deleted\n"
    assert DBTaskResult.objects.count() == 4


def test_the_list_asks_no_question_for_each_stalled_import() -> None:
    fleet = factory.a_fleet()
    alice = signed_in(factory.a_member(fleet, Role.MANAGER))
    counts = []
    for _number in range(3):
        run = an_import(fleet)
        begin(run)
        claim(run)
        with CaptureQueriesContext(connection) as queries:
            alice.get(f"/f/{fleet.slug}/imports/")
        counts.append(len(queries))
    assert counts[1] == counts[2]  # the first visit also finds out who is asking
