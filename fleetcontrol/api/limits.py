"""How much may be asked for in a minute, counted in the database so that it holds across processes and machines.

The table of counts is unlogged: after a crash of the database counting begins anew, and in return a count waits for no
disk.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import connection
from django.utils.translation import gettext_lazy as _

from fleetcontrol.api.problems import TOO_MANY_REQUESTS, ProblemError

WINDOW = 60  # seconds

# A statement of its own and a part of the token check's; clock_timestamp() goes on inside a transaction.
COUNT = """
INSERT INTO api_tally AS tally (key, ends_at, count)
VALUES (%(key)s, clock_timestamp() + interval '60 seconds', %(step)s)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.count ELSE 0 END + %(step)s,
    ends_at = CASE WHEN tally.ends_at > clock_timestamp() THEN tally.ends_at ELSE excluded.ends_at END
RETURNING count, extract(epoch FROM ends_at)::float8 AS ends_at
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """What is left of an allowance. `ends_at` is when it is full again, in seconds of the epoch."""

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
        wait = max(1, round(self.ends_at - time.time() + 0.5))
        return ProblemError(
            TOO_MANY_REQUESTS,
            _("%(allowed)s a minute are allowed. Wait %(seconds)s seconds.")
            % {"allowed": self.allowed, "seconds": wait},
            headers={**self.headers(), "Retry-After": str(wait)},
        )


def count(key: str, allowed: int, *, step: int = 1) -> Limit:
    """Count one more under this key. With `step` 0 nothing is added: a look at what is left."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"key": key[:120], "step": step})
        used, ends_at = cursor.fetchone()
    return Limit(allowed, used, ends_at)
