"""What a noun tells the import: its fields, how to clean cells, which values are unique, and the SQL that writes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.imports.columns import Columns, Field, UnknownColumn, names_counter
from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular.dates import read_date
from fleetcontrol.tabular.words import folded, in_every_language

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


ROWS_COMPARED = 50
"""The first rows of a file by which `Importer.without_foreign` tells what a column means."""


class OnError(StrEnum):
    """What a wrong row causes: `stop` refuses the whole file, `skip` refuses that row."""

    STOP = "stop"
    SKIP = "skip"


class OnDuplicate(StrEnum):
    """What happens to a row that the fleet has already: `fail` calls it wrong, `skip` omits it, `update` applies it."""

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

    `values` are SQL expressions over `r`, the row; `stored` are the matching ones over `v`, what the fleet has.
    `in_file` and `in_fleet` say that the value is taken. `derived` is an SQL condition: true where the file does not
    give the value and it comes from another one that is unique too; the sentences `derived_in_file` and
    `derived_in_fleet` then say so.
    """

    field: str
    values: tuple[str, ...]
    stored: tuple[str, ...]
    in_file: StrOrPromise
    in_fleet: StrOrPromise
    derived: str = "false"
    derived_in_file: StrOrPromise = ""
    derived_in_fleet: StrOrPromise = ""

    @property
    def parts(self) -> dict[str, str]:
        """The pieces of SQL that the statements of `checks` are made of; all of them are written in this project."""
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


def register(importer: type[Importer]) -> None:
    """Make a noun importable by command, page and API. An app calls this when it is ready."""
    _importers[importer.kind] = importer


def importers() -> Mapping[str, type[Importer]]:
    """The importer of each noun by its kind, in the order in which pages offer them."""
    return {one.kind: one for one in sorted(_importers.values(), key=lambda one: one.order)}


class RowFindings:
    """Collects the findings of one row. Pass `if_new=True` for a field that only a new row must have.

    A finding holds the value of a field that is in `shown`, and of no other: a secret may stand in a wrong column.
    """

    def __init__(self, shown: Collection[str] = ()) -> None:
        self._shown = frozenset(shown)
        self.collected: list[tuple[str, str, str, dict[str, str], bool, bool]] = []

    def add(
        self, key: str, value: str, cause: StrOrPromise, *, note: bool = False, if_new: bool = False, **params: object
    ) -> None:
        """Add a finding about a field. `cause` is the sentence, with placeholders for `params`."""
        texts = {name: str(text) for name, text in params.items()}
        value = value[:100] if key in self._shown else ""
        self.collected.append((key, value, str(cause), texts, note, if_new))


class FieldCleaner:
    """Cleans cells with the fields of a model, each text once: files repeat the same few texts in many rows."""

    def __init__(self, model: type[models.Model], *, texts_kept: int) -> None:
        self._model = model
        self._cleaned = lru_cache(maxsize=texts_kept)(self._clean_anew)

    def clean(self, key: str, text: str, findings: RowFindings) -> str:
        """The text as the field has it. If the field refuses it, add the field's own sentence and return ""."""
        try:
            return self._cleaned(key, text)
        except ValidationError as error:
            findings.add(key, text, _sentence_of(error))
            return ""

    def takes(self, key: str, text: str) -> bool:
        """Whether the field takes this text."""
        try:
            self._cleaned(key, text)
        except ValidationError:
            return False
        return True

    def _clean_anew(self, key: str, text: str) -> str:
        field: Any = self._model._meta.get_field(key)
        if field.choices:
            return _choice_of(field.choices, text)
        if isinstance(field, models.DateField):
            return read_date(text).isoformat()
        return str(field.clean(text, None))


def _choice_of(choices: Iterable[tuple[str, StrOrPromise]], text: str) -> str:
    """The choice that a text names by its value or by its label in any language. Raises ValidationError."""
    choices = list(choices)
    for value, label in choices:
        if folded(text) in (folded(value), *in_every_language(label)):
            return value
    known = ", ".join(f"{value} ({label})" for value, label in choices)
    raise ValidationError(_("This is none of the choices: %(known)s."), params={"known": known})


def _sentence_of(error: ValidationError) -> str:
    """The first sentence of an error, without the value that some of Django's sentences repeat."""
    first = error.error_list[0]
    if not first.params:
        return str(first.message)
    return str(first.message % {name: "…" if name == "value" else text for name, text in first.params.items()})


class Importer(ABC):
    """What one noun tells the import about its rows. One instance imports one file."""

    kind: ClassVar[str]
    label: ClassVar[StrOrPromise]
    """What a file holds, such as "Vehicles"."""
    hint: ClassVar[StrOrPromise]
    """A sentence that explains the label where people choose."""
    order: ClassVar[int]
    """The noun's place among those that people choose from."""
    command: ClassVar[str]
    """The management command that imports a file of any size."""
    list_page: ClassVar[str]
    """The URL name of the page that lists what was imported."""
    table: ClassVar[str]
    fields: ClassVar[Sequence[Field]]
    keys: ClassVar[Sequence[Key]]
    several_targets: ClassVar[StrOrPromise] = ""
    """What to say of a row whose keys belong to different rows of the fleet; needless for a single key."""
    row_query: ClassVar[str]
    """A query whose columns are those of the temporary table after its own two, in the order of `clean_row`."""
    same_for_all: ClassVar[Sequence[str]] = ()
    """Fields that files often leave out because one value holds for all rows; pages ask for that value."""

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        self.fleet = fleet
        self.actor = actor
        self.options = options
        self.given = given
        self.is_update = options.on_duplicate is OnDuplicate.UPDATE
        self.params = AuditEvent.sql_params(fleet.pk, actor)

    @abstractmethod
    def clean_row(self, cells: Sequence[str], findings: RowFindings) -> Sequence[str]:
        """Clean a row's cells, which come in the order of `fields`, for the temporary table; "" becomes NULL."""

    @abstractmethod
    def look_up(self, cursor: Any) -> None:
        """Find what the rows refer to; write what is missing to import_finding."""

    @abstractmethod
    def add_notes(self, cursor: Any) -> None:
        """Write to import_finding what a person should know that refuses no row and takes more than one row to see."""

    @abstractmethod
    def check_updates(self, cursor: Any) -> None:
        """Write to import_finding what the rows that import_verdict marks for update must not change."""

    @abstractmethod
    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        """The first rows that will change something, as [line, name, {field: [before, after]}]; of secrets a word."""

    @classmethod
    @abstractmethod
    def counted(cls, count: int) -> str:
        """A number of them in words, such as "353 vehicles"."""

    @classmethod
    @abstractmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        """The values to offer for a field of `same_for_all`, each with its label; no more than a page can show."""

    @classmethod
    @abstractmethod
    def known(cls, fleet: Fleet, key: str, text: str) -> str:
        """The value of a field of `same_for_all` that the text means, such as a brand's id; "" if it means none."""

    @classmethod
    def read(
        cls,
        file: BinaryIO,
        *,
        format: str = "",
        encoding: str = "",
        header_row: int | None = None,
        limits: tabular.Limits | None = None,
    ) -> tabular.Table:
        """`tabular.read` that finds the header by the names of the noun's fields."""
        names = names_counter(cls.fields)
        return tabular.read(
            file, format=format, encoding=encoding, header_row=header_row, count_names=names, limits=limits
        )

    @classmethod
    def shown_fields(cls) -> frozenset[str]:
        """The fields whose cells may be shown as they are, even wrong ones."""
        return frozenset(one.key for one in cls.fields if one.is_shown)

    @classmethod
    def means(cls, key: str, text: str) -> bool:
        """Whether a cell means something to a field that knows only a few words; True for all other fields."""
        return True

    @classmethod
    def without_foreign(
        cls, columns: Columns, rows: Iterable[tabular.Row], chosen: Collection[str]
    ) -> tuple[Columns, list[str]]:
        """The columns without those that only bear a field's name, and a sentence about each of these.

        Most of the first values of such a column mean nothing to the field. A column stays that a person chose, or that
        has the field's own key for a name.
        """
        kept, notes = dict(columns.positions), []
        for key, position in columns.positions.items():
            if key in chosen or folded(columns.header[position]) == folded(key):
                continue
            texts = [cells[position] for _line, cells in rows if isinstance(cells, list) and cells[position].strip()]
            if sum(not cls.means(key, text) for text in texts) * 2 > len(texts):
                del kept[key]
                words = _(
                    "“%(column)s” is left out: most of its values mean nothing for “%(field)s”. If it is meant, map it "
                    "to %(key)s."
                )
                notes.append(words % {"column": columns.name_at(position), "field": cls.label_of(key), "key": key})
        return replace(columns, positions=kept), notes

    @classmethod
    def lacking(cls, given: Collection[str], constants: Mapping[str, str], on_duplicate: OnDuplicate) -> str:
        """The key of a field that every row needs and that neither a column nor a value for all rows gives, or ""."""
        return ""

    @classmethod
    def require_columns(cls, columns: Columns, on_duplicate: OnDuplicate, *, instead: StrOrPromise) -> None:
        """Raise UnknownColumn for a field that every row would lack: it is told once, and not of each row.

        `instead` is a sentence that says how to give it, with a placeholder for its key.
        """
        if key := cls.lacking(columns.given, columns.constants, on_duplicate):
            words = _("The file has no column for “%(field)s”. %(instead)s")
            raise UnknownColumn(words % {"field": cls.label_of(key), "instead": instead % {"key": key}})

    @classmethod
    def label_of(cls, key: str) -> str:
        """What people call a field. The header of a column that is no field stays as it is."""
        return next((str(one.label) for one in cls.fields if one.key == key), key)

    @abstractmethod
    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        """Write the new rows between two pages of import_row, with their audit events; return how many."""

    @abstractmethod
    def update(self, cursor: Any) -> int:
        """Change what import_verdict marks for update, with audit events; return how many rows differed."""
