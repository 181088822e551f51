"""The import and export commands of every noun: flags, progress bar, the printed findings and the summary."""

from __future__ import annotations

import csv
import getpass
import json
import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TextIO

from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _
from tqdm import tqdm

from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import new_id
from fleetcontrol.imports.columns import (
    UnknownColumn,
    match_columns,
    parse_pairs,
    refuse_secrets,
    unused_columns,
)
from fleetcontrol.imports.importer import ROWS_COMPARED, Importer, OnDuplicate, OnError, Options
from fleetcontrol.imports.load import Finding, Listener, Report, bulk_import
from fleetcontrol.output import open_text
from fleetcontrol.pages.export import Export
from fleetcontrol.people.command import WRONG_USAGE, fleet_or_error
from fleetcontrol.people.models import Fleet

REFUSED = 1  # exit code
_PRINTED_AT_ONCE = 2**16  # characters
_MOST_FINDINGS = 1000  # printed; the report has all
INTERRUPTED = 130  # exit code, as a shell gives it


class ImportCommand(BaseCommand):
    """Import one noun. Exit code 0: every row was taken; 1: a row or the file was refused; 2: wrong usage."""

    importer: ClassVar[type[Importer]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        keys = ", ".join(one.key for one in self.importer.fields)
        parser.add_argument("file", metavar="FILE", help=_("CSV, XLSX or JSON Lines; - reads standard input"))
        parser.add_argument("--fleet", required=True, metavar="SLUG", help=_("the fleet's short name in addresses"))
        parser.add_argument("--dry-run", action="store_true", help=_("check everything and write nothing"))
        parser.add_argument(
            "--on-error",
            choices=list(OnError),
            default=OnError.STOP,
            type=OnError,
            help=_("when a row is wrong: stop writes nothing, skip leaves out that row (default: stop)"),
        )
        parser.add_argument(
            "--on-duplicate",
            choices=list(OnDuplicate),
            default=OnDuplicate.FAIL,
            type=OnDuplicate,
            help=_("when the fleet has it already: fail calls that wrong, skip leaves it, update changes it"),
        )
        parser.add_argument(
            "--map", action="append", default=[], metavar="FIELD=COLUMN", help=_("fields: %(keys)s") % {"keys": keys}
        )
        parser.add_argument(
            "--set", action="append", default=[], metavar="FIELD=VALUE", help=_("the same value for every row")
        )
        parser.add_argument(
            "--ask",
            action="append",
            default=[],
            metavar="FIELD",
            help=_(
                "ask for the same value for every row without showing it; without a terminal take it from the "
                "environment, such as IMPORT_CLIENT_SECRET"
            ),
        )
        parser.add_argument("--format", choices=tabular.FORMATS, default="", help=_("found by itself if not given"))
        parser.add_argument(
            "--encoding",
            default="",
            metavar="NAME",
            help=_("such as cp850; found by itself if not given, and asked for where two readings make sense"),
        )
        parser.add_argument(
            "--header-row",
            type=int,
            metavar="LINE",
            help=_("the line with the names of the columns, found by itself if not given; 0: there is none"),
        )
        parser.add_argument("--report", metavar="FILE", help=_("write the problems to a CSV file"))
        parser.add_argument("--json", action="store_true", help=_("print the summary as one JSON object"))

    def handle(self, *_args: Any, **options: Any) -> None:
        fleet = fleet_or_error(options["fleet"])
        with self._open_file(options["file"]) as file, self._open_report(options["report"]) as report:
            listener = ConsoleListener(file, report, sys.stderr if options["json"] else self.stdout)
            try:
                summary = self._import(fleet, file, listener, options)
            except tabular.TabularProblem as problem:
                listener.finding(Finding(problem.line, "", "", problem.reason))
                summary = Report(errors=1)
            except KeyboardInterrupt:  # all is one transaction, which was rolled back
                self.stderr.write(_("Stopped. Nothing was written."))
                sys.exit(INTERRUPTED)
            finally:
                listener.close()
            listener.print_left_out()
        self._print_summary(summary, options)
        if summary.errors:
            sys.exit(REFUSED)

    def _import(self, fleet: Fleet, file: BinaryIO, listener: ConsoleListener, options: dict[str, Any]) -> Report:
        how_to_read = {name: options[name] for name in ("format", "encoding", "header_row")}
        table = self.importer.read(file, **how_to_read)
        try:
            chosen, constants = (parse_pairs(f"--{name}", options[name]) for name in ("map", "set"))
            refuse_secrets(self.importer.fields, constants, instead=_("Give it with --ask."))
            constants |= {key: self._asked(key) for key in options["ask"]}
            columns = match_columns(self.importer.fields, table.header, chosen, constants)
            columns, notes = self.importer.without_foreign(columns, table.peek(ROWS_COMPARED), chosen)
            how = Options(options["on_error"], options["on_duplicate"], options["dry_run"])
            instead = _("Name it for all rows with --set %(key)s=…, or its column with --map %(key)s=COLUMN.")
            self.importer.require_columns(columns, how.on_duplicate, instead=instead)
            importer = self.importer(fleet, Actor.command(self.importer.command), how, columns.given)
        except UnknownColumn as error:
            raise CommandError(str(error), returncode=WRONG_USAGE) from None
        if table.header_row > 1 and options["header_row"] is None:
            listener.print_line(_("The header is on line %(line)d.") % {"line": table.header_row})
        for note in notes:
            listener.print_line(note)
        if ignored := unused_columns(columns):
            listener.print_line(_("Not imported: %(columns)s") % {"columns": ", ".join(ignored)})
        report = bulk_import(importer, table, columns, listener)
        if table.encoding != "UTF-8":
            listener.print_line(_("Read as %(encoding)s.") % {"encoding": table.encoding})
        return report

    def _asked(self, key: str) -> str:
        """The value of a field that nobody may see in a list of processes. Raises CommandError and UnknownColumn."""
        match_columns(self.importer.fields, [], constants={key: ""})
        variable = f"IMPORT_{key.upper()}"
        value = os.environ.get(variable) or (getpass.getpass(f"{key}: ") if sys.stdin.isatty() else "")
        if not value.strip():
            raise CommandError(
                _("%(variable)s is empty: there is nothing to take.") % {"variable": variable}, returncode=WRONG_USAGE
            )
        return value.strip()

    @contextmanager
    def _open_file(self, name: str) -> Iterator[BinaryIO]:
        if name == "-":
            yield sys.stdin.buffer
            return
        try:
            file = Path(name).open("rb")  # noqa: SIM115 - closed below; only opening it is tried here
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror}", returncode=WRONG_USAGE) from None
        with file:
            yield file

    @contextmanager
    def _open_report(self, name: str | None) -> Iterator[TextIO | None]:
        if name is None:
            yield None
            return
        try:
            file = open_text(Path(name))
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror}", returncode=WRONG_USAGE) from None
        with file:
            yield file

    def _print_summary(self, summary: Report, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(asdict(summary)))
            return
        counts = _(
            "%(new)d new, %(updated)d updated, %(unchanged)d unchanged, %(skipped)d skipped, %(errors)d wrong, "
            "%(notes)d notes"
        )
        self.stdout.write(counts % asdict(summary))
        if summary.errors and options["on_error"] is OnError.STOP:
            self.stdout.write(_("Nothing was written. Mend these rows, or leave them out with --on-error skip."))
        elif options["dry_run"]:
            self.stdout.write(_("Nothing was written: this was a dry run."))


class ExportCommand(BaseCommand):
    """Write what a fleet has of one noun to a file that the import command takes again, without secrets."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", default="-", help=_("- or nothing: standard output"))
        parser.add_argument("--fleet", required=True, metavar="SLUG", help=_("the fleet's short name in addresses"))
        parser.add_argument("--format", choices=["csv", "jsonl"], help=_("without it that of FILE's name, else csv"))
        parser.add_argument("--excel", action="store_true", help=_("the CSV that German Excel reads"))

    def export(self, fleet: Fleet) -> Export:
        """What is exported of the fleet."""
        raise NotImplementedError

    def handle(self, *_args: Any, **options: Any) -> None:
        export = self.export(fleet_or_error(options["fleet"]))
        by_name = "jsonl" if options["file"].endswith(".jsonl") and not options["excel"] else "csv"
        try:
            whole = export.make(options["format"] or by_name, for_excel=options["excel"])
        except (DatabaseError, OSError) as error:
            words = _("The export broke off, and nothing of it was written: %(reason)s")
            raise CommandError(words % {"reason": str(error).strip()}, returncode=REFUSED) from error
        with whole.file as file:
            if options["file"] == "-":
                self._print(file)
                return
            try:
                write_whole(Path(options["file"]), file)
            except OSError as error:
                raise CommandError(f"{options['file']}: {error.strerror}", returncode=WRONG_USAGE) from None

    def _print(self, file: BinaryIO) -> None:
        """Send the file to standard output. `fleetcontrol.management.terminal` words what can go wrong there."""
        with TextIOWrapper(file, encoding="utf-8", newline="") as texts:
            while text := texts.read(_PRINTED_AT_ONCE):
                self.stdout.write(text, ending="")
        self.stdout.flush()


def write_whole(target: Path, file: BinaryIO) -> None:
    """Write the rest of the file to the target, which has all of it or is left as it was. Raises OSError.

    What is no plain file, such as a device or a named pipe, is written to as it is.
    """
    target = Path(os.path.realpath(target))  # what a link leads to is replaced, not the link
    if target.exists() and not target.is_file():
        with target.open("wb") as place:
            shutil.copyfileobj(file, place)
        return
    part = target.with_name(f".{target.name[:200]}.{new_id()}.part")
    try:
        with part.open("xb") as place:
            shutil.copyfileobj(file, place)
            place.flush()
            os.fsync(place.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


class ConsoleListener(Listener):
    """Prints each finding, writes the problems to the report, and draws a progress bar on a terminal."""

    def __init__(self, file: BinaryIO, report: TextIO | None, out: Any) -> None:
        self._out = out
        self._csv = csv.writer(report) if report else None
        if self._csv:
            self._csv.writerow(["line", "column", "value", "reason"])
        self._bar: tqdm[Any] | None = None
        self._step = ""
        self._size = _size_of(file)
        self._findings = 0

    def print_line(self, sentence: str) -> None:
        """Print a line without breaking the progress bar."""
        if self._bar is not None:
            self._bar.clear()
        self._out.write(sentence.rstrip() + "\n")

    def finding(self, finding: Finding) -> None:
        words = _("line %(line)d, %(column)s: %(reason)s") if finding.column else _("line %(line)d: %(reason)s")
        if finding.is_note:
            words = _("line %(line)d, %(column)s, note: %(reason)s")
        elif self._csv:
            self._csv.writerow(
                [
                    finding.line,
                    tabular.safe_cell(finding.column),
                    tabular.safe_cell(finding.value),
                    tabular.safe_cell(finding.reason),
                ]
            )
        self._findings += 1
        if self._findings <= _MOST_FINDINGS:
            self.print_line(words % {"line": finding.line, "column": finding.column, "reason": finding.reason})

    def print_left_out(self) -> None:
        """Say how many findings were not printed."""
        if self._findings > _MOST_FINDINGS:
            words = _("%(count)d more are not printed. --report FILE writes all problems to a file.")
            self.print_line(words % {"count": self._findings - _MOST_FINDINGS})

    def progress(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self.close()
            self._step = step
            names = {"read": _("Reading"), "wait": _("Waiting"), "check": _("Checking"), "write": _("Writing")}
            is_bytes = step == "read"
            self._bar = tqdm(
                desc=names[step],
                total=(self._size if is_bytes else total) or None,
                unit="B" if is_bytes else _(" rows"),
                unit_scale=is_bytes,
                disable=None,  # draws only on a terminal
                leave=False,
            )
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _size_of(file: BinaryIO) -> int:
    name = getattr(file, "name", None)
    return Path(name).stat().st_size if isinstance(name, str) and Path(name).is_file() else 0
