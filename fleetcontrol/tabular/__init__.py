"""Read CSV, XLSX and JSON Lines as rows of text with their true line numbers, and write CSV that is safe from formulas.

Every format becomes the same thing: a `Table` with a header and an iterator of `(line, cells)`. A row that cannot be
read yields a `TabularProblem` in place of its cells, so that one pass finds every bad row. Where only a cell cannot be
taken as it is, the cells are `OddCells`: that matters if the column is imported. A file that cannot be read any further
raises the `TabularProblem`.

Only the piece being read is in memory, which does not grow with a CSV or JSON Lines file. An XLSX file stores its texts
apart from its rows, so they have to be held; `Limits.texts` bounds them.
"""

import io
import zipfile
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO

from django.utils.translation import gettext as _

from fleetcontrol.tabular import delimited, jsonlines, workbook
from fleetcontrol.tabular.delimited import csv_lines, safe_cell, unescaped, without_text_marker, write_copied_csv
from fleetcontrol.tabular.header import CountNames, HeaderSearch, NoHeader
from fleetcontrol.tabular.kinds import format_of
from fleetcontrol.tabular.source import (
    Cells,
    Limits,
    OddCells,
    Row,
    Source,
    TabularProblem,
    UnclearEncoding,
    is_deeper,
)

__all__ = [
    "FORMATS",
    "IN_REQUEST",
    "Cells",
    "Limits",
    "NoHeader",
    "OddCells",
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


class Table:
    """The header of a file, and its rows, which can be read once.

    `format` is one of FORMATS. `header` holds the names of the file's columns without the white space around them; a
    column without a name is "". `header_row` is the line of the header, 0 for a file without one. Iterating raises
    `TabularProblem` if the file cannot be read any further: it is over a limit, broken, or without a single row.
    """

    def __init__(self, format: str, header_row: int, header: list[str], rows: Iterator[Row], source: Source) -> None:
        self.format = format
        self.header_row = header_row
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

    def peek(self, count: int) -> list[Row]:
        """The first rows, which remain to be read. Raises what iterating raises."""
        first = list(islice(self._rows, count))
        self._rows = chain(first, self._rows)
        return first

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


def read(
    file: BinaryIO,
    *,
    format: str = "",
    encoding: str = "",
    header_row: int | None = None,
    count_names: CountNames | None = None,
    limits: Limits | None = None,
) -> Table:
    """Read a file as a table: its header now, its rows on iteration.

    `file` needs only the method `read`. Its format is detected unless `format` is one of FORMATS, its encoding unless
    `encoding` names one. The header is on the line `header_row`; of 0 there is none, and the columns are called
    "column 1" and so on. Without it the header is the one of the first rows with the most names of columns, as
    `count_names` counts them in cells; without both it is the first row.

    Raises `TabularProblem` for an empty file, an unknown kind of file or an unusable header; `NoHeader` if the first
    row looks like data or a title; and `UnclearEncoding`, which has the plausible readings, also on iteration.
    """
    source = Source(file, limits or Limits(), encoding)
    format = format or format_of(source)
    reader = {"csv": delimited.rows, "xlsx": workbook.rows, "jsonl": jsonlines.rows}[format]
    line, header, rows = reader(source, HeaderSearch(header_row, count_names))
    return Table(format, line, header, rows, source)


def unpacked_size(file: BinaryIO) -> int:
    """The bytes of a file once it is unpacked, as the directory of its archive states; no reader takes more."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return file.seek(0, io.SEEK_END)
