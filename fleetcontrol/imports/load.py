"""Load a table: COPY its rows into a temporary table, find every problem in sets, write, all in one transaction.

Page, command and API take this one road. The `Importer` of a noun knows what a row means: how its cells are cleaned,
what they refer to, which values must be unique, and which statements write it. The decisions behind it:

- Python cleans each row, with the model's own rules, on its way into the temporary table. The database checks in sets
  whatever takes more than one row: duplicates, references, what the fleet has already.
- If no row is wrong so far and a duplicate would refuse the whole file anyway, the database's own constraints find
  duplicates while the rows are written, so that a good file is not checked twice. A broken constraint rolls back what
  was written; the next try then finds and names all duplicates.
- A lock for each fleet makes the imports of one fleet queue; other fleets do not wait. A writer that is no import can
  still take a name in between: that breaks a constraint, and the checks run again.
- Everything is one transaction: whatever kills the process, nothing of the file is in the fleet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection, transaction
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from fleetcontrol.db.clock import counting_on
from fleetcontrol.imports.checks import FINDINGS, Checks, create_import_row, page_ranges
from fleetcontrol.imports.columns import Columns
from fleetcontrol.imports.importer import Importer, OnDuplicate, OnError, RowFindings
from fleetcontrol.tabular import Cells, OddCells, Table, TabularProblem

_ROWS_PER_COPY = 500
_PAGES_PER_WRITE = 500
_TRIES = 5
# A process that hangs after it got the lock, and whose machine keeps its connection, loses both after this time.
_LONGEST_PAUSE = "10min"
_LOCK = 0x464C4545  # "FLEE": an advisory lock of PostgreSQL, together with the fleet's number
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True)
class Finding:
    """A problem of one row, or a note, which does not refuse the row. `cause` is the reason without its details."""

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
    """What became of the rows, or in a dry run would have. `errors` counts wrong rows, `notes` counts notes."""

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
    """Hears how an import goes. An exception from any of its methods rolls everything back."""

    def progress(self, step: str, done: int, total: int) -> None:
        """Called a few times a second with the step: read, wait, check or write.

        `done` and `total` are bytes while reading and rows afterwards; a `total` of 0 is unknown.
        """

    def reading(self) -> None:
        """Called for every row before it is cleaned, so that an import can be stopped between two rows."""

    def finding(self, finding: Finding) -> None:
        """Called for every problem and note in the order of lines, before anything is committed."""

    def checked(self, importer: Importer) -> None:
        """Called when all verdicts are known and the temporary tables can still be read."""


def bulk_import(importer: Importer, table: Table, columns: Columns, listener: Listener | None = None) -> Report:
    """Import a table. Raises TabularProblem if the file cannot be read to its end; then nothing is written."""
    load = _Load(importer, columns, listener or Listener())
    with transaction.atomic():
        load.copy_rows(table)
        load.lock_fleet()
        report = load.check_and_write()
        if importer.options.dry_run:
            transaction.set_rollback(True)
    return report


class _Load:
    """One table on its way into the database."""

    def __init__(self, importer: Importer, columns: Columns, listener: Listener) -> None:
        self.importer = importer
        self.columns = columns
        self.listener = listener
        self.rows = 0
        self.has_findings = False
        self.has_errors = False

    def copy_rows(self, table: Table) -> None:
        """Clean the rows and COPY them into import_row."""
        with counting_on(), connection.cursor() as cursor:
            width = create_import_row(cursor, self.importer.row_query)
            with cursor.copy("COPY import_row FROM STDIN WITH (NULL '')") as copy:
                batch: list[str] = []
                for copy_line in self._copy_lines(table, width):
                    batch.append(copy_line)
                    if len(batch) == _ROWS_PER_COPY:
                        copy.write("".join(batch).encode())
                        self.rows += len(batch)
                        batch.clear()
                        self.listener.progress("read", table.bytes_read, 0)
                copy.write("".join(batch).encode())
                self.rows += len(batch)

    def lock_fleet(self) -> None:
        """Wait for the other imports of the fleet."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [_LONGEST_PAUSE])
            names = [_LOCK, self.importer.fleet.pk % 2**31]
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", names)
            if not cursor.fetchone()[0]:
                self.listener.progress("wait", 0, 0)
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", names)

    def check_and_write(self) -> Report:
        """Write all or nothing. Try again if a constraint breaks: a duplicate, or a writer that came in between."""
        duplicates_refuse = self.importer.options.on_duplicate is OnDuplicate.FAIL
        for tries_left in reversed(range(_TRIES)):
            is_first = tries_left == _TRIES - 1
            try:
                with transaction.atomic():
                    return self._try(find_duplicates=self.has_errors or not duplicates_refuse or not is_first)
            except IntegrityError as error:
                code = getattr(error.__cause__, "sqlstate", "")
                if code not in (UniqueViolation.sqlstate, ForeignKeyViolation.sqlstate) or not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _try(self, *, find_duplicates: bool) -> Report:
        options = self.importer.options
        self.listener.progress("check", 0, self.rows)
        with connection.cursor() as cursor:
            # Foreign keys of many rows are checked faster after each statement than all at the end. What they find
            # also belongs to this try, and to a dry run.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            checks = Checks(cursor, self.importer)
            checks.start(with_findings=self.has_findings)
            self.importer.look_up(cursor)
            if find_duplicates:
                checks.find_duplicates_in_file()
                checks.find_duplicates_in_fleet()
            self.importer.add_notes(cursor)
            checks.decide()
            report = Report(errors=checks.count("error"), skipped=checks.count("skip"), notes=checks.count_notes())
            self.listener.checked(self.importer)
            if not report.errors or options.on_error is OnError.SKIP:
                self._write(cursor, report)
            self._pass_findings_on()
        return report

    def _write(self, cursor: Any, report: Report) -> None:
        for pages in page_ranges(cursor, _PAGES_PER_WRITE):
            report.new += self.importer.insert(cursor, pages)
            self.listener.progress("write", report.new, self.rows - report.errors)
        if self.importer.options.on_duplicate is OnDuplicate.UPDATE:
            report.updated = self.importer.update(cursor)
            report.unchanged = self.rows - report.errors - report.skipped - report.new - report.updated

    def _pass_findings_on(self) -> None:
        may_be_shown = self.importer.shown_fields()
        with connection.chunked_cursor() as findings:
            findings.execute(FINDINGS)
            for line, key, value, cause, params, is_note in findings:
                shown = value or "" if key in may_be_shown else ""
                self.listener.finding(
                    Finding(line, self.columns.name_of(key), shown, cause, json.loads(params), is_note)
                )

    def _copy_lines(self, table: Table, width: int) -> Iterator[str]:
        """Each row as a line in COPY's text format: its line number, its findings, and the noun's columns."""
        findings = RowFindings(self.importer.shown_fields())
        pick = self.columns.picker(self.importer.fields, unmark=table.format == "csv")
        clean_row = self.importer.clean_row
        tabs = width - 1
        for line, cells in table:
            self.listener.reading()
            if type(cells) is not list:
                self._add_problems(cells, findings)
            if findings.collected or isinstance(cells, TabularProblem):
                text = "\t" * tabs
            else:
                cleaned = clean_row(pick(cells), findings)
                text = "\t".join(cleaned)
                if text.count("\t") != tabs or "\\" in text or "\n" in text or "\r" in text:
                    text = "\t".join([cell.translate(_ESCAPES) for cell in cleaned])
            found = ""
            if collected := findings.collected:
                found = json.dumps(collected).translate(_ESCAPES)
                self.has_findings = True
                self.has_errors = self.has_errors or not all(is_note for *_rest, is_note, _if_new in collected)
                collected.clear()
            yield f"{line}\t{found}\t{text}\n"

    def _add_problems(self, cells: Cells | TabularProblem, findings: RowFindings) -> None:
        """Add what is wrong with a row before its cells are cleaned."""
        if isinstance(cells, TabularProblem):
            findings.add("", "", cells.reason)
        elif isinstance(cells, OddCells):
            for key, text, reason in self.columns.odd_cells(self.importer.fields, cells):
                findings.add(key, text, reason)
