"""Check or write an ImportRun: a small file at once, a large one in the background.

The transaction of the work shows nothing before it ends. So a thread with a connection of its own saves the progress
every second, and notices when somebody cancels. The rows and the new stage are one transaction: a process that dies
leaves an import that is still "being imported", with nothing of it written. Such an import is stalled: a worker that
starts and `manage.py tend` take it up again. A process that was only slow, and whose work was taken up by another,
finds that its attempt is over and rolls back.

No attempt goes on for ever, whatever its file holds: what a person waits for is left to a worker after some seconds,
and a worker gives up after an hour, so that the files of others have their turn.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import psycopg
from django.db import Error, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.tasks import TaskResultStatus, task
from django.utils import translation
from django.utils.translation import gettext as _
from django_tasks_db.models import DBTaskResult
from psycopg.errors import QueryCanceled

from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.duties import guarded
from fleetcontrol.imports.columns import REFUSED_COLUMNS, Columns, UnknownColumn, match_columns
from fleetcontrol.imports.importer import ROWS_COMPARED, Importer, OnDuplicate, OnError, Options, importers
from fleetcontrol.imports.load import Finding, Listener, Report, bulk_import
from fleetcontrol.imports.models import ENDED, QUEUE, RUNNING, ImportRun, NotNow, Stage
from fleetcontrol.seal import SealError

AT_ONCE = 200_000  # bytes: the largest file that a person waits for
UNPACKED_AT_ONCE = 20 * AT_ONCE
SECONDS_AT_ONCE = 5
LONGEST_ATTEMPT = 3600  # seconds
TAKEN_UP = 3  # times: an import whose process died once more than this has failed
GROUPS_KEPT = 200
REASONS_KEPT = 10_000
LINES_KEPT = 20
SAMPLES = 20
COLUMNS_SHOWN = 6
_FIRST_BEAT_AT_ONCE = 5.0  # seconds: most small files are done by then and need no second connection
_TAKEN_UP_IN_A_ROUND = 100


class _Cancelled(Exception):
    """The attempt is over: the import was cancelled, or another attempt began."""


class _TooLong(Exception):
    """The attempt took as long as it may. Nothing of it was written."""


class Progress:
    """How far an attempt is. The work writes it and the thread saves it; `cancelled` goes the other way."""

    def __init__(self, seconds: int = LONGEST_ATTEMPT) -> None:
        self.seconds, self._ends_at = seconds, time.monotonic() + seconds
        self.step, self.done, self.total = "read", 0, 0
        self.cancelled = False
        self.ended = threading.Event()

    def go_on(self) -> None:
        """Raise what ends the attempt, if something does."""
        if self.cancelled:
            raise _Cancelled
        if time.monotonic() > self._ends_at:
            raise _TooLong

    def save_every_second(self, run_id: str, attempt: int, first_after: float = 0.0) -> None:
        """Save the progress until the work has ended; a thread runs this."""
        running = ImportRun.objects.filter(pk=run_id, attempt=attempt, stage__in=RUNNING)
        self.ended.wait(first_after)
        while not self.ended.is_set():
            try:
                is_running = running.update(step=self.step, done=self.done, total=self.total, beat_at=Now())
                self.cancelled = not is_running
            except Error:  # the connection broke: the next beat opens another, while the work may go on with its own
                connection.close()
            self.ended.wait(1)
        connection.close()


def check_or_write(run: ImportRun, stage: Stage, *, actor: Actor, on_error: OnError = OnError.SKIP) -> None:
    """Begin to check or write, at once or in the background. Raises NotNow.

    With `stop`, a wrong row leaves the import checked and nothing written.
    """

    def begin(language: str, step: str) -> int:
        return run.start(stage, actor=actor, on_error=on_error, language=language, step=step)

    _begin(run, begin)


def resume(run: ImportRun, *, actor: Actor) -> None:
    """Begin stalled work again as it was begun, at once or in the background. Raises NotNow."""

    def begin(language: str, step: str) -> int:
        return run.resume(actor=actor, language=language, step=step)

    _begin(run, begin)


def take_up_stalled() -> tuple[int, int]:
    """Take up the work of processes that died; return how many imports, and how many have failed instead.

    Several processes may do this at once: each import is taken up by one of them.
    """
    _note_claimed()
    taken_up = failed = 0
    # In no order, so that none that fails keeps the others from their turn.
    for pk in list(ImportRun.objects.stalled().order_by("?").values_list("pk", flat=True)[:_TAKEN_UP_IN_A_ROUND]):
        with guarded(f"import {pk}"), transaction.atomic():
            run = ImportRun.objects.stalled().select_for_update(skip_locked=True).filter(pk=pk).first()
            if run is None:
                continue
            if run.taken_up < TAKEN_UP:
                attempt_in_background.enqueue(run.pk, run.take_up(), run.language)
                taken_up += 1
            else:
                with translation.override(run.language):
                    _fail(run.pk, run.attempt, _(
                        "FleetControl tried this four times, and each time its process ended before it was done. "
                        "Nothing was imported. Try a smaller file, or ask those who run FleetControl to look at its "
                        "log."
                    ))  # fmt: skip
                failed += 1
    _end_left_tasks()
    return taken_up, failed


@task
def attempt_in_background(run_id: str, attempt: int, language: str) -> None:
    """`attempt_now`, with the thread that saves the progress."""
    with _saving_progress(run_id, attempt, Progress()) as progress:
        try:
            attempt_now(run_id, attempt, language, progress)
        except _TooLong:
            with translation.override(language):
                _fail(run_id, attempt, _("This took longer than an hour. Nothing was saved. Try smaller files."))


def attempt_now(run_id: str, attempt: int, language: str, progress: Progress | None = None) -> None:
    """Make one attempt to check or write. The import keeps what goes wrong, in the person's language.

    Raises _TooLong when the time of the progress is over.
    """
    run = ImportRun.objects.select_related("fleet").get(pk=run_id)
    if run.attempt != attempt or not run.is_running:
        return
    with translation.override(language):
        try:
            _import_and_end(run, attempt, progress or Progress())
        except (_Cancelled, NotNow):
            return
        except _TooLong:
            raise
        except (tabular.TabularProblem, UnknownColumn, SealError) as problem:
            line = getattr(problem, "line", 0)
            words = _("Line %(line)s: %(reason)s") % {"line": line, "reason": problem} if line else str(problem)
            _fail(run_id, attempt, words)
        except Exception as error:
            if isinstance(error, OperationalError) and isinstance(error.__cause__, QueryCanceled):
                raise _TooLong from None
            _fail(run_id, attempt, _("Something failed on our side. Nothing was saved. Try again."))
            _take_values_out(error)
            raise


def _take_values_out(error: BaseException | None) -> None:
    """Leave of the database's messages only their codes: they quote rows, and tasks and logs keep tracebacks."""
    while error is not None:
        if isinstance(error, Error | psycopg.Error):
            error.args = (getattr(error, "sqlstate", None) or "see the database's own log",)
        error = error.__cause__ or error.__context__


def _begin(run: ImportRun, begin: Callable[[str, str], int]) -> None:
    """Make the first attempt at once if the file is small, else leave it to a worker."""
    language = translation.get_language() or "en"
    if not _is_small(run):
        with transaction.atomic():  # no import waits for a task that a process did not live to enqueue
            attempt_in_background.enqueue(run.pk, begin(language, QUEUE), language)
        return
    attempt = begin(language, "read")
    if connection.in_atomic_block:  # nobody else sees the import before that transaction ends
        attempt_now(run.pk, attempt, language)
    else:
        try:
            with _saving_progress(run.pk, attempt, Progress(SECONDS_AT_ONCE), _FIRST_BEAT_AT_ONCE) as progress:
                attempt_now(run.pk, attempt, language, progress)
        except _TooLong:
            _leave_to_worker(run, attempt, language)
    run.refresh_from_db()


def _is_small(run: ImportRun) -> bool:
    """Whether a person waits for the work: the file is small, also when it is unpacked."""
    try:
        return run.size <= AT_ONCE and tabular.unpacked_size(run.open()) <= UNPACKED_AT_ONCE
    except SealError:
        return True  # the attempt says so


def _leave_to_worker(run: ImportRun, attempt: int, language: str) -> None:
    """Let a worker make an attempt that took too long for a person to wait."""
    with transaction.atomic():
        running = ImportRun.objects.filter(pk=run.pk, attempt=attempt, stage__in=RUNNING)
        if running.update(step=QUEUE, done=0, total=0, beat_at=None):
            attempt_in_background.enqueue(run.pk, attempt, language)


@contextmanager
def _saving_progress(run_id: str, attempt: int, progress: Progress, first_after: float = 0.0) -> Iterator[Progress]:
    thread = threading.Thread(target=progress.save_every_second, args=(run_id, attempt, first_after), daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        progress.ended.set()
        thread.join()


def _note_claimed() -> None:
    """Give imports that a worker took out of the queue a first beat: a worker that lives gives the next one itself."""
    queued = list(ImportRun.objects.filter(stage__in=RUNNING, step=QUEUE, beat_at=None).values_list("pk", "attempt"))
    if not queued:
        return
    ready = _tasks().filter(status=TaskResultStatus.READY).values_list("args_kwargs", flat=True)
    waiting = {_attempt_of(args_kwargs) for args_kwargs in ready}
    for pk, attempt in queued:
        if (pk, attempt) not in waiting:
            claimed = ImportRun.objects.filter(pk=pk, attempt=attempt, step=QUEUE, beat_at=None)
            claimed.update(beat_at=Now())


def _end_left_tasks() -> None:
    """Mark the tasks of attempts that are over as failed, because a worker that died does not, so that they are pruned.

    A worker that lives and has not yet done so overwrites this with what came of its task.
    """
    tasks = _tasks().filter(status=TaskResultStatus.RUNNING)
    running = {pk: _attempt_of(args_kwargs) for pk, args_kwargs in tasks.values_list("pk", "args_kwargs")}
    runs = ImportRun.objects.filter(stage__in=RUNNING, pk__in=[run_id for run_id, _attempt in running.values()])
    current = set(runs.values_list("pk", "attempt"))
    over = [pk for pk, attempt in running.items() if attempt not in current]
    tasks.filter(pk__in=over).update(
        status=TaskResultStatus.FAILED, finished_at=Now(), traceback="The worker ended before the task did."
    )


def _tasks() -> QuerySet[DBTaskResult[Any, Any]]:
    return DBTaskResult.objects.filter(task_path=attempt_in_background.module_path)


def _attempt_of(args_kwargs: Any) -> tuple[str, int]:
    """The import and the attempt that a task is for; ("", 0) if it names none."""
    match args_kwargs:
        case {"args": [str(run_id), int(attempt), *_language]}:
            return run_id, attempt
    return "", 0


def _import_and_end(run: ImportRun, attempt: int, progress: Progress) -> None:
    """Import or check the file and move the import to its next stage, in one transaction."""
    importer_class = importers()[run.kind]
    on_error = OnError(run.on_error)
    writing = run.stage == Stage.WRITING
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{progress.seconds}s"])
        columns, listener, report = _import(
            run, progress, importer_class, Options(on_error if writing else OnError.SKIP, dry_run=not writing)
        )
        written = writing and not (report.errors and on_error is OnError.STOP)
        if writing and not written:  # a check finds what would become of the good rows
            columns, listener, report = _import(run, progress, importer_class, Options(OnError.SKIP, dry_run=True))
        # Read the file again before locking the row, because the lock would keep the progress from being saved.
        samples = _samples(run, columns, importer_class, listener)
        run.store("refused", _refused(run, columns, importer_class, listener))
        filled = {key: columns.header[position] for key, position in columns.positions.items()}
        known = {key: importer_class.known(run.fleet, key, text) for key, text in columns.constants.items()}
        with run.locked(Stage(run.stage)) as current:
            if current.attempt != attempt:
                raise _Cancelled
            current.report, current.findings = asdict(report), listener.findings()
            current.remember(run.chosen(columns.header) | filled, {key: text for key, text in known.items() if text})
            current.stage, current.ended_at = (Stage.DONE if written else Stage.CHECKED), Now()
            current.step, current.done, current.total = "", 0, 0
            if current.stage in ENDED:
                current.erase_file()
            else:
                current.store_samples(samples)
            current.save()


def _table(run: ImportRun) -> tabular.Table:
    return importers()[run.kind].read(run.open(), encoding=run.encoding, header_row=run.header_row)


def _import(
    run: ImportRun, progress: Progress, importer_class: type[Importer], options: Options
) -> tuple[Columns, GroupingListener, Report]:
    table = _table(run)
    chosen = run.chosen(table.header)
    columns = match_columns(importer_class.fields, table.header, chosen, run.given)
    columns, notes = importer_class.without_foreign(columns, table.peek(ROWS_COMPARED), chosen)
    options = replace(options, on_duplicate=OnDuplicate(run.on_duplicate))
    listener = GroupingListener(progress)
    for note in notes:
        listener.finding(Finding(table.header_row, "", "", note, is_note=True))
    importer = importer_class(run.fleet, run.import_actor, options, columns.given)
    report = bulk_import(importer, table, columns, listener)
    report.notes += len(notes)
    return columns, listener, report


def _fail(run_id: str, attempt: int, words: str) -> None:
    ImportRun.objects.filter(pk=run_id, attempt=attempt).exclude(stage__in=ENDED).update(
        stage=Stage.FAILED, failure=words[:1000], ended_at=Now()
    )


class GroupingListener(Listener):
    """Groups findings by their reason, and remembers which rows to show and which were refused."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._groups: dict[tuple[str, str, bool], dict[str, Any]] = {}
        self.refused = array("Q")
        self._reasons = array("L")  # of each refused row the number of its reason in `_texts`
        self._texts: list[tuple[str, frozenset[str]]] = []
        self._numbers: dict[tuple[str, frozenset[str]], int] = {}
        self.lines: dict[str, list[int]] = {}
        self.changes: list[list[Any]] = []

    def progress(self, step: str, done: int, total: int) -> None:
        self._progress.go_on()
        self._progress.step, self._progress.done, self._progress.total = step, done, total

    def reading(self) -> None:
        self._progress.go_on()

    def checked(self, importer: Importer) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT line FROM import_row r WHERE NOT EXISTS (SELECT FROM import_verdict o WHERE o.line = r.line) "
                "ORDER BY line LIMIT %s",
                [SAMPLES],
            )
            self.lines["new"] = [line for (line,) in cursor.fetchall()]
            for verdict in ("error", "skip"):
                cursor.execute(
                    "SELECT line FROM import_verdict WHERE verdict = %s ORDER BY line LIMIT %s", [verdict, SAMPLES]
                )
                self.lines[verdict] = [line for (line,) in cursor.fetchall()]
            self.changes = importer.changes(cursor, SAMPLES)

    def finding(self, finding: Finding) -> None:
        # Each duplicate names another first line, and yet all of them are one group.
        details = {**finding.params, "first": "…"} if "first" in finding.params else finding.params
        reason = finding.cause % details if details else finding.cause
        key = (finding.column, reason, finding.is_note)
        if key in self._groups or len(self._groups) < GROUPS_KEPT:
            new = {
                "column": key[0],
                "reason": reason,
                "is_note": finding.is_note,
                "count": 0,
                "lines": [],
                "exact": finding.reason,
            }
            group = self._groups.setdefault(key, new)
            group["count"] += 1
            if len(group["lines"]) < LINES_KEPT:
                group["lines"].append(finding.line)
        if not finding.is_note:
            # Files have few reasons, but for those that name another line.
            exact = finding.reason if len(self._texts) < REASONS_KEPT else reason
            words = f"{finding.column}: {exact}" if finding.column else exact
            if not self.refused or self.refused[-1] != finding.line:
                self.refused.append(finding.line)
                self._reasons.append(self._number_of(words, frozenset([finding.column])))
            else:
                before, wrong = self._texts[self._reasons[-1]]
                words = f"{before} {words}" if len(self._texts) < REASONS_KEPT else before
                self._reasons[-1] = self._number_of(words, wrong | {finding.column})

    def refusals(self) -> Iterator[tuple[int, str, frozenset[str]]]:
        """The line of each refused row, all that is wrong with it, and the columns in which it is."""
        for line, number in zip(self.refused, self._reasons, strict=True):
            yield line, *self._texts[number]

    def _number_of(self, text: str, columns: frozenset[str]) -> int:
        number = self._numbers.setdefault((text, columns), len(self._texts))
        if number == len(self._texts):
            self._texts.append((text, columns))
        return number

    def findings(self) -> list[dict[str, Any]]:
        """The groups, errors before notes, the most frequent first. A group of one finding has all its details."""
        for group in self._groups.values():
            exact = group.pop("exact")
            group["reason"] = exact if group["count"] == 1 else group["reason"]
        return sorted(self._groups.values(), key=lambda group: (group["is_note"], -group["count"]))


def _samples(
    run: ImportRun, columns: Columns, importer_class: type[Importer], found: GroupingListener
) -> dict[str, Any]:
    """The first rows of each verdict: cells of fields that may be shown, and of others that are a known value."""
    fields = {one.key: one for one in importer_class.fields if one.key in columns.positions}
    shown = [key for key, one in fields.items() if one.is_shown or key in importer_class.same_for_all][:COLUMNS_SHOWN]
    wanted = {line: verdict for verdict, lines in found.lines.items() for line in lines}
    samples: dict[str, Any] = {"header": [columns.name_of(key) for key in shown], "update": found.changes}
    if wanted:
        reasons = {line: text for line, text, _wrong in found.refusals() if line in wanted}
        last = max(wanted)
        for line, cells in _table(run):
            if line in wanted:
                row = [""] * len(shown)
                if not isinstance(cells, tabular.TabularProblem):
                    texts = {key: cells[columns.positions[key]] for key in shown}
                    row = [
                        text[:100] if fields[key].is_shown else importer_class.known(run.fleet, key, text)
                        for key, text in texts.items()
                    ]
                samples.setdefault(wanted[line], []).append([line, row, reasons.get(line, "")])
            if line >= last:
                break
    return samples


def _refused(
    run: ImportRun, columns: Columns, importer_class: type[Importer], found: GroupingListener
) -> Iterator[bytes]:
    """The refused rows as a CSV to correct and upload again, each behind its line and what is wrong with it.

    Secrets never come out again. A column that fills no field may hold one, and so may a cell that its field refused,
    unless it is one that may be shown: all of these come back empty, to be filled again. Of a row that could not be
    split only line and reason come back.
    """
    if not found.refused:
        return
    fields = {one.key: one for one in importer_class.fields}
    kept = {position for key, position in columns.positions.items() if not fields[key].is_secret}
    shown = {position for key, position in columns.positions.items() if fields[key].is_shown}
    names = {position: columns.name_at(position) for position in range(len(columns.header))}
    own = {position for position, name in enumerate(columns.header) if name in REFUSED_COLUMNS}
    places = [position for position in range(len(columns.header)) if position not in own]

    def rows() -> Iterator[list[str]]:
        lines = found.refusals()
        wanted, reason, wrong = next(lines)
        for line, cells in _table(run):
            if line == wanted:
                row = [""] * len(places)
                if not isinstance(cells, tabular.TabularProblem):
                    row = [
                        cells[place] if place in shown or (place in kept and names[place] not in wrong) else ""
                        for place in places
                    ]
                yield [str(line), reason, *row]
                wanted, reason, wrong = next(lines, (0, "", wrong))
                if not wanted:
                    return

    header = [*REFUSED_COLUMNS, *(names[position] for position in places)]
    for text in tabular.csv_lines(header, rows()):
        yield text.encode()
