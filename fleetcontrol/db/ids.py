"""Ids of rows: ULIDs, 26 characters that sort by the time they were made (OneAPI's ids have this form)."""

import secrets
import time

from ulid import ULID

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as ULIDs have it
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]


def new_id() -> str:
    """A new ULID."""
    return str(ULID())


class Ids:
    """Makes ULIDs by the hundred thousand, each greater than the one before: `new_id` would read the clock for each.

    They share their time and 60 random bits and count in the other 20, which is the standard's own way to keep ids
    of one millisecond in order; who knows one can guess its neighbours, so they are names and not secrets.
    """

    def __init__(self) -> None:
        self._number = 0
        self._start = ""

    def next(self) -> str:
        number = self._number
        if not number & 0xFFFFF:
            self._start = _text(time.time_ns() // 1_000_000, 10) + _text(secrets.randbits(60), 12)
        self._number = number + 1
        return f"{self._start}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}"


def _text(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))
