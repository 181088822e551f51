"""What an entry of the navigation shows beside its words: how much needs attention, and whether something is at work.

Each app registers the badges of its pages in its AppConfig, by the name of the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

type Count = Callable[[Any], int]  # of a fleet
type Busy = Callable[[Any], bool]  # of a fleet

_counts: dict[str, Count] = {}
_busy: dict[str, Busy] = {}


def register(view_name: str, *, count: Count | None = None, busy: Busy | None = None) -> None:
    """Show beside a page's entry how many of a fleet's things need attention, or a dot while something is at work."""
    if count:
        _counts[view_name] = count
    if busy:
        _busy[view_name] = busy


def count(view_name: str, fleet: Any) -> int:
    """How many things of the fleet need attention on this page; 0 for a page without such a badge."""
    return _counts[view_name](fleet) if view_name in _counts else 0


def is_busy(view_name: str, fleet: Any) -> bool:
    """Whether something of the fleet is at work on this page."""
    return view_name in _busy and _busy[view_name](fleet)
