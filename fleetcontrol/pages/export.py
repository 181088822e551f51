"""Exports: rows of text under a header, made whole in a temporary file before anybody gets a byte of them.

A file that is sent while it is being made, and breaks off, looks whole to many a program. Here whatever fails, fails
before the answer begins. The temporary file has no name, is open to this process alone and holds no secret.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import DEFAULT_DB_ALIAS, DatabaseError, models

from fleetcontrol.db import replica
from fleetcontrol.db.copying import copied_csv, copied_json_lines
from fleetcontrol.tabular import csv_lines, write_copied_csv

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_json_of = json.JSONEncoder(ensure_ascii=False).encode
_TO_MEND = rb'"\u0001'  # in JSON, the beginning of a cell that is to be mended
log = logging.getLogger(__name__)

# Writes a file from what the database of this alias holds, and returns how many rows that were.
type Writer = Callable[[BinaryIO, str], int]
type Rows = Generator[Sequence[str]]


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that is complete, open at its beginning, and gone when it is closed. `rows` does not count the header."""

    file: BinaryIO
    rows: int


def whole_file(write: Writer, *, may_lag: bool = False) -> WholeFile:
    """Make a file, from a replica if it may lag a little and one is up to date. Raises what kept it from being made."""
    using = replica.database_to_read() if may_lag else DEFAULT_DB_ALIAS
    if using != DEFAULT_DB_ALIAS:
        try:
            return _made(write, using)
        except DatabaseError as error:  # also one that cancels long queries, as replicas do
            replica.leave_alone(str(error).strip())
    return _made(write, DEFAULT_DB_ALIAS)


def write_lines(file: BinaryIO, lines: Iterable[str]) -> int:
    """Write the lines in UTF-8; return how many they were."""
    count = 0
    for line in lines:
        file.write(line.encode())
        count += 1
    return count


class Export:
    """Rows under a header, from the database of an alias; `may_lag`: that may be a replica."""

    def __init__(self, header: Sequence[str], *, may_lag: bool = False) -> None:
        self.header = header
        self._may_lag = may_lag

    def make(self, format: str = "csv", *, for_excel: bool = False) -> WholeFile:
        """The file, of the format csv or jsonl; `for_excel` makes the CSV that German Excel reads."""

        def write(file: BinaryIO, using: str) -> int:
            if format == "jsonl":
                return self._write_json_lines(file, using)
            return self._write_csv(file, using, for_excel=for_excel)

        return whole_file(write, may_lag=self._may_lag)

    def _write_csv(self, file: BinaryIO, using: str, *, for_excel: bool) -> int:
        raise NotImplementedError

    def _write_json_lines(self, file: BinaryIO, using: str) -> int:
        raise NotImplementedError


class ReadExport(Export):
    """An export of the rows that `read` yields from the database of an alias."""

    def __init__(self, header: Sequence[str], read: Callable[[str], Rows], *, may_lag: bool = False) -> None:
        super().__init__(header, may_lag=may_lag)
        self._read = read

    def _write_csv(self, file: BinaryIO, using: str, *, for_excel: bool) -> int:
        with closing(self._read(using)) as rows:
            lines = write_lines(file, csv_lines(self.header, rows, for_excel=for_excel))
        return lines - (2 if for_excel else 1)  # the header and Excel's byte order mark are no rows

    def _write_json_lines(self, file: BinaryIO, using: str) -> int:
        with closing(self._read(using)) as rows:
            return write_lines(file, (_json_line(self.header, row) for row in rows))


class CopiedExport(Export):
    """An export whose rows are a `values_list` of texts, none of them NULL, in the order of the header.

    PostgreSQL writes their CSV and JSON itself, which saves three quarters of the time that cells in Python take.
    `mend` ends a row that SQL cannot finish. It is sure to see the rows that have a cell that begins with "\\x01".
    """

    def __init__(
        self,
        header: Sequence[str],
        rows: models.QuerySet[Any, Any],
        mend: Callable[[list[str]], None],
        *,
        may_lag: bool = False,
    ) -> None:
        super().__init__(header, may_lag=may_lag)
        self._queryset = rows
        self._mend = mend

    def _write_csv(self, file: BinaryIO, using: str, *, for_excel: bool) -> int:
        with closing(copied_csv(self._queryset, using, separator=";" if for_excel else ",")) as lines:
            return write_copied_csv(file, self.header, lines, self._mend, for_excel=for_excel)

    def _write_json_lines(self, file: BinaryIO, using: str) -> int:
        count = 0
        with closing(copied_json_lines(self._queryset, self.header, using)) as lines:
            for line in lines:
                file.write(self._mended(line) if _TO_MEND in line else line)
                count += 1
        return count

    def _mended(self, line: bytes) -> bytes:
        cells = list(json.loads(line).values())
        self._mend(cells)
        return _json_line(self.header, cells).encode()


def _json_line(header: Sequence[str], cells: Sequence[str]) -> str:
    return _json_of(dict(zip(header, cells, strict=True))) + "\n"


def _made(write: Writer, using: str) -> WholeFile:
    try:
        with tempfile.TemporaryFile() as file:
            rows = write(file, using)
            file.seek(0)  # writes what is buffered: a disk that is full shows here and not while sending
            return WholeFile(io.BufferedReader(_Descriptor(os.dup(file.fileno()))), rows)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = tempfile.gettempdir()
        log.error("An export from the database %s broke off. Nothing of it was sent.", using)
        raise


class _Descriptor(io.RawIOBase):
    """An open file to read. Unlike Python's own it is closed without a warning when an answer is dropped unread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return os.readv(self._descriptor, [buffer])

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
