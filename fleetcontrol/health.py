"""What an operator has to know of the running product. Apps register it in their AppConfig, `operations` asks for it.

A requirement returns why no work can be done, in sentences; [] if it can. It may read the database and must be quick:
load balancers ask every few seconds. What it writes is rolled back.

A watch returns rows of the page *System*. A row with a warning asks somebody to act while work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.formats import date_format
from django.utils.timezone import localtime

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

type Requirement = Callable[[], list[str]]
type Watch = Callable[[], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Row:
    """One fact. `name` stays the same for programs; `label`, `value` and `warning` are for people.

    A time in `value` is shown in the reader's time zone; `at` is when the value was so, unless that is now.
    """

    name: str
    label: StrOrPromise
    value: StrOrPromise | int | datetime
    warning: StrOrPromise = ""
    at: datetime | None = None

    @property
    def text(self) -> str:
        """The value for people."""
        if isinstance(self.value, datetime):
            return date_format(localtime(self.value), "DATETIME_FORMAT")
        return str(self.value)

    @property
    def plain_value(self) -> str | int:
        """The value for programs; a time in ISO 8601."""
        if isinstance(self.value, datetime):
            return self.value.isoformat(timespec="seconds")
        return self.value if isinstance(self.value, int) else str(self.value)


_requirements: list[Requirement] = []
_watches: list[Watch] = []


def require(*requirements: Requirement) -> None:
    """Add requirements, each once."""
    _requirements.extend(one for one in requirements if one not in _requirements)


def watch(*watches: Watch) -> None:
    """Add watches, each once."""
    _watches.extend(one for one in watches if one not in _watches)


def unmet_requirements() -> list[str]:
    """Why no work can be done. Raises what the requirements raise, such as DatabaseError."""
    return [sentence for requirement in _requirements for sentence in requirement()]


def rows() -> list[Row]:
    """Everything to watch, in the order of registration. Raises what the watches raise, such as DatabaseError."""
    return [row for one in _watches for row in one()]
