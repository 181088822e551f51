"""What FleetControl does by the clock: each app registers its duties in its AppConfig, and `manage.py tend` does them.

A duty must be safe to run twice at once and at any time, do a bounded amount of work, and say in one line what it did
("" for nothing). It raises when it failed; the others are done all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

type Duty = Callable[[], str]

_duties: dict[str, Duty] = {}


def register(*functions: Duty) -> None:
    """Add duties, each under its function's name, such as "erase_former_secrets"."""
    for function in functions:
        name = function.__name__
        if _duties.setdefault(name, function) is not function:
            raise ValueError(f"There are two duties named {name}.")


def duties() -> Mapping[str, Duty]:
    """All duties in the order of their registration."""
    return MappingProxyType(_duties)
