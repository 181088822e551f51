"""The bytes of a table and the text in them: limits, encodings, lines.

No encoding can be known for certain, so these rules choose one: a byte order mark decides; otherwise many NULs mean
UTF-16; otherwise the first bytes beyond ASCII decide: UTF-8 if most of them form it, and Windows-1252 if not, which
reads Latin-1 too. The decision waits for those bytes: a register may be plain ASCII for its first hundred thousand
lines.
"""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

UNDECODABLE = "\udcff"
"""Stands in the text for bytes that the encoding does not allow; no decoded text can hold it."""

_CHUNK = 1 << 18
_LONGEST_LINE = 1 << 22
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NAMES = {
    "utf-32": "UTF-32",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "windows-1252": "Windows-1252",
}

codecs.register_error("fleetcontrol.undecodable", lambda error: (UNDECODABLE, getattr(error, "end", 0)))


class TabularProblem(Exception):
    """What is wrong with a file or one of its rows, in a sentence that a person can act on.

    `line` counts from 1; for a row over several lines it is the first of them. `column` is the header's name, or "" for
    the whole row or file. `value` is the cell, cut short, or "".
    """

    def __init__(self, line: int, column: str, reason: str, value: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.column = column
        self.reason = reason
        self.value = value.replace(UNDECODABLE, "�").replace("\0", "␀")[:100]


type Cells = list[str]
type Row = tuple[int, Cells | TabularProblem]


@dataclass(frozen=True)
class Limits:
    """The largest file that is read: its bytes on disk, its rows and columns, the characters of a cell.

    Three limits guard against XLSX files that are zip bombs, in bytes after unpacking: `unpacked` for a sheet, `texts`
    for the table of texts and for all other parts, `sheet_row` for one row of a sheet.
    """

    bytes: int = 1 << 30
    rows: int = 5_000_000
    columns: int = 200
    cell: int = 32_767
    unpacked: int = 1 << 30
    texts: int = 1 << 26
    sheet_row: int = 1 << 24


class Source:
    """A binary file that counts the bytes that are read from it, and whose start can be looked at first."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self.limits = limits
        self.bytes_read = 0
        self.encoding = "UTF-8"
        self._file = file
        self._ahead = b""

    def peek(self) -> bytes:
        """The first bytes, which remain to be read: a full chunk, unless the file is shorter."""
        while len(self._ahead) < _CHUNK and (chunk := self._read_chunk()):
            self._ahead += chunk
        return self._ahead

    def chunks(self) -> Iterator[bytes]:
        """All bytes, in chunks."""
        if self._ahead:
            yield self._ahead
            self._ahead = b""
        while chunk := self._read_chunk():
            yield chunk

    def lines(self) -> Iterator[str]:
        """All lines with their line endings: CR LF, LF or CR, as in every editor."""
        rest = ""
        number = 0
        for text in self._texts():
            # Not `splitlines`: it also cuts at form feeds and Unicode's own line separators.
            found = io.StringIO(rest + text, newline="").readlines()
            # The last line may continue in the next chunk, and its CR may be half of a CR LF.
            rest = found.pop() if found else ""
            number += len(found)
            yield from found
            if len(rest) > _LONGEST_LINE:
                raise TabularProblem(number + 1, "", _("This line is too long to be a table's row."))
        if rest:
            yield rest

    def _read_chunk(self) -> bytes:
        chunk = self._file.read(_CHUNK) or b""
        self.bytes_read += len(chunk)
        if self.bytes_read > self.limits.bytes:
            size = filesizeformat(self.limits.bytes)
            raise TabularProblem(1, "", _("The file must not be larger than %(size)s.") % {"size": size})
        return chunk

    def _texts(self) -> Iterator[str]:
        decoder: codecs.IncrementalDecoder | None = None
        undecoded = b""
        encoding = _encoding_by_start(self.peek())
        for chunk in self.chunks():
            if decoder is None:
                undecoded += chunk
                if not encoding and undecoded.isascii():
                    yield undecoded.decode("ascii")
                    undecoded = b""
                    continue
                encoding = encoding or _guess_encoding(undecoded)
                if not encoding:
                    continue
                self.encoding = _NAMES.get(encoding, "UTF-8")
                decoder = codecs.getincrementaldecoder(encoding)("fleetcontrol.undecodable")
                chunk, undecoded = undecoded, b""
            yield decoder.decode(chunk)
        if decoder is not None:
            yield decoder.decode(b"", final=True)
        elif undecoded:
            self.encoding = _NAMES["windows-1252"]
            yield undecoded.decode("windows-1252", "fleetcontrol.undecodable")


def header_names(names: list[str], line: int, limits: Limits) -> list[str]:
    """The stripped names of a header. Raises `TabularProblem` for a header that cannot be used."""
    stripped = [name.strip().strip("\ufeff") for name in names]
    if len(stripped) > limits.columns:
        reason = _("The file has more than %(most)d columns.") % {"most": limits.columns}
        raise TabularProblem(line, "", reason)
    seen: set[str] = set()
    for name in filter(None, stripped):
        if UNDECODABLE in name or "\0" in name:
            raise TabularProblem(line, "", _("The header holds unreadable characters."), name)
        if name.casefold() in seen:
            first = next(place for place, one in enumerate(stripped, 1) if one.casefold() == name.casefold())
            reason = _("The header has a name twice: column %(first)d and a later one.") % {"first": first}
            raise TabularProblem(line, "", reason)
        seen.add(name.casefold())
    if not seen:
        raise TabularProblem(line, "", _("The file has no header."))
    return stripped


def unreadable(line: int, header: list[str], cells: Cells, encoding: str) -> TabularProblem | None:
    """The problem of the first cell that holds a NUL or bytes that are no text; None if no cell does."""
    for name, cell in zip(header, cells, strict=False):
        if UNDECODABLE in cell:
            reason = _("This cell holds bytes that are not %(encoding)s.") % {"encoding": encoding}
            return TabularProblem(line, name, reason, cell)
        if "\0" in cell:
            return TabularProblem(line, name, _("This cell holds a NUL character."), cell)
    return None


def wrong_width(line: int, found: int, wanted: int) -> TabularProblem:
    """The problem of a row with more or fewer cells than the header."""
    reason = ngettext(
        "This row has %(found)d cell, the header has %(wanted)d.",
        "This row has %(found)d cells, the header has %(wanted)d.",
        found,
    )
    return TabularProblem(line, "", reason % {"found": found, "wanted": wanted})


def _encoding_by_start(start: bytes) -> str:
    """The encoding by the byte order mark or by many NULs; "" if there is neither."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    if start.count(0) * 4 > len(start):
        return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
    return ""


def _guess_encoding(data: bytes) -> str:
    """UTF-8 if most bytes beyond ASCII form it, else Windows-1252; "" if more bytes are needed to tell."""
    text = codecs.getincrementaldecoder("utf-8")("fleetcontrol.undecodable").decode(data)
    wrong = text.count(UNDECODABLE)
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    if not wrong and not right:
        return ""
    return "utf-8" if right >= wrong else "windows-1252"
