"""Read XLSX: the first sheet of a workbook, row by row.

openpyxl streams the rows but holds the workbook's table of texts, and unpacks whatever the archive claims to hold. So
the archive's directory is checked before openpyxl sees the archive. Python's `zipfile` reads no more of a part than the
directory states, which makes that check a bound.
"""

import datetime
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from openpyxl.utils import column_index_from_string

from fleetcontrol.tabular.source import Cells, Limits, Row, Source, TabularProblem, header_names, too_many_cells

_BYTES_IN_MEMORY = 1 << 22

# What openpyxl and the libraries under it raise for a damaged archive or sheet.
_DAMAGED: tuple[type[Exception], ...] = (zipfile.BadZipFile, ParseError, EOFError, OSError)
_DAMAGED += (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError)


def rows(source: Source) -> tuple[list[str], Iterator[Row]]:
    """The header and the rows of the first sheet; a row's line is its number in the sheet."""
    found = _sheet_rows(source)
    for line, cells in found:
        if isinstance(cells, TabularProblem):
            raise cells
        while cells and not cells[-1]:
            cells.pop()
        header = header_names(cells, line, source.limits)
        return header, _rows(found, header)
    raise TabularProblem(1, "", _("The file is empty."))


def _rows(found: Iterator[Row], header: list[str]) -> Iterator[Row]:
    width = len(header)
    for line, cells in found:
        if isinstance(cells, TabularProblem):
            index = column_index_from_string(cells.column) - 1
            cells.column = header[index] if index < width else cells.column
            yield line, cells
        elif any(cells[width:]):
            yield line, too_many_cells(line, len(cells), width)
        else:
            yield line, (cells + [""] * width)[:width]


def _sheet_rows(source: Source) -> Iterator[Row]:
    line = 0
    # Reading an archive starts at its end, so the stream has to be stored first: in a file without a name.
    with tempfile.SpooledTemporaryFile(max_size=_BYTES_IN_MEMORY) as archive:
        for chunk in source.chunks():
            archive.write(chunk)
        try:
            _check_size(archive, source.limits)
            for line, found in enumerate(_first_sheet(archive).iter_rows(), start=1):
                row = _cells(line, found, source.limits)
                if isinstance(row, TabularProblem) or any(row):
                    yield line, row
        except _DAMAGED:
            reason = _("This workbook is damaged. Open it and save it again as XLSX.")
            raise TabularProblem(line + 1, "", reason) from None


def _first_sheet(archive: IO[bytes]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and validations, which nobody reads here
        book = openpyxl.load_workbook(archive, read_only=True)
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # the size that a file states is often wrong
    return sheet


def _cells(line: int, found: tuple[Any, ...], limits: Limits) -> Cells | TabularProblem:
    cells: Cells = []
    for cell in found:
        if cell.data_type == "f":
            reason = _("This cell holds a formula. Paste its value in its place.")
            return TabularProblem(line, cell.column_letter, reason, str(cell.value))
        if cell.data_type == "e":
            reason = _("This cell holds the error of a formula.")
            return TabularProblem(line, cell.column_letter, reason, str(cell.value))
        text = _text(cell.value)
        if len(text) > limits.cell:
            reason = _("A cell must not have more than %(most)d characters.")
            return TabularProblem(line, cell.column_letter, reason % {"most": limits.cell}, text)
        cells.append(text)
    return cells


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        at_midnight = value.time() == datetime.time()
        return value.date().isoformat() if at_midnight else value.isoformat(sep=" ")
    return str(value)


def _check_size(archive: IO[bytes], limits: Limits) -> None:
    with zipfile.ZipFile(archive) as content:
        texts = others = longest = 0
        for part in content.infolist():
            name = part.filename.lower()
            if name.startswith("xl/worksheets/"):
                longest = max(longest, _longest_row(content, part, limits))
            elif "sharedstrings" in name:
                texts += part.file_size
            else:
                others += part.file_size
    if max(texts, others) > limits.texts or longest > limits.sheet_row:
        size = filesizeformat(limits.texts)
        reason = _("This workbook is too large: its texts may take %(size)s. Save it as CSV.")
        raise TabularProblem(1, "", reason % {"size": size})


def _longest_row(content: zipfile.ZipFile, part: zipfile.ZipInfo, limits: Limits) -> int:
    """The bytes of the sheet's longest row: openpyxl holds the elements of a row until the row ends."""
    if part.file_size <= limits.sheet_row or part.file_size > limits.unpacked:
        return part.file_size if part.file_size > limits.unpacked else 0
    longest = current = 0
    tail = b""
    with content.open(part) as sheet:
        while chunk := sheet.read(1 << 20):
            first, *others = (tail + chunk).split(b"</row>")
            current += len(first) - len(tail)
            for piece in others:
                longest = max(longest, current)
                current = len(piece)
            tail = chunk[-5:]
    return max(longest, current)
