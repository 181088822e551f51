"""Files and standard streams that name themselves in the OSError when they cannot be written.

Python's own name the file only when it cannot be opened. When a disk fills up, nobody could say which of several open
files was meant.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, TextIO

STANDARD_STREAMS = STANDARD_OUTPUT, STANDARD_ERROR = "Standard output", "Standard error"


class NamedFile(io.FileIO):
    """A raw file whose failed writes carry its name."""

    def __init__(self, file: str | int, label: str, *, closefd: bool = True) -> None:
        super().__init__(file, "wb", closefd=closefd)
        self._label = label

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._label
            raise


def open_text(path: Path) -> TextIO:
    """Open a file for writing, in UTF-8 and without changed line ends. Raises OSError with its name."""
    return io.TextIOWrapper(io.BufferedWriter(NamedFile(str(path), str(path))), encoding="utf-8", newline="")


def name_standard_streams(*, encoding: str = "") -> None:
    """Replace sys.stdout and sys.stderr by streams that name themselves and never fail at a letter.

    A letter that the terminal's encoding lacks is written as an escape. `encoding` is another one for sys.stdout.
    """
    sys.stdout = _standard(sys.stdout, 1, STANDARD_OUTPUT, encoding)
    sys.stderr = _standard(sys.stderr, 2, STANDARD_ERROR)


def _standard(stream: TextIO | None, descriptor: int, label: str, encoding: str = "") -> TextIO:
    if stream is None:  # closed by whoever started the process
        return Path("/dev/null").open("w")
    raw = NamedFile(descriptor, label, closefd=False)
    unbuffered = bool(getattr(stream, "write_through", False))  # PYTHONUNBUFFERED
    line_buffering = descriptor == 2 or raw.isatty() or unbuffered
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding or stream.encoding,
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
