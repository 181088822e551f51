"""Badges of the navigation: a number of things that need attention, or a dot while work is under way.

Each app registers the badges of its pages in its AppConfig, by the name of the page's URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

type Count = Callable[[Any], int]  # of a fleet
type Busy = Callable[[Any], bool]  # of a fleet

_counts: dict[str, Count] = {}
_busy: dict[str, Busy] = {}


def register(view_name: str, *, count: Count | None = None, busy: Busy | None = None) -> None:
    """Show `count` beside the entry of a page if it is above 0, and a dot while `busy` is true."""
    if count:
        _counts[view_name] = count
    if busy:
        _busy[view_name] = busy


def count(view_name: str, fleet: Any) -> int:
    """How many things on this page of the fleet need attention. 0 for a page without such a badge."""
    return _counts[view_name](fleet) if view_name in _counts else 0


def is_busy(view_name: str, fleet: Any) -> bool:
    """Whether work is under way on this page of the fleet."""
    return view_name in _busy and _busy[view_name](fleet)
