"""Whether an error says that the database cannot work at the moment, rather than that something is wrong with us."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError

from fleetcontrol.db.rules import sqlstate_of

RETRY_AFTER = "5"  # seconds, for the header
# PostgreSQL's codes: shutdown, crash, start; no more connections, memory or disk; read-only; a disk that fails.
_CODES = {"57P01", "57P02", "57P03", "57P05", "53000", "53100", "53200", "53300", "25006", "58030"}


def is_away(error: BaseException | None) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    code = sqlstate_of(error)
    return code in _CODES or code.startswith("08") or (not code and isinstance(error, OperationalError))
