"""Read the first sheet of an XLSX file from standard input, and write its rows to standard output.

`workbook` runs this file as a process of its own, without the project and its keys: a small archive can hold a workbook
that takes all memory or never ends, and only a process can be held to limits and be ended. What can be said beforehand
is refused with its reason: everything that openpyxl reads goes through `_Checked`.

Standard output gets one JSON value a line: `[line, cells]`, or `[line, cells, width]` for a row with more cells than
columns are read, or `[line, {"column", "cause", "text"}]` for a row with a cell that cannot be read; at last the cause
of the end and the line of it, `{"cause": "", "line": 5}`.
"""

import datetime
import io
import json
import resource
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any
from xml.etree.ElementTree import iterparse
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

_BYTES_IN_MEMORY = 1 << 22
_LAST_ROW = 1_048_576  # of a sheet, in Excel and in LibreOffice
_PARTS = 5_000
_LEVELS = 100
_ELEMENTS = 300_000  # outside of rows and texts, or in one of them; 64,000 styles are the most that Excel writes

_TEXT, _RICH = f"{{{SHEET_MAIN_NS}}}t", f"{{{SHEET_MAIN_NS}}}r"
_ONE_TEXT, _ROW = f"{{{SHEET_MAIN_NS}}}si", f"{{{SHEET_MAIN_NS}}}row"
_FORMULA = f"{{{SHEET_MAIN_NS}}}f"
# The same as expat writes them.
_REPEATED = {f"{SHEET_MAIN_NS} row", f"{SHEET_MAIN_NS} si"}


class _Refused(Exception):
    """The workbook is over a limit: its cause is "large", "rows" or "numbers"."""


def main(limits: dict[str, int]) -> None:
    """Read and write under the limits, which have the names of `fleetcontrol.tabular.source.Limits`."""
    _limit(resource.RLIMIT_CPU, limits["seconds"])
    _limit(resource.RLIMIT_AS, limits["memory"])
    _limit(resource.RLIMIT_CORE, 0)  # a dump would hold what the workbook holds
    warnings.simplefilter("ignore")  # about styles and validations, which nobody reads here
    line, cause = 0, ""
    # Reading an archive starts at its end, so the stream has to be stored first: in a file without a name.
    with tempfile.SpooledTemporaryFile(max_size=_BYTES_IN_MEMORY) as archive:
        try:
            shutil.copyfileobj(sys.stdin.buffer, archive)
            for line, row in _rows(archive, limits):
                sys.stdout.write(json.dumps([line, *row]) + "\n")
        except _Refused as refusal:
            cause = str(refusal)
        except MemoryError:
            cause = "memory"
        except Exception:  # noqa: BLE001 - openpyxl and the libraries under it raise anything for a damaged archive
            cause = "damaged"
    sys.stdout.write(json.dumps({"cause": cause, "line": line}) + "\n")
    sys.stdout.flush()


def _limit(what: int, most: int) -> None:
    _soft, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(ValueError, OSError):  # macOS has no limit of memory
        resource.setrlimit(what, (most, hard))


def _rows(archive: IO[bytes], limits: dict[str, int]) -> Iterator[tuple[int, list[Any]]]:
    """Line number and what is written of each row that is not empty."""
    reader = ExcelReader(archive, read_only=True, keep_links=False)
    reader.archive.close()
    reader.archive = parts = _Parts(archive, limits)
    reader.read_manifest()
    reader.read_workbook()
    apply_stylesheet(parts, reader.wb)
    strings = reader.package.find(SHARED_STRINGS)
    texts = _texts(parts, strings.PartName[1:]) if strings is not None else []
    parser = _Parser(
        None,
        texts,
        epoch=reader.wb.epoch,
        date_formats=reader.wb._date_formats,
        timedelta_formats=reader.wb._timedelta_formats,
    )
    before = 0
    for element in _elements(parts, _first_sheet(reader), _ROW):
        line, cells = parser.parse_row(element)
        parser.row_dimensions.clear()
        if line > before:
            before = line
            row = _cells(cells, limits)
            if row[0]:
                yield line, row


def _first_sheet(reader: ExcelReader) -> str:
    for _sheet, relation in reader.parser.find_sheets():
        if relation.target in reader.valid_files and "chartsheet" not in relation.Type:
            return str(relation.target)
    raise KeyError("no sheet")


def _texts(parts: "_Parts", name: str) -> list[str]:
    return [
        # openpyxl's own way to read them is several times as slow. Phonetic hints, in `rPh`, are no part of the text.
        "".join(one.text or "" for one in (*text.iterfind(_TEXT), *text.iterfind(f"{_RICH}/{_TEXT}")))
        for text in _elements(parts, name, _ONE_TEXT)
    ]


def _elements(parts: "_Parts", name: str, tag: str) -> Iterator[Any]:
    """The elements of a tag. Each is cut from the document afterwards, so that memory does not grow with them."""
    with parts.open(name) as part:
        above: list[Any] = []
        for event, element in iterparse(part, events=("start", "end")):  # noqa: S314 - `_Checked` refuses entities
            if event == "start":
                above.append(element)
                continue
            above.pop()
            if element.tag == tag:
                yield element
                above[-1].clear()


class _Parser(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    def parse_formula(self, element: Any) -> str:
        """The formula as it stands there. openpyxl would translate one that many cells share for each of them."""
        return "=" + (element.findtext(_FORMULA) or "")[:100]


def _cells(found: list[dict[str, Any]], limits: dict[str, int]) -> list[Any]:
    """What is written of a row: its cells and, if it has more than columns are read, their number; or its problem."""
    cells: list[str] = []
    width = 0
    for cell in found:
        column, value, kind = cell["column"], cell["value"], cell["data_type"]
        if kind in ("f", "e"):
            return [{"column": column, "cause": kind, "text": str(value)[:100]}]
        if not (text := _text(value)):
            continue
        if len(text) > limits["cell"]:
            return [{"column": column, "cause": "long", "text": text[:100]}]
        if column > limits["columns"]:
            width = max(width, column)
            continue
        cells.extend([""] * (column - len(cells)))
        cells[column - 1] = text
    return [cells or [""], width] if width else [cells]


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


class _Parts(zipfile.ZipFile):
    """An archive whose directory and parts are checked before anything is made of them.

    `zipfile` reads no more of a part than the directory states, which makes the check of the directory a bound.
    """

    def __init__(self, archive: IO[bytes], limits: dict[str, int]) -> None:
        super().__init__(archive)
        self._limits = limits
        sizes = {"sheets": 0, "texts": 0, "others": 0}
        for part in self.infolist():
            name = part.filename.lower()
            kind = "sheets" if "worksheets/" in name else "texts" if "sharedstrings" in name else "others"
            sizes[kind] += part.file_size
        too_large = max(sizes["texts"], sizes["others"]) > limits["texts"] or sizes["sheets"] > limits["unpacked"]
        if too_large or len(self.infolist()) > _PARTS:
            raise _Refused("large")

    def open(self, name: Any, *_args: Any, **_options: Any) -> Any:
        return _Checked(super().open(name), self._limits)


class _Checked(io.RawIOBase):
    """A part of the archive that is checked while it is read."""

    def __init__(self, part: IO[bytes], limits: dict[str, int]) -> None:
        self._part, self._limits = part, limits
        self._depth = self._elements = self._repeated = self._read = self._whole = 0
        self._xml = expat.ParserCreate(namespace_separator=" ")
        self._xml.ordered_attributes = True
        self._xml.StartElementHandler, self._xml.EndElementHandler = self._start, self._end
        self._xml.StartDoctypeDeclHandler = self._no_types
        self._is_xml = True

    def read(self, size: int | None = -1) -> bytes:
        data = self._part.read(-1 if size is None else size)
        self._read += len(data)
        if self._is_xml:
            try:
                self._xml.Parse(data, not data)
            except expat.ExpatError:
                self._is_xml = False  # openpyxl gets no further either
        # Whatever reads the part holds a row or text until it ends.
        if self._read - self._whole > self._limits["sheet_row"]:
            raise _Refused("large")
        return data

    def _start(self, name: str, attributes: list[str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _LEVELS or self._elements > _ELEMENTS:
            raise _Refused("large")
        if name in _REPEATED and "r" in attributes[::2]:
            number = attributes[attributes.index("r") + 1]
            if not float(number) <= _LAST_ROW:
                raise _Refused("numbers")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name in _REPEATED:
            self._repeated += 1
            self._elements = 0
            self._whole = self._xml.CurrentByteIndex
            if self._repeated > self._limits["rows"] + 1:
                raise _Refused("rows")

    def _no_types(self, *_types: Any) -> None:
        raise ValueError("A workbook declares no types of documents and no entities.")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
