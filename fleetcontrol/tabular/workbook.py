"""Read XLSX: the first visible sheet of a workbook, row by row.

`workbook_process` does it, in a process of its own that is held to limits of time and memory.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from fleetcontrol.tabular.header import HeaderSearch
from fleetcontrol.tabular.source import (
    Cells,
    Limits,
    OddCells,
    Oddity,
    Row,
    Source,
    TabularProblem,
    header_names,
    too_many_cells,
)

_PROCESS = Path(__file__).with_name("workbook_process.py")
_PASSED_ON = ("LD_LIBRARY_PATH", "PATH", "TMPDIR")  # of the environment, which holds the project's keys


def rows(source: Source, search: HeaderSearch) -> tuple[int, list[str], Iterator[Row]]:
    """The header's line, the header and the rows of the sheet; a row's line is its number in the sheet."""
    line, cells, found = search.split(_sheet_rows(source))
    header = header_names(cells, line or 1, source.limits)
    return line, header, _rows(found, header)


def _rows(found: Iterator[Row], header: list[str]) -> Iterator[Row]:
    width = len(header)
    for line, cells in found:
        if isinstance(cells, list):
            if len(cells) > width:
                yield line, too_many_cells(line, len(cells), width)
                continue
            cells.extend([""] * (width - len(cells)))
        yield line, cells


def _sheet_rows(source: Source) -> Iterator[Row]:
    """The rows as the process writes them, without those of blanks."""
    line = 0
    command = [sys.executable, "-P", "-s", str(_PROCESS), json.dumps(asdict(source.limits))]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # the same packages as here
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - this Python, and a file of this folder
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment
    )
    assert process.stdin and process.stdout  # noqa: S101 - both are pipes
    try:
        with suppress(BrokenPipeError), process.stdin:  # it reads all before it writes, or has ended
            for chunk in source.chunks():
                process.stdin.write(chunk)
        for text in process.stdout:
            found = json.loads(text)
            if isinstance(found, dict):
                if found["cause"]:
                    raise TabularProblem(found["line"] + 1, "", _reason(found["cause"], source.limits))
                return
            line, cells, *more = found
            if more:
                yield line, _odd(cells, *more, limits=source.limits)
            elif any(map(str.strip, cells)):
                yield line, cells
        code = process.wait()
        if code > 0:
            raise RuntimeError(f"The process that reads workbooks ended with {code}.")
        cause = "seconds" if code == -signal.SIGXCPU else "memory"
        raise TabularProblem(line + 1, "", _reason(cause, source.limits))
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _odd(cells: Cells, width: int, odd: dict[str, str], *, limits: Limits) -> Cells:
    """The cells of a row, as many as the sheet has where it has more than are read, with what is odd about them."""
    reasons = {
        "f": _("The file has only the formula of this cell. Open it in a spreadsheet, save it, and send it again."),
        "e": _("This cell holds the error of a formula."),
        "long": _("A cell must not have more than %(most)d characters.") % {"most": limits.cell},
        "nul": _("This cell holds a NUL character."),
        "digits": _("A spreadsheet keeps only 15 digits of a number. Format the column as text and enter it again."),
        "date": _("A spreadsheet made a date or time of this. Format the column as text and enter it again."),
        "truth": _("A spreadsheet made a truth value of this. Format the column as text and enter it again."),
    }
    found = {int(position): Oddity(reasons[cause], is_date=cause == "date") for position, cause in odd.items()}
    return OddCells(cells + [""] * (width - len(cells)), found)


def _reason(cause: str, limits: Limits) -> str:
    large = _("This workbook is too large: its texts may take %(size)s. Save it as CSV.")
    costly = _("Reading this workbook takes more than %(seconds)d seconds or %(size)s of memory. Save it as CSV.")
    if cause == "large":
        return large % {"size": filesizeformat(limits.texts)}
    if cause == "rows":
        return _("The file has more than %(most)d rows.") % {"most": limits.rows}
    if cause == "numbers":
        return _("The rows of this workbook have higher numbers than a sheet can have. Save it as CSV.")
    others = {
        "damaged": _("This workbook is damaged. Open it and save it again as XLSX."),
        "hidden": _("This workbook has no visible sheet with a table."),
        "strict": _("This workbook is a “Strict Open XML” one. Save it again as “Excel Workbook (.xlsx)”, or as CSV."),
        "zip": _("This is a ZIP archive. Unpack it and choose the table that is in it."),
        "opendocument": _("This is an OpenDocument file, such as ODS. Save it as XLSX or CSV."),
        "numbers file": _("This is a file of Apple Numbers. Export it as XLSX or CSV."),
        "xlsb": _("This is a binary workbook (XLSB). Save it as XLSX or CSV."),
        "document": _("This is an Office document, but no workbook. Save its table as XLSX or CSV."),
    }
    if cause in others:
        return others[cause]
    return costly % {"seconds": limits.seconds, "size": filesizeformat(limits.memory)}
