"""Limits of requests per minute, counted in the database so that they hold across processes and machines.

The table of counts is unlogged: a count does not wait for the disk, and after a crash of the database counting starts
anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext_lazy as _

from fleetcontrol.api.problems import TOO_MANY_REQUESTS, ProblemError
from fleetcontrol.db.clock import database_now


@dataclass(frozen=True, slots=True)
class Limit:
    """An allowance and how much of it is used. `ends_at`, in seconds of the epoch, is when it is whole again."""

    allowed: int
    used: int
    ends_at: float

    @property
    def exceeded(self) -> bool:
        return self.used > self.allowed

    def headers(self) -> dict[str, str]:
        return {
            "X-Rate-Limit-Limit": str(self.allowed),
            "X-Rate-Limit-Remaining": str(max(0, self.allowed - self.used)),
            "X-Rate-Limit-Reset": str(int(self.ends_at) + 1),
        }

    def problem(self) -> ProblemError:
        wait = max(1, round(self.ends_at - database_now().timestamp() + 0.5))
        return ProblemError(
            TOO_MANY_REQUESTS,
            _("%(allowed)s a minute are allowed. Wait %(seconds)s seconds.")
            % {"allowed": self.allowed, "seconds": wait},
            headers={**self.headers(), "Retry-After": str(wait)},
        )


def count(key: str, allowed: int, *, step: int = 1) -> Limit:
    """Add `step` to the count of this key, whose minute begins with its first count. A `step` of 0 only reads it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT used, window_ends FROM api_count(%s, %s)", [key[:120], step])
        used, ends_at = cursor.fetchone()
    return Limit(allowed, used, ends_at)
