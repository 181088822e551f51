"""Read CSV, XLSX and JSON Lines as rows of text with their true line numbers, and write CSV that is safe from formulas.

Every format becomes the same thing: a `Table` with a header and an iterator of `(line, cells)`. A row that cannot be
read yields a `TabularProblem` in place of its cells, so that one pass finds every bad row. A file that cannot be read
any further raises the `TabularProblem`.

Only the piece being read is in memory, which does not grow with a CSV or JSON Lines file. An XLSX file stores its texts
apart from its rows, so they have to be held; `Limits.texts` bounds them.
"""

import io
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from django.utils.translation import gettext as _

from fleetcontrol.tabular import delimited, jsonlines, workbook
from fleetcontrol.tabular.delimited import csv_lines, safe_cell, unescaped, without_text_marker, write_copied_csv
from fleetcontrol.tabular.source import Cells, Limits, Row, Source, TabularProblem, UnclearEncoding, is_deeper

__all__ = [
    "FORMATS",
    "IN_REQUEST",
    "Cells",
    "Limits",
    "Row",
    "Table",
    "TabularProblem",
    "UnclearEncoding",
    "csv_lines",
    "is_deeper",
    "read",
    "safe_cell",
    "unescaped",
    "unpacked_size",
    "without_text_marker",
    "write_copied_csv",
]

FORMATS = ("csv", "xlsx", "jsonl")
IN_REQUEST = Limits(seconds=8)
"""For reading the first rows of a file while a person or a program waits."""

_NOT_TABLES = {
    b"\xd0\xcf\x11\xe0": "XLS",
    b"%PDF": "PDF",
    b"\x1f\x8b": "GZIP",
    b"Rar!": "RAR",
    b"7z\xbc\xaf": "7Z",
}


class Table:
    """The header of a file, and its rows, which can be read once.

    `format` is one of FORMATS. `header` holds the names of the file's columns without the white space around them; a
    column without a name is "". Iterating raises `TabularProblem` if the file cannot be read any further: it is over a
    limit, broken, or without a single row.
    """

    def __init__(self, format: str, header: list[str], rows: Iterator[Row], source: Source) -> None:
        self.format = format
        self.header = header
        self._rows = rows
        self._source = source

    @property
    def encoding(self) -> str:
        """The text's encoding, as far as it is known: plain ASCII counts as UTF-8."""
        return self._source.encoding

    @property
    def bytes_read(self) -> int:
        """How much of the file was read so far, for a progress bar."""
        return self._source.bytes_read

    def __iter__(self) -> Iterator[Row]:
        count = 0
        most = self._source.limits.rows
        for count, row in enumerate(self._rows, start=1):
            if count > most:
                reason = _("The file has more than %(most)d rows.") % {"most": most}
                raise TabularProblem(row[0], "", reason)
            yield row
        if not count:
            raise TabularProblem(1, "", _("The file has a header but no rows."))


def read(file: BinaryIO, *, format: str = "", encoding: str = "", limits: Limits | None = None) -> Table:
    """Read a file as a table: its header now, its rows on iteration.

    `file` needs only the method `read`. Its format is detected unless `format` is one of FORMATS, its encoding unless
    `encoding` names one. Raises `TabularProblem` for an empty file, an unknown kind of file or an unusable header, and
    `UnclearEncoding`, which has the plausible readings, also on iteration.
    """
    source = Source(file, limits or Limits(), encoding)
    format = format or _detect_format(source)
    reader = {"csv": delimited.rows, "xlsx": workbook.rows, "jsonl": jsonlines.rows}[format]
    header, rows = reader(source)
    return Table(format, header, rows, source)


def unpacked_size(file: BinaryIO) -> int:
    """The bytes of a file once it is unpacked, as the directory of its archive states; no reader takes more."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return file.seek(0, io.SEEK_END)


def _detect_format(source: Source) -> str:
    start = source.peek()
    if not start.strip():
        raise TabularProblem(1, "", _("The file is empty."))
    for magic, name in _NOT_TABLES.items():
        if start.startswith(magic):
            reason = _("This is a %(kind)s file. Save it as CSV or XLSX.") % {"kind": name}
            raise TabularProblem(1, "", reason)
    if start.startswith(b"PK\x03\x04"):
        return "xlsx"
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
        return "jsonl"
    return "csv"
