"""Duties: what FleetControl does on schedule. Apps register them in their AppConfig, `manage.py tend` runs them.

A duty must be safe to run at any time and twice at once, and must do a bounded amount of work. It returns one line that
says what it did, or "" for nothing. If it raises, the other duties still run.

A duty that goes through rows of several fleets does each of them under `guarded`, or many at once with `each`: nothing
that one fleet, brand or row holds ends the work for another. What failed is due again in the next round.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import batched
from types import MappingProxyType

from django.db import InterfaceError, OperationalError, connection, transaction

type Duty = Callable[[], str]

_AT_ONCE = 1000  # keys


class Refused(Exception):
    """A duty will not do its work before somebody acts. The message is a sentence for the operator."""


_duties: dict[str, Duty] = {}
_failed_items: ContextVar[list[str] | None] = ContextVar("failed_items", default=None)

logger = logging.getLogger(__name__)


def register(*functions: Duty) -> None:
    """Add duties. The name of a duty is that of its function, such as "erase_former_secrets"."""
    for function in functions:
        name = function.__name__
        if _duties.setdefault(name, function) is not function:
            raise ValueError(f"There are two duties named {name}.")


def duties() -> Mapping[str, Duty]:
    """All duties, in the order of registration."""
    return MappingProxyType(_duties)


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a duty: the line that it returned, whether it failed as a whole, and its items that failed.

    `refusal` is the sentence of a duty that will not do its work before somebody acts; that counts as failed too.
    """

    done: str
    failed: bool
    failed_items: list[str]
    refusal: str = ""


def run(name: str) -> Round:
    """Run a duty. Never raises: what fails is logged."""
    with failed_items() as items:
        try:
            return Round(_duties[name](), failed=False, failed_items=items)
        except Refused as refusal:
            return Round("", failed=True, failed_items=items, refusal=str(refusal))
        except Exception as error:  # noqa: BLE001 - logged without its values
            log_failure(f"The duty {name}", error)
            connection.close_if_unusable_or_obsolete()  # the next duty may find the database back
            return Round("", failed=True, failed_items=items)


@contextmanager
def failed_items() -> Iterator[list[str]]:
    """Collect the items that fail under `guarded` inside this block."""
    items: list[str] = []
    token = _failed_items.set(items)
    try:
        yield items
    finally:
        _failed_items.reset(token)


@contextmanager
def guarded(item: str) -> Iterator[None]:
    """Do one item of a duty, such as "webhook 01F62857KMPG2NE2GK1W2N3QYS". If it fails, log that and go on.

    Name the item by ids. Raises only what says that the database is gone: then the others would fail as well.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OperationalError | InterfaceError) and not connection.is_usable():
            raise
        log_failure(item[:1].upper() + item[1:], error)
        failed = _failed_items.get()
        if failed is not None:
            failed.append(item)


def each[Key](kind: str, keys: Iterable[Key], do: Callable[[Sequence[Key]], int]) -> int:
    """Do something with many rows at once, named by their keys; if that fails, with each of them under `guarded`.

    `do` runs in a transaction and returns a count. Returns the sum of the counts.
    """

    def do_in_transaction(some: Sequence[Key]) -> int:
        with transaction.atomic():
            return do(some)

    total = 0
    for batch in batched(keys, _AT_ONCE):
        try:
            total += do_in_transaction(batch)
        except Exception:  # noqa: BLE001 - found again, and logged, one by one
            for key in batch:
                with guarded(f"{kind} {key}"):
                    total += do_in_transaction([key])
    return total


def log_failure(what: str, error: Exception) -> None:
    """Log that something failed: kind and place of the error, and not its text, which may quote a row."""
    text = f": {error}".rstrip() if isinstance(error, OperationalError | InterfaceError) else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed: %s%s\n%s", what, type(error).__name__, text, frames)
