"""How long the regular expression of a brand may take on the worst value that its field takes.

Python's `re` tries every way to split a text among repetitions, so a pattern such as (a+)+ never ends on thirty
letters. What people type is matched with the patterns of an operator's brand file: one that could take long is refused
when FleetControl starts.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

MOST_WAYS = 20_000_000  # less than a second of matching
_parser: Any = import_module("re._parser")  # the only thing that knows what `re` makes of a pattern


def compile_error(pattern: str) -> str:
    """Why this is no regular expression; "" if it is one."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""


def is_slow(pattern: str, longest: int) -> bool:
    """Whether a text of up to `longest` characters might be split in too many ways."""
    return _ways(_parser.parse(pattern), longest) > MOST_WAYS


def _ways(parsed: Any, longest: int) -> int:
    """In how many ways `re` might match a text with a sequence, no more than one above the limit."""
    ways = 1
    for operation, value in parsed:
        ways = min(ways * _ways_of(str(operation), value, longest), MOST_WAYS + 1)
    return ways


def _ways_of(operation: str, value: Any, longest: int) -> int:
    if operation in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, body = value
        most = min(most, longest)
        inner = _ways(body, longest)
        # 2 to the power of 25 is above the limit already.
        lengths: int = max(most - least + 1, 1)
        return lengths * int(inner ** min(most, 25))
    if operation == "POSSESSIVE_REPEAT":
        _least, most, body = value
        inner = _ways(body, longest)
        return inner if inner == 1 else inner * min(most, longest)
    if operation == "BRANCH":
        return sum(_ways(one, longest) for one in value[1])
    if operation == "GROUPREF_EXISTS":
        return sum(_ways(one, longest) for one in value[1:] if one)
    if operation in ("SUBPATTERN", "ASSERT", "ASSERT_NOT"):
        return _ways(value[-1], longest)
    return _ways(value, longest) if operation == "ATOMIC_GROUP" else 1
