"""Read XLSX: the first sheet of a workbook, row by row.

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
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from openpyxl.utils import get_column_letter

from fleetcontrol.tabular.source import Cells, Limits, Row, Source, TabularProblem, header_names, too_many_cells

_PROCESS = Path(__file__).with_name("workbook_process.py")
_PASSED_ON = ("LD_LIBRARY_PATH", "PATH", "TMPDIR")  # of the environment, which holds the project's keys


def rows(source: Source) -> tuple[list[str], Iterator[Row]]:
    """The header and the rows of the first sheet; a row's line is its number in the sheet."""
    found = _sheet_rows(source)
    for line, cells in found:
        if isinstance(cells, TabularProblem):
            raise cells
        header = header_names(cells, line, source.limits)
        return header, _rows(found, header)
    raise TabularProblem(1, "", _("The file is empty."))


def _rows(found: Iterator[Row], header: list[str]) -> Iterator[Row]:
    width = len(header)
    for line, cells in found:
        if isinstance(cells, TabularProblem):
            if cells.column.isdecimal():
                column = int(cells.column)
                cells.column = header[column - 1] if column <= width else get_column_letter(column)
            yield line, cells
        elif len(cells) > width:
            yield line, too_many_cells(line, len(cells), width)
        else:
            yield line, cells + [""] * (width - len(cells))


def _sheet_rows(source: Source) -> Iterator[Row]:
    """The rows as the process writes them. The problem of a cell has the number of its column for a name."""
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
            line, cells, *width = found
            yield line, _problem(line, cells, source.limits) if isinstance(cells, dict) else _padded(cells, *width)
        code = process.wait()
        if code > 0:
            raise RuntimeError(f"The process that reads workbooks ended with {code}.")
        cause = "seconds" if code == -signal.SIGXCPU else "memory"
        raise TabularProblem(line + 1, "", _reason(cause, source.limits))
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _padded(cells: Cells, width: int = 0) -> Cells:
    """The cells of a row, as many as the sheet has where it has more than are read."""
    return cells + [""] * (width - len(cells))


def _problem(line: int, cell: dict[str, Any], limits: Limits) -> TabularProblem:
    reasons = {
        "f": _("This cell holds a formula. Paste its value in its place."),
        "e": _("This cell holds the error of a formula."),
        "long": _("A cell must not have more than %(most)d characters.") % {"most": limits.cell},
    }
    return TabularProblem(line, str(cell["column"]), reasons[cell["cause"]], cell["text"])


def _reason(cause: str, limits: Limits) -> str:
    large = _("This workbook is too large: its texts may take %(size)s. Save it as CSV.")
    costly = _("Reading this workbook takes more than %(seconds)d seconds or %(size)s of memory. Save it as CSV.")
    if cause == "large":
        return large % {"size": filesizeformat(limits.texts)}
    if cause == "rows":
        return _("The file has more than %(most)d rows.") % {"most": limits.rows}
    if cause == "numbers":
        return _("The rows of this workbook have higher numbers than a sheet can have. Save it as CSV.")
    if cause == "damaged":
        return _("This workbook is damaged. Open it and save it again as XLSX.")
    return costly % {"seconds": limits.seconds, "size": filesizeformat(limits.memory)}
