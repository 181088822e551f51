"""IDs of rows: ULIDs, 26 characters that sort by creation time. OneAPI's IDs have this form."""

import secrets
import time

from ulid import ULID

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, which ULIDs use
_PAIRS = [a + b for a in _DIGITS for b in _DIGITS]


def new_id() -> str:
    """A new ULID."""
    return str(ULID())


class Ids:
    """Makes ULIDs by the hundred thousand, each greater than the one before. Unlike `new_id` it rarely reads the clock.

    The IDs share their time and 60 random bits and count up in the other 20, which is how the ULID standard orders IDs
    of one millisecond. Whoever knows one ID can guess its neighbours, so they are names and not secrets.
    """

    def __init__(self) -> None:
        self._count = 0
        self._shared_part = ""

    def next(self) -> str:
        """The next ULID."""
        count = self._count
        if not count & 0xFFFFF:
            self._shared_part = _base32(time.time_ns() // 1_000_000, 10) + _base32(secrets.randbits(60), 12)
        self._count = count + 1
        return f"{self._shared_part}{_PAIRS[count >> 10 & 1023]}{_PAIRS[count & 1023]}"


def _base32(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))
