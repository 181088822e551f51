"""What a noun tells the import about its rows: its fields, how cells are cleaned, the statements that write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from django.utils import timezone

from fleetcontrol.audit.models import Actor
from fleetcontrol.imports.columns import Field
from fleetcontrol.people.models import Fleet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class OnError(StrEnum):
    """What a wrong row does: `stop` refuses the file, `skip` refuses the row."""

    STOP = "stop"
    SKIP = "skip"


class OnDuplicate(StrEnum):
    """What a row does that stands for something the fleet has already: is wrong, is left out, changes it."""

    FAIL = "fail"
    SKIP = "skip"
    UPDATE = "update"


@dataclass(frozen=True)
class Options:
    on_error: OnError = OnError.STOP
    on_duplicate: OnDuplicate = OnDuplicate.FAIL
    dry_run: bool = False


@dataclass(frozen=True)
class Key:
    """A value that is unique in the file and in the fleet.

    `values` are expressions over `r`, the row, equal where `stored`, the same over `v`, is equal. `derived` is true
    where the row did not give the value itself but it was made from another that is unique too.
    """

    field: str
    values: tuple[str, ...]
    stored: tuple[str, ...]
    in_file: StrOrPromise
    in_fleet: StrOrPromise
    derived: str = "false"

    @property
    def parts(self) -> dict[str, str]:
        """The pieces of SQL the statements above are made of; all of them are written in this project."""
        return {
            "field": self.field,
            "derived": self.derived,
            "values": ", ".join(self.values),
            "named": ", ".join(f"{value} AS k{number}" for number, value in enumerate(self.values)),
            "twice": ", ".join(f"twice.k{number}" for number in range(len(self.values))),
            "present": " AND ".join(f"{value} IS NOT NULL" for value in self.values),
            "same": " AND ".join(f"{a} = {b}" for a, b in zip(self.stored, self.values, strict=True)),
        }


_importers: dict[str, type[Importer]] = {}


def importers() -> Mapping[str, type[Importer]]:
    """The importer of each noun by its kind, in the order of their registration."""
    return MappingProxyType(_importers)


def register(importer: type[Importer]) -> None:
    """Make a noun importable by command, page and API. An app calls this when it is ready."""
    _importers[importer.kind] = importer


class Say:
    """Takes what a row's cleaning finds. In an update, what only a new row needs is said with `if_new`."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str, dict[str, str], bool, bool]] = []

    def __call__(
        self, key: str, value: str, cause: StrOrPromise, *, note: bool = False, if_new: bool = False, **params: object
    ) -> None:
        texts = {name: str(text) for name, text in params.items()}
        self.found.append((key, value[:100], str(cause), texts, note, if_new))


class Importer(ABC):
    """What one noun tells the engine about its rows."""

    kind: ClassVar[str]
    list_page: ClassVar[str]
    table: ClassVar[str]
    fields: ClassVar[Sequence[Field]]
    keys: ClassVar[Sequence[Key]]
    staging: ClassVar[str]
    """A query without rows whose columns are those that `stage` fills, in that order."""
    same_for_all: ClassVar[Sequence[str]] = ()
    """Fields that files often leave out because one value holds for all rows; pages ask for it."""

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        self.fleet = fleet
        self.actor = actor
        self.options = options
        self.given = given
        self.params: dict[str, Any] = {
            "fleet": fleet.pk,
            "time": timezone.now(),
            "actor_kind": actor.kind,
            "actor_id": actor.id,
            "actor_label": actor.label[:254],
            "flow_id": actor.flow_id,
            "address": actor.address,
        }

    @abstractmethod
    def stage(self, cells: Sequence[str], say: Say) -> Sequence[str]:
        """One row's cells, in the order of `fields`, cleaned for the temporary table; "" is nothing."""

    @abstractmethod
    def look_up(self, cursor: Any) -> None:
        """Find what rows refer to; what is not there goes into import_finding."""

    @abstractmethod
    def check_updates(self, cursor: Any) -> None:
        """Find what cannot be changed of what import_out has as target; it goes into import_finding."""

    @abstractmethod
    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        """The first rows that will change something, as [line, name, {field: [before, after]}]; secrets as words."""

    @classmethod
    @abstractmethod
    def counted(cls, count: int) -> str:
        """A number of them in words, such as "353 vehicles"."""

    @classmethod
    @abstractmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        """Values to offer for a field of `same_for_all`, each with its words; not more than a page can show."""

    @abstractmethod
    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        """Write the new rows between two pages of import_row with their audit events; how many."""

    @abstractmethod
    def update(self, cursor: Any) -> int:
        """Change what import_out marks for update, with audit events; how many differed."""
