"""The bytes of a table and the text in them: limits, encodings, lines.

No encoding can be known for certain, so these rules choose one: a byte order mark decides; otherwise many NULs mean
UTF-16; otherwise the first bytes beyond ASCII decide: UTF-8 if most of them form it, and if not, what `encodings` makes
of them, or a person. The decision waits for those bytes: a register may be plain ASCII for its first hundred thousand
lines.
"""

import codecs
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fleetcontrol.tabular import encodings
from fleetcontrol.tabular.encodings import Reading

UNDECODABLE = "\udcff"
"""Stands in the text for bytes that the encoding does not allow; no decoded text can hold it."""

LONGEST_LINE = 1 << 22
"""The most characters of a line, and of an object over several lines."""

_CHUNK = 1 << 18
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_UNICODE_NAMES = {"utf-32": "UTF-32", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}

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


class UnclearEncoding(TabularProblem):
    """Several `readings` of the file are plausible, and only a person can tell which one is right."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = readings
        names = ", ".join(one.name for one in readings)
        words = _("The file’s encoding is not clear: its letters make sense as %(names)s. Name the encoding.")
        super().__init__(1, "", words % {"names": names})


@dataclass(frozen=True)
class Oddity:
    """Why a cell cannot be taken as it is. A date is right for a field that takes dates."""

    reason: str
    is_date: bool = False


class OddCells(list[str]):
    """The cells of a row of which some are odd, by their positions. That matters only where they are imported."""

    def __init__(self, cells: Iterable[str], odd: Mapping[int, Oddity]) -> None:
        super().__init__(cells)
        self.odd = odd


type Cells = list[str]
type Row = tuple[int, Cells | TabularProblem]


@dataclass(frozen=True)
class Limits:
    """The largest file that is read: its bytes on disk, its rows and columns, the characters of a column's name and of
    a cell, the levels of lists and objects inside a cell of JSON.

    The others guard against XLSX files that are zip bombs: in bytes after unpacking, `unpacked` for a sheet, `texts`
    for the table of texts and for all other parts, `sheet_row` for one row of a sheet; `seconds` of CPU and bytes of
    `memory` for the process that reads it.
    """

    bytes: int = 1 << 30
    rows: int = 5_000_000
    columns: int = 200
    name: int = 500
    cell: int = 32_767
    levels: int = 20
    unpacked: int = 1 << 30
    texts: int = 1 << 26
    sheet_row: int = 1 << 24
    seconds: int = 900
    memory: int = 1 << 30


class Source:
    """A binary file that counts the bytes that are read from it, and whose start can be looked at first."""

    def __init__(self, file: BinaryIO, limits: Limits, encoding: str = "") -> None:
        """`encoding` is what a person calls it, "" to find it. Raises TabularProblem for one that is unknown."""
        self.limits = limits
        self.bytes_read = 0
        self.encoding = "UTF-8"
        self._codec = _codec(encoding) if encoding else ""
        self._file = file
        self._ahead = b""

    def peek(self) -> bytes:
        """The first bytes, which remain to be read: a full chunk, unless the file is shorter."""
        while len(self._ahead) < _CHUNK and (chunk := self._read_chunk()):
            self._ahead += chunk
        return self._ahead

    def start(self) -> str:
        """The first characters, which remain to be read; what is beyond ASCII may stand there wrongly."""
        data = self.peek()
        codec = self._codec or _encoding_by_start(data) or "ascii"
        return data.decode(codec, "replace").removeprefix("\ufeff")

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
        for text in self.texts():
            # Not `splitlines`: it also cuts at form feeds and Unicode's own line separators.
            found = io.StringIO(rest + text, newline="").readlines()
            # The last line may continue in the next chunk, and its CR may be half of a CR LF.
            rest = found.pop() if found else ""
            number += len(found)
            yield from found
            if len(rest) > LONGEST_LINE:
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

    def texts(self) -> Iterator[str]:
        """The whole text, in pieces."""
        decoder: codecs.IncrementalDecoder | None = None
        undecoded = b""
        encoding = self._codec or _encoding_by_start(self.peek())
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
                self.encoding = _name(encoding)
                decoder = codecs.getincrementaldecoder(encoding)("fleetcontrol.undecodable")
                chunk, undecoded = undecoded, b""
            yield self._decoded(decoder, chunk)
        if decoder is not None:
            yield self._decoded(decoder, b"", final=True)
        elif undecoded:
            encoding = _encoding_of(undecoded)
            self.encoding = _name(encoding)
            yield undecoded.decode(encoding, "fleetcontrol.undecodable")

    def _decoded(self, decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> str:
        """The text. Raises TabularProblem where a codec gives up, as for UTF-16 without its mark."""
        try:
            return decoder.decode(chunk, final)
        except UnicodeError:
            reason = _("The file cannot be read as %(encoding)s.") % {"encoding": self.encoding}
            raise TabularProblem(1, "", reason) from None


def header_names(names: list[str], line: int, limits: Limits) -> list[str]:
    """The stripped names of a header. Raises `TabularProblem` for a header that cannot be used."""
    stripped = [name.strip().strip("\ufeff") for name in names]
    if len(stripped) > limits.columns:
        reason = _("The file has more than %(most)d columns.") % {"most": limits.columns}
        raise TabularProblem(line, "", reason)
    for name in stripped:
        if len(name) > limits.name:
            reason = _("The name of a column must not have more than %(most)d characters.") % {"most": limits.name}
            raise TabularProblem(line, "", reason)
        if UNDECODABLE in name or "\0" in name:
            raise TabularProblem(line, "", _("The header holds unreadable characters."), name)
    if not any(stripped):
        raise TabularProblem(line, "", _("The file has no header."))
    return stripped


def readable(cells: Cells, encoding: str) -> Cells:
    """The cells, of which those that hold a NUL or bytes that are no text are odd."""
    odd = {}
    for position, cell in enumerate(cells):
        if UNDECODABLE in cell:
            odd[position] = Oddity(_("This cell holds bytes that are not %(encoding)s.") % {"encoding": encoding})
        elif "\0" in cell:
            odd[position] = Oddity(_("This cell holds a NUL character."))
    return OddCells(["" if position in odd else cell for position, cell in enumerate(cells)], odd) if odd else cells


def is_deeper(value: object, levels: int = Limits.levels) -> bool:
    """Whether lists and objects of JSON stand inside each other in more than so many levels."""
    if not isinstance(value, list | dict):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return not levels or any(is_deeper(one, levels - 1) for one in inside)


def too_many_cells(line: int, found: int, wanted: int) -> TabularProblem:
    """The problem of a row with more cells than the header."""
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
    """UTF-8 if most bytes beyond ASCII form it, else one of `encodings`; "" if more bytes are needed to tell."""
    text = codecs.getincrementaldecoder("utf-8")("fleetcontrol.undecodable").decode(data)
    wrong = text.count(UNDECODABLE)
    right = len(text) - len(text.encode("ascii", "ignore")) - wrong
    if not wrong and not right:
        return ""
    return "utf-8" if right >= wrong else _encoding_of(data)


def _encoding_of(data: bytes) -> str:
    """The encoding of bytes that are no Unicode. Raises UnclearEncoding."""
    found = encodings.readings(data)
    if len(found) > 1:
        raise UnclearEncoding(found)
    return found[0].encoding


def _codec(name: str) -> str:
    try:
        return encodings.known(name)
    except LookupError:
        words = _("There is no encoding “%(name)s”. Common ones are UTF-8, UTF-16, %(names)s.")
        names = ", ".join(encodings.NAMES.values())
        raise TabularProblem(1, "", words % {"name": name[:40], "names": names}) from None


def _name(codec: str) -> str:
    """What people call a codec."""
    if codec.startswith("utf-8"):
        return "UTF-8"
    return _UNICODE_NAMES.get(codec) or encodings.NAMES.get(codec) or codec
