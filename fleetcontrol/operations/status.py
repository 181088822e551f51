"""What `/health/`, the page *System* and `manage.py status` say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleetcontrol import health
from fleetcontrol.health import Row
from fleetcontrol.operations import ready


@dataclass(frozen=True, slots=True)
class Status:
    """Why no work can be done, else everything to watch."""

    problems: list[str]
    rows: list[Row]

    @property
    def warnings(self) -> list[str]:
        return [str(row.warning) for row in self.rows if row.warning]

    @property
    def word(self) -> str:
        """fail, warn or pass."""
        return "fail" if self.problems else "warn" if self.warnings else "pass"

    def for_programs(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "status": self.word,
            "problems": [*self.problems, *self.warnings],
            "rows": {
                row.name: {"value": row.plain_value, "warning": str(row.warning)}
                | ({"at": row.at.isoformat(timespec="seconds")} if row.at else {})
                for row in self.rows
            },
        }


def status() -> Status:
    """Ask for everything. Raises DatabaseError if the database goes meanwhile."""
    problems = ready.problems()
    return Status(problems, [] if problems else health.rows())
