"""Read the first sheet of an XLSX file from standard input, and write its rows to standard output.

`workbook` runs this file as a process of its own, without the project and its keys: a small archive can hold a workbook
that takes all memory or never ends, and only a process can be held to limits and be ended. What can be said beforehand
is refused with its reason: everything that openpyxl reads goes through `_Checked`.

Standard output gets one JSON value a line: `[line, cells]`, or `[line, cells, width, odd]` for a row with more cells
than columns are read, or with cells that are no plain texts: `odd` has the cause for each by its position. At last the
cause of the end and the line of it, `{"cause": "", "line": 5}`.
"""

import datetime
import io
import json
import re
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
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils.escape import unescape
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

_BYTES_IN_MEMORY = 1 << 22
_LAST_ROW = 1_048_576  # of a sheet, in Excel and in LibreOffice
_PARTS = 5_000
_LEVELS = 100
_ELEMENTS = 300_000  # outside of rows and texts, or in one of them; 64,000 styles are the most that Excel writes

_TEXT, _RICH = f"{{{SHEET_MAIN_NS}}}t", f"{{{SHEET_MAIN_NS}}}r"
_ONE_TEXT, _ROW = f"{{{SHEET_MAIN_NS}}}si", f"{{{SHEET_MAIN_NS}}}row"
_FORMULA, _VALUE = f"{{{SHEET_MAIN_NS}}}f", f"{{{SHEET_MAIN_NS}}}v"
_STRICT = "http://purl.oclc.org/ooxml/"
_MOST_DIGITS = 15  # of a number in a spreadsheet, which makes zeros of all others
# A number format of zeros, with signs that stand for themselves: 000000, 0000-0000, "A"00\/00.
_ZEROS = re.compile(r"""(?:0|[-/ ().]|\\.|"[^"]*"){1,100}""")
_IN_ZEROS = re.compile(r"""0|\\.|"[^"]*"|.""")
# The same as expat writes them.
_REPEATED = {f"{SHEET_MAIN_NS} row", f"{SHEET_MAIN_NS} si"}


class _Refused(Exception):
    """The workbook is over a limit or of another kind: "large", "rows", "numbers", "strict", "zip" and others."""


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
    _refuse_other_kinds(parts.namelist())
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
        data_only=True,
    )
    zeros = _zeros(reader.wb)
    before = 0
    for element in _elements(parts, _first_sheet(reader), _ROW):
        line, cells = parser.parse_row(element)
        parser.row_dimensions.clear()
        if line > before:
            before = line
            row = _cells(cells, zeros, limits)
            if row[0]:
                yield line, row


def _refuse_other_kinds(names: list[str]) -> None:
    """Refuse an archive that is no workbook by what is in it."""
    if "[Content_Types].xml" not in names:
        is_numbers = any(name.startswith("Index/") and name.endswith(".iwa") for name in names) or "Index.zip" in names
        raise _Refused("opendocument" if "mimetype" in names else "numbers file" if is_numbers else "zip")
    if "xl/workbook.bin" in names:
        raise _Refused("xlsb")
    if not any(name.startswith("xl/") for name in names):
        raise _Refused("document")


def _first_sheet(reader: ExcelReader) -> str:
    """The first sheet that people see."""
    for sheet, relation in reader.parser.find_sheets():
        is_sheet = relation.target in reader.valid_files and "chartsheet" not in relation.Type
        if is_sheet and sheet.state == "visible":
            return str(relation.target)
    raise _Refused("hidden")


def _zeros(book: Any) -> dict[int, str]:
    """The number formats of zeros, by the number of their style."""
    found = {}
    for style, one in enumerate(book._cell_styles):
        number = one.numFmtId
        own = number - BUILTIN_FORMATS_MAX_SIZE
        name = book._number_formats[own] if 0 <= own < len(book._number_formats) else BUILTIN_FORMATS.get(number, "")
        positive = name.partition(";")[0]
        if positive not in ("0", "0.0", "0.00") and "0" in positive and _ZEROS.fullmatch(positive):
            found[style] = positive
    return found


def _texts(parts: "_Parts", name: str) -> list[str]:
    return [
        # openpyxl's own way to read them is several times as slow. Phonetic hints, in `rPh`, are no part of the text.
        _unescaped("".join(one.text or "" for one in (*text.iterfind(_TEXT), *text.iterfind(f"{_RICH}/{_TEXT}"))))
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
    def parse_cell(self, element: Any) -> dict[str, Any]:
        """The cell with the value of its formula; `data_type` is "f" if the file has only the formula."""
        cell: dict[str, Any] = super().parse_cell(element)
        if cell["value"] is None and element.find(_FORMULA) is not None:
            has_text = element.get("t") == "str" and element.find(_VALUE) is not None
            cell["data_type"] = "s" if has_text else "f"
        elif isinstance(cell["value"], str) and element.get("t") in ("str", "inlineStr"):
            cell["value"] = _unescaped(cell["value"])
        return cell


def _unescaped(text: str) -> str:
    """The text without Excel's own escapes, such as _x000D_; it writes characters beyond U+FFFF as two of them."""
    if "_x" not in text:
        return text
    whole: str = unescape(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole


def _cells(found: list[dict[str, Any]], zeros: dict[int, str], limits: dict[str, int]) -> list[Any]:
    """What is written of a row: its cells and, if needed, their number and the causes of the odd ones."""
    cells: list[str] = []
    odd: dict[int, str] = {}
    width = 0
    for cell in found:
        column, kind = cell["column"], cell["data_type"]
        text, cause = ("", kind) if kind in ("f", "e") else _text(cell["value"], zeros.get(cell["style_id"], ""))
        if not text and not cause:
            continue
        if column > limits["columns"]:
            width = max(width, column)
            continue
        if len(text) > limits["cell"]:
            text, cause = "", "long"
        if cause:
            odd[column - 1] = cause
        cells.extend([""] * (column - len(cells)))
        cells[column - 1] = text
    return [cells or [""], width, odd] if width or odd else [cells]


def _text(value: object, zeros: str) -> tuple[str, str]:
    """The text of a cell, and the cause why it is odd, if it is."""
    if value is None:
        return "", ""
    if isinstance(value, str):
        return ("", "nul") if "\0" in value else (value, "")
    if isinstance(value, bool):
        return ("true" if value else "false"), "truth"
    if isinstance(value, int | float):
        return _number(value, zeros)
    if isinstance(value, datetime.datetime):
        at_midnight = value.time() == datetime.time()
        return (value.date().isoformat() if at_midnight else value.isoformat(sep=" ")), "date"
    return str(value), "date"


def _number(value: float, zeros: str) -> tuple[str, str]:
    """A number as its cell shows it, as far as its format is one of zeros."""
    if abs(value) >= 10**_MOST_DIGITS or float(f"{value:.{_MOST_DIGITS}g}") != value:
        return str(value), "digits"
    if value != int(value):
        return str(value), ""
    text = str(int(value))
    if not zeros or value < 0:
        return text, ""
    signs = _IN_ZEROS.findall(zeros)
    digits = text.zfill(signs.count("0"))
    for place in reversed(range(len(signs))):
        if signs[place] != "0":
            signs[place] = signs[place].strip('"') if signs[place][0] == '"' else signs[place][-1]
        else:
            is_first = "0" not in signs[:place]
            signs[place], digits = (digits, "") if is_first else (digits[-1], digits[:-1])
    return "".join(signs), ""


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
        if self._depth == 1 and name.startswith(_STRICT):
            raise _Refused("strict")
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
