"""What FleetControl does by the clock: each app registers its duties here, and `manage.py tend` does them.

An app puts them into a module `duties`, which is found when FleetControl starts. A duty must be safe to run twice at
once and at any time, do a bounded amount of work, and say in one line what it did ("" for nothing). It raises when it
failed; the others are done all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from fleetcontrol.models import ImportRun, KeptAnswer, Tally

type Duty = Callable[[], str]

_duties: dict[str, Duty] = {}


def duty(function: Duty) -> Duty:
    """Register a function as a duty by its name, such as "erase_former_secrets"."""
    name = function.__name__
    if name in _duties and _duties[name] is not function:
        raise ValueError(f"There are two duties named {name}.")
    _duties[name] = function
    return function


def duties() -> Mapping[str, Duty]:
    """All duties in the order of their registration."""
    return MappingProxyType(_duties)


@duty
def erase_kept_answers() -> str:
    erased = KeptAnswer.erase_ended() + Tally.erase_ended()
    return f"{erased} erased" if erased else ""


@duty
def erase_left_imports() -> str:
    erased = ImportRun.erase_left_files()
    return f"{erased} erased" if erased else ""
