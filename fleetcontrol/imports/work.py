"""The work of an import in the browser: checking and writing, in the background or at once when the file is small.

What runs tells of itself every second from a thread with a connection of its own, for its transaction shows nothing
before it ends; the same thread notices when somebody cancels. The end of the work and its result are one transaction:
a process that dies leaves an import that is still "being imported" and nothing of it written.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from django.db import connection, transaction
from django.tasks import task
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.imports import columns as bulk_columns
from fleetcontrol.imports.importer import Importer, OnDuplicate, OnError, Options, importers
from fleetcontrol.imports.load import Finding, Listener, Report, bulk_import
from fleetcontrol.imports.models import ENDED, ImportRun, NotNow, Stage
from fleetcontrol.seal import SealError

AT_ONCE = 200_000  # bytes: a file so small is worked on while its person waits
GROUPS_KEPT = 200
LINES_KEPT = 20
SAMPLES = 20
COLUMNS_SHOWN = 6


class _Cancelled(Exception):
    pass


def go_on(run: ImportRun, stage: Stage, *, actor: Actor, on_error: OnError = OnError.SKIP) -> None:
    """Check or write, at once or in the background. With `stop`, a wrong row leaves the file checked and nothing
    written. Raises NotNow.
    """
    attempt = run.start(stage, actor=actor, on_error=on_error)
    if run.size <= AT_ONCE:
        ImportRun.objects.filter(pk=run.pk).update(step="read")
        work(run.pk, attempt, translation.get_language() or "en")
        run.refresh_from_db()
    else:
        in_background.enqueue(run.pk, attempt, translation.get_language() or "en")


@task
def in_background(run_id: str, attempt: int, language: str) -> None:
    """`work`, with the thread that tells how far it is."""
    told = _Told()
    thread = threading.Thread(target=_tell, args=(run_id, attempt, told), daemon=True)
    thread.start()
    try:
        work(run_id, attempt, language, told)
    finally:
        told.ended.set()
        thread.join()


def work(run_id: str, attempt: int, language: str, told: _Told | None = None) -> None:
    """One attempt to check or write. What goes wrong is kept with the import, in the person's language."""
    run = ImportRun.objects.select_related("fleet").get(pk=run_id)
    if run.attempt != attempt or not run.is_running:
        return
    with translation.override(language):
        try:
            _work(run, attempt, told or _Told())
        except (_Cancelled, NotNow):
            return
        except (tabular.TabularProblem, bulk_columns.UnknownColumn, SealError) as problem:
            line = getattr(problem, "line", 0)
            words = _("Line %(line)s: %(reason)s") % {"line": line, "reason": problem} if line else str(problem)
            _fail(run_id, attempt, words)
        except Exception:
            _fail(run_id, attempt, _("Something failed on our side. Nothing was saved. Try again."))
            raise


def _work(run: ImportRun, attempt: int, told: _Told) -> None:
    kind = importers()[run.kind]
    on_error = OnError(run.on_error)
    writing = run.stage == Stage.WRITING
    with transaction.atomic():
        columns, listener, report = _import(
            run, told, kind, Options(on_error if writing else OnError.SKIP, dry_run=not writing)
        )
        written = writing and not (report.errors and on_error is OnError.STOP)
        if writing and not written:  # what the good rows would be, tells a check
            columns, listener, report = _import(run, told, kind, Options(OnError.SKIP, dry_run=True))
        with run.locked(Stage(run.stage)) as current:
            if current.attempt != attempt:
                raise _Cancelled
            current.report = asdict(report)
            current.findings = listener.findings()
            current.samples = _samples(run, columns, kind, listener)
            current.keep("refused", _refused(run, columns, kind, listener.refused))
            current.stage, current.ended_at = (Stage.DONE if written else Stage.CHECKED), timezone.now()
            current.step, current.done, current.total = "", 0, 0
            if current.stage in ENDED:
                current.pieces.filter(part="file").delete()
            current.save()


def _import(
    run: ImportRun, told: _Told, kind: type[Importer], options: Options
) -> tuple[bulk_columns.Columns, _Listener, Report]:
    table = tabular.read(run.open())
    columns = bulk_columns.match(kind.fields, table.header, run.columns, run.constants)
    options = replace(options, on_duplicate=OnDuplicate(run.on_duplicate))
    listener = _Listener(told)
    importer = kind(run.fleet, run.import_actor, options, columns.given)
    return columns, listener, bulk_import(importer, table, columns, listener)


def _fail(run_id: str, attempt: int, words: str) -> None:
    ImportRun.objects.filter(pk=run_id, attempt=attempt).exclude(stage__in=ENDED).update(
        stage=Stage.FAILED, failure=words[:1000], ended_at=timezone.now()
    )


class _Told:
    """How far the work is: written by it, read by the thread that tells; `cancelled` the other way round."""

    def __init__(self) -> None:
        self.step, self.done, self.total = "read", 0, 0
        self.cancelled = False
        self.ended = threading.Event()


def _tell(run_id: str, attempt: int, told: _Told) -> None:
    try:
        while not told.ended.is_set():
            mine = ImportRun.objects.filter(pk=run_id, attempt=attempt, stage__in=(Stage.CHECKING, Stage.WRITING))
            seen = mine.update(step=told.step, done=told.done, total=told.total, beat_at=timezone.now())
            told.cancelled = not seen
            told.ended.wait(1)
    finally:
        connection.close()


class _Listener(Listener):
    """Groups what is found by its reason and remembers which rows to show and which were refused."""

    def __init__(self, told: _Told) -> None:
        self._told = told
        self._groups: dict[tuple[str, str, bool], dict[str, Any]] = {}
        self.refused = array("Q")
        self.reasons: dict[int, str] = {}
        self.lines: dict[str, list[int]] = {}
        self.changes: list[list[Any]] = []
        self._shown: set[int] = set()

    def progress(self, step: str, done: int, total: int) -> None:
        if self._told.cancelled:
            raise _Cancelled
        self._told.step, self._told.done, self._told.total = step, done, total

    def checked(self, importer: Importer) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT line FROM import_row r WHERE NOT EXISTS (SELECT FROM import_out o WHERE o.line = r.line) "
                "ORDER BY line LIMIT %s",
                [SAMPLES],
            )
            self.lines["new"] = [line for (line,) in cursor.fetchall()]
            for verdict in ("error", "skip"):
                cursor.execute(
                    "SELECT line FROM import_out WHERE verdict = %s ORDER BY line LIMIT %s", [verdict, SAMPLES]
                )
                self.lines[verdict] = [line for (line,) in cursor.fetchall()]
            self.changes = importer.changes(cursor, SAMPLES)
        self._shown = set(self.lines["error"])

    def finding(self, finding: Finding) -> None:
        # Duplicates name each its own first line: they are one group all the same.
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
                "one": finding.reason,
            }
            group = self._groups.setdefault(key, new)
            group["count"] += 1
            if len(group["lines"]) < LINES_KEPT:
                group["lines"].append(finding.line)
        if not finding.is_note:
            if not self.refused or self.refused[-1] != finding.line:
                self.refused.append(finding.line)
            if finding.line in self._shown:
                before = self.reasons.get(finding.line)
                self.reasons[finding.line] = f"{before} {finding.reason}" if before else finding.reason

    def findings(self) -> list[dict[str, Any]]:
        """Errors before notes, the most frequent first. What was found once is told with all its details."""
        for group in self._groups.values():
            exact = group.pop("one")
            group["reason"] = exact if group["count"] == 1 else group["reason"]
        return sorted(self._groups.values(), key=lambda group: (group["is_note"], -group["count"]))


def _samples(run: ImportRun, columns: bulk_columns.Columns, kind: type[Importer], found: _Listener) -> dict[str, Any]:
    """The first rows of each verdict as the file has them, without secrets."""
    shown = [one for one in kind.fields if one.key in columns.columns and not one.is_secret][:COLUMNS_SHOWN]
    wanted = {line: verdict for verdict, lines in found.lines.items() for line in lines}
    samples: dict[str, Any] = {"header": [columns.name_of(one.key) for one in shown], "update": found.changes}
    if wanted:
        last = max(wanted)
        for line, cells in tabular.read(run.open()):
            if line in wanted:
                row = [""] * len(shown)
                if not isinstance(cells, tabular.TabularProblem):
                    row = [cells[columns.columns[one.key]][:100] for one in shown]
                samples.setdefault(wanted[line], []).append([line, row, found.reasons.get(line, "")])
            if line >= last:
                break
    return samples


def _refused(
    run: ImportRun, columns: bulk_columns.Columns, kind: type[Importer], refused: array[int]
) -> Iterator[bytes]:
    """The refused rows as a CSV to mend and upload again. Secrets are left out: they do not come out again."""
    if not refused:
        return
    secret = {columns.columns[one.key] for one in kind.fields if one.is_secret and one.key in columns.columns}

    def rows() -> Iterator[list[str]]:
        lines = iter(refused)
        wanted = next(lines)
        for line, cells in tabular.read(run.open()):
            if line == wanted:
                if not isinstance(cells, tabular.TabularProblem):
                    yield ["" if place in secret else cell for place, cell in enumerate(cells)]
                wanted = next(lines, 0)
                if not wanted:
                    return

    for text in tabular.csv_lines(run.header, rows()):
        yield text.encode()
