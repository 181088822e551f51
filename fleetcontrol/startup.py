"""What must hold before a web process or a command that uses keys starts. Apps register checks in their AppConfig.

A check raises ImproperlyConfigured with a sentence for the operator.
"""

from __future__ import annotations

from collections.abc import Callable

type Check = Callable[[], None]

_checks: list[Check] = []


def register(*checks: Check) -> None:
    """Add checks, each once."""
    _checks.extend(check for check in checks if check not in _checks)


def require_all() -> None:
    """Run every check. Raises ImproperlyConfigured."""
    for check in _checks:
        check()
