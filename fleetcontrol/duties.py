"""Duties: what FleetControl does on schedule. Apps register them in their AppConfig, `manage.py tend` runs them.

A duty must be safe to run at any time and twice at once, and must do a bounded amount of work. It returns one line that
says what it did, or "" for nothing. If it raises, the other duties still run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

type Duty = Callable[[], str]


class Refused(Exception):
    """A duty will not do its work before somebody acts. The message is a sentence for the operator."""


_duties: dict[str, Duty] = {}


def register(*functions: Duty) -> None:
    """Add duties. The name of a duty is that of its function, such as "erase_former_secrets"."""
    for function in functions:
        name = function.__name__
        if _duties.setdefault(name, function) is not function:
            raise ValueError(f"There are two duties named {name}.")


def duties() -> Mapping[str, Duty]:
    """All duties, in the order of registration."""
    return MappingProxyType(_duties)
