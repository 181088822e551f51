"""Read CSV, whatever program wrote it, and write CSV that no spreadsheet runs as a formula."""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import batched, chain, islice
from statistics import mode
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

from fleetcontrol.tabular.header import HeaderSearch
from fleetcontrol.tabular.source import (
    UNDECODABLE,
    Cells,
    Limits,
    Row,
    Source,
    TabularProblem,
    header_names,
    readable,
    too_many_cells,
)

_SEPARATORS = ",;\t|"
_LINES_COMPARED = 50
# KeePass 1 writes a backslash before quotes and backslashes. This is its header.
_KEEPASS_1 = '"Account","Login Name","Password","Web Site","Comments"'
_CHARACTERS_COMPARED = 1 << 18
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_TEXT_MARKER = re.compile(r'="((?:[^"]|"")*+)"', re.DOTALL)

# In PostgreSQL's CSV: what a cell begins with that a spreadsheet would run, that needs quotes or that is to be mended.
# The wide signs of _FORMULA begin with \xef.
_NEEDS_CARE = rb"""'=+\-@\t\r\n \x01\xef"""
# A quick look at many lines. It finds more than those cells, because a separator may stand inside of quotes.
_MAY_NEED_CARE = re.compile(rb"""[,;"\n][%b]""" % _NEEDS_CARE)
_PLAIN_LINE = {
    separator: re.compile(
        rb"""(?:(?:[^%b%b"][^%b"\n]*+|"(?![%b])(?:[^"]++|"")*+")?+(?:%b|\n\Z))++"""
        % (_NEEDS_CARE, separator.encode(), separator.encode(), _NEEDS_CARE, separator.encode())
    )
    for separator in ",;"
}
_COPIED_CELL = {
    separator: re.compile(rf"""(?:"((?:[^"]++|"")*+)"|([^{separator}"\n]*+))(?:{separator}|\n\Z)""")
    for separator in ",;"
}
_LINES_AT_ONCE = 100

# The csv module's own guard: without it an unclosed quote swallows the whole file.
csv.field_size_limit(Limits.cell)


def rows(source: Source, search: HeaderSearch) -> tuple[int, list[str], Iterator[Row]]:
    """The header's line, the header and the rows of a CSV file. Separator and encoding are detected."""
    lines = source.lines()
    start = list(islice(lines, 1))
    while start and len(start) < _LINES_COMPARED and sum(map(len, start)) < _CHARACTERS_COMPARED:
        if not (line_after := next(lines, "")):
            break
        start.append(line_after)
    line = 1
    separator = ""
    if start and (hint := re.match(r'\ufeff?"?sep=(.)"?\r?\n?$', start[0], re.IGNORECASE)):
        separator, line = hint[1], 2  # Excel's own notation for the separator
        del start[0]
    dialect: dict[str, Any] = {"delimiter": separator or _guess_separator(start)}
    if start and start[0].strip() == _KEEPASS_1:
        dialect |= {"escapechar": "\\", "doublequote": False}
    line, names, records = search.split(_records(chain(start, lines), dialect, line))
    header = header_names([without_text_marker(name) for name in names], line or 1, source.limits)
    return line, header, _rows(records, header, source)


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[str]], *, for_excel: bool = False) -> Iterator[str]:
    """Write CSV line by line. `for_excel` adds a byte order mark and separates by semicolons.

    Cells that a spreadsheet would run get a leading apostrophe, see `unescaped`.
    """
    written = _row_writer(";" if for_excel else ",")
    if for_excel:
        yield "\ufeff"
    yield written(header)
    yield from map(written, rows)


def write_copied_csv(
    file: BinaryIO,
    header: Sequence[str],
    lines: Iterable[bytes],
    mend: Callable[[list[str]], None],
    *,
    for_excel: bool = False,
) -> int:
    """Write what `csv_lines` would, from lines of PostgreSQL's COPY with the right separator; return how many rows.

    Both write the same but for cells that a spreadsheet would run, rows with a cell that begins with a space, and the
    end of a line. So most rows go through as they are, a hundred at a time. `mend` may
    change the cells of the other rows; it sees all with a cell that begins with the sign "\\x01".
    """
    separator = ";" if for_excel else ","
    is_plain, cells_of = _PLAIN_LINE[separator].fullmatch, _COPIED_CELL[separator].findall
    written = _row_writer(separator)
    file.writelines(line.encode() for line in csv_lines(header, (), for_excel=for_excel))
    count = 0
    for batch in batched(lines, _LINES_AT_ONCE):
        count += len(batch)
        text = b"".join(batch)
        if text.count(b"\n") == len(batch) and not _MAY_NEED_CARE.search(b"\n" + text):
            file.write(text.replace(b"\n", b"\r\n"))
            continue
        for line in batch:
            if is_plain(line):
                file.write(line[:-1] + b"\r\n")
                continue
            cells = [quoted.replace('""', '"') or bare for quoted, bare in cells_of(line.decode())]
            mend(cells)
            file.write(written(cells).encode())
    return count


def safe_cell(text: str) -> str:
    """The text as a cell that no spreadsheet runs: with an apostrophe before = + - @, tab, CR and LF."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text that `safe_cell` made the cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def without_text_marker(cell: str) -> str:
    """The text of `="0SN1"`, by which exporters keep a spreadsheet from making a number of it."""
    marked = _TEXT_MARKER.fullmatch(cell)
    return marked[1].replace('""', '"') if marked else cell


def _row_writer(separator: str) -> Callable[[Sequence[str]], str]:
    """What makes a line of CSV out of cells."""
    plain = csv.writer(_Echo(), delimiter=separator)
    quoted = csv.writer(_Echo(), delimiter=separator, quoting=csv.QUOTE_ALL)

    def written(row: Sequence[str]) -> str:
        # Readers, this one included, drop a space at the start of a cell without quotes.
        writer = quoted if any(cell.startswith(" ") for cell in row) else plain
        line: str = writer.writerow(map(safe_cell, row))
        return line

    return written


class _Echo:
    """A file for `csv.writer` that stores nothing: `writerow` returns what `write` returns."""

    def write(self, text: str) -> str:
        return text


def _rows(
    records: Iterator[tuple[int, Cells | TabularProblem, str]], header: list[str], source: Source
) -> Iterator[Row]:
    width = len(header)
    for line, cells, raw in records:
        if isinstance(cells, TabularProblem):
            yield line, cells
            continue
        if len(cells) != width:
            if any(cells[width:]):
                yield line, too_many_cells(line, len(cells), width)
                continue
            cells = (cells + [""] * width)[:width]  # spreadsheets leave out empty cells at the end
        yield line, readable(cells, source.encoding) if "\0" in raw or UNDECODABLE in raw else cells


def _records(
    lines: Iterator[str], dialect: dict[str, Any], line: int
) -> Iterator[tuple[int, Cells | TabularProblem, str]]:
    """Line number, cells and text of each record that is not empty. Broken quoting costs one line, not the rest of the
    file.
    """
    lines_of_record: list[str] = []
    lines_to_repeat: deque[str] = deque()

    def feed() -> Iterator[str]:
        while text := lines_to_repeat.popleft() if lines_to_repeat else next(lines, ""):
            lines_of_record.append(text)
            yield text

    reader = csv.reader(feed(), **dialect, strict=True, skipinitialspace=True)
    while True:
        try:
            for cells in reader:
                if any(map(str.strip, cells)):
                    yield line, cells, lines_of_record[0] if len(lines_of_record) == 1 else "".join(lines_of_record)
                line += len(lines_of_record)
                lines_of_record.clear()
            return
        except csv.Error as error:
            yield line, _problem_of(line, lines_of_record, error), lines_of_record[0]
            # A quote that never closes has swallowed good rows: give up its own line and read the others again.
            lines_to_repeat.extendleft(reversed(lines_of_record[1:]))
            lines_of_record.clear()
            line += 1
            reader = csv.reader(feed(), **dialect, strict=True, skipinitialspace=True)


def _problem_of(line: int, lines: list[str], error: csv.Error) -> TabularProblem:
    text = str(error)
    if "expected after" in text:
        reason = _("A closing quote must be followed by a separator or the end of the line.")
    elif ('"' in lines[0] and len(lines) > 1) or "end of data" in text:
        reason = _("A quote is opened on this line and not closed.")
    else:
        most = {"most": Limits.cell}
        reason = _("A cell must not have more than %(most)d characters.") % most
    return TabularProblem(line, "", reason, lines[0].strip())


def _guess_separator(lines: list[str]) -> str:
    """The separator that cuts the first lines most evenly, and among such ones into the most cells.

    The first line counts for all, unless no separator cuts most lines as it cuts that: then it is a title.
    """
    widths = {}
    for separator in _SEPARATORS:
        with suppress(csv.Error):
            records = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            widths[separator] = [len(record) for record in records if any(record)]
    by_first = {separator: _evenness(found, found[0]) for separator, found in widths.items() if found}
    if by_first and max(by_first.values())[0] <= 0.5:
        usual = {separator: _evenness(found, _usual_width(found)) for separator, found in widths.items() if found}
        by_first = usual if max(usual.values())[0] > 0 else by_first
    best = max(by_first, key=lambda separator: by_first[separator], default=",")
    return best if by_first and by_first[best][0] > 0 else ","


def _usual_width(widths: list[int]) -> int:
    """The most frequent number of cells among the lines that are cut."""
    return mode([width for width in widths if width > 1] or [1])


def _evenness(widths: list[int], width: int) -> tuple[float, int]:
    """The share of the lines with so many cells, and that number; 0 if the separator cuts nothing."""
    return (sum(one == width for one in widths) / len(widths), width) if width > 1 else (0.0, 1)
