"""Many rows at once: COPY into a temporary table, find every problem in sets, write, in one transaction.

One road for page, command and API. What a row means is told by an `Importer` of its noun: how cells are
cleaned, what else they refer to, which values must be unique, and the statements that write. Decisions:

- A row is cleaned in Python, with the model's own rules, on its way into the temporary table; whatever takes
  more than one row (duplicates, credentials, what the fleet has already) is asked of the database in sets.
- When nothing was found so far and a duplicate would refuse the whole file anyway, the database's own
  constraints look for duplicates while the rows are written: a good file is not checked twice. A broken
  constraint takes back what was written and has all duplicates looked for and named.
- One lock per fleet lets the imports of a fleet queue; other fleets do not wait. A writer that is no import
  can still take a name in between: that breaks a constraint, and the checks run again.
- Everything is one transaction: whatever ends the process, nothing of the file is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connection, transaction

from fleetcontrol.imports import checks as bulk_checks
from fleetcontrol.imports.columns import Columns
from fleetcontrol.imports.importer import Importer, OnDuplicate, OnError, Say
from fleetcontrol.tabular import Table, TabularProblem

if TYPE_CHECKING:
    pass

_ROWS_A_COPY = 500
_PAGES_A_WRITE = 500
_TRIES = 5
_LOCK = 0x464C4545  # "FLEE": with the fleet's number one of PostgreSQL's advisory locks
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Finding:
    """Something about one row. A note does not keep the row out. `cause` is the reason without its details."""

    line: int
    column: str
    value: str
    cause: str
    params: Mapping[str, Any] = field(default_factory=dict)
    is_note: bool = False

    @property
    def reason(self) -> str:
        return self.cause % self.params if self.params else self.cause


@dataclass
class Report:
    """How many rows became what; in a dry run, would have. `errors` counts rows, `notes` counts notes."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    errors: int = 0
    notes: int = 0

    @property
    def written(self) -> int:
        return self.new + self.updated


class Listener:
    """Who wants to know. `progress` gets the step (read, wait, check, write), how much is done and of how much
    (bytes while reading, rows afterwards; 0 when unknown); raising from it takes everything back.
    """

    def progress(self, step: str, done: int, total: int) -> None:
        """Called a few times a second."""

    def finding(self, finding: Finding) -> None:
        """Called for every problem and note in the order of lines, before anything is committed."""

    def checked(self, importer: Importer) -> None:
        """Called when all verdicts are known and the temporary tables can still be read."""


def bulk_import(importer: Importer, table: Table, columns: Columns, listener: Listener | None = None) -> Report:
    """Import a table. Raises TabularProblem for a file that cannot be read to its end; then nothing is written."""
    run = _Run(importer, columns, listener or Listener())
    with transaction.atomic():
        run.stage(table)
        run.lock()
        report = run.check_and_write()
        if importer.options.dry_run:
            transaction.set_rollback(True)
    return report


class _Run:
    def __init__(self, importer: Importer, columns: Columns, listener: Listener) -> None:
        self.importer = importer
        self.columns = columns
        self.listener = listener
        self.rows = 0
        self.has_findings = False
        self.has_errors = False

    def stage(self, table: Table) -> None:
        """Clean the rows and COPY them into import_row."""
        with connection.cursor() as cursor:
            self.width = bulk_checks.create_rows(cursor, self.importer.staging)
            with cursor.copy("COPY import_row FROM STDIN WITH (NULL '')") as copy:
                batch: list[str] = []
                for batch_line in self._staged(table):
                    batch.append(batch_line)
                    if len(batch) == _ROWS_A_COPY:
                        copy.write("".join(batch).encode())
                        self.rows += len(batch)
                        batch.clear()
                        self.listener.progress("read", table.bytes_read, 0)
                copy.write("".join(batch).encode())
                self.rows += len(batch)

    def lock(self) -> None:
        """Wait for the fleet's other imports."""
        with connection.cursor() as cursor:
            names = [_LOCK, self.importer.fleet.pk % 2**31]
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", names)
            if not cursor.fetchone()[0]:
                self.listener.progress("wait", 0, 0)
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", names)

    def check_and_write(self) -> Report:
        """All or nothing of one try; a constraint that another writer broke in between means another try."""
        failing = self.importer.options.on_duplicate is OnDuplicate.FAIL
        for left in reversed(range(_TRIES)):
            try:
                with transaction.atomic():
                    return self._try(look_for_duplicates=self.has_errors or not failing or left < _TRIES - 1)
            except IntegrityError as error:
                code = getattr(error.__cause__, "sqlstate", "")
                if code not in ("23505", "23503") or not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _try(self, *, look_for_duplicates: bool) -> Report:
        options = self.importer.options
        self.listener.progress("check", 0, self.rows)
        with connection.cursor() as cursor:
            # Foreign keys of many rows are checked faster after each statement than all at the end; and what they
            # find belongs to this try, and to a dry run too.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            checks = bulk_checks.Checks(cursor, self.importer)
            checks.start(with_findings=self.has_findings)
            self.importer.look_up(cursor)
            if look_for_duplicates:
                checks.in_the_file()
                checks.in_the_fleet()
            checks.decide()
            report = Report(errors=checks.count("error"), skipped=checks.count("skip"), notes=checks.notes())
            self.listener.checked(self.importer)
            if not report.errors or options.on_error is OnError.SKIP:
                self._write(cursor, report)
            self._tell(cursor)
        return report

    def _write(self, cursor: Any, report: Report) -> None:
        for pages in bulk_checks.pages(cursor, _PAGES_A_WRITE):
            report.new += self.importer.insert(cursor, pages)
            self.listener.progress("write", report.new, self.rows - report.errors)
        if self.importer.options.on_duplicate is OnDuplicate.UPDATE:
            report.updated = self.importer.update(cursor)
            report.unchanged = self.rows - report.errors - report.skipped - report.new - report.updated

    def _tell(self, cursor: Any) -> None:
        with connection.chunked_cursor() as findings:
            findings.execute(bulk_checks.FINDINGS)
            for line, key, value, cause, params, is_note in findings:
                name = self.columns.name_of(key)
                self.listener.finding(Finding(line, name, value or "", cause, json.loads(params), is_note))

    def _staged(self, table: Table) -> Iterator[str]:
        """Each row as a line of COPY's text form: its number, what was found, and the noun's columns."""
        say = Say()
        pick, stage = self.columns.picker(self.importer.fields), self.importer.stage
        tabs = self.width - 1
        keeps_secrets = any(one.is_secret and one.key in self.importer.given for one in self.importer.fields)
        for line, cells in table:
            if isinstance(cells, TabularProblem):
                say(f"={cells.column}", "" if keeps_secrets else cells.value, cells.reason)
                text = "\t" * tabs
            else:
                staged = stage(pick(cells), say)
                text = "\t".join(staged)
                if text.count("\t") != tabs or "\\" in text or "\n" in text or "\r" in text:
                    text = "\t".join([cell.translate(_ESCAPES) for cell in staged])
            found = ""
            if say.found:
                found = json.dumps(say.found).translate(_ESCAPES)
                self.has_findings = True
                self.has_errors = self.has_errors or not all(is_note for *_rest, is_note, _if_new in say.found)
                say.found.clear()
            yield f"{line}\t{found}\t{text}\n"
