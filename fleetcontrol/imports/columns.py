"""Which column of a file fills which field: by its header, by a person's choice, or one value for all rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Field:
    """A value a row may have. `names` are other headers it goes by, without case, spaces and marks."""

    key: str
    label: StrOrPromise
    names: str = ""
    is_secret: bool = False


@dataclass(frozen=True)
class Columns:
    """Which column of the file fills which field. `constants` fill a field with one value for all rows."""

    header: Sequence[str]
    columns: Mapping[str, int]
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> frozenset[str]:
        return frozenset(self.columns) | frozenset(self.constants)

    def picker(self, fields: Sequence[Field]) -> Callable[[list[str]], tuple[str, ...]]:
        """A function from a row's cells to the fields' values, in their order."""
        extra = ["", *self.constants.values()]
        width = len(self.header)
        places = {key: width + 1 + number for number, key in enumerate(self.constants)} | dict(self.columns)
        pick = itemgetter(*(places.get(one.key, width) for one in fields))
        return lambda cells: pick(cells + extra)

    def name_of(self, key: str) -> str:
        """What a person calls the field: the column's header, or the field's own name. "=x" is header x."""
        if key.startswith("="):
            return key[1:]
        return self.header[self.columns[key]] if key in self.columns else key


class UnknownColumn(ValueError):
    """A field or column that was named does not exist; the message is a sentence that names those that do."""


def plain(text: str) -> str:
    """A header without what people write differently: case, spaces, marks and umlauts."""
    text = text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text)))


def match(
    fields: Sequence[Field],
    header: Sequence[str],
    chosen: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> Columns:
    """The columns for a header. `chosen` names a column for a field, "" for none; `constants` set a field's value.

    A choice goes before the header's own names, and a column that was chosen for one field fills no other.
    Raises UnknownColumn.
    """
    chosen, constants = dict(chosen or {}), dict(constants or {})
    keys = {plain(name): one.key for one in fields for name in (one.key, *one.names.split())}
    for key in (*chosen, *constants):
        if key not in {one.key for one in fields}:
            known = ", ".join(one.key for one in fields)
            raise UnknownColumn(
                _("There is no field “%(key)s”. The fields are: %(known)s.") % {"key": key, "known": known}
            )
    places: dict[str, int] = {}
    for key, column in chosen.items():
        if column:
            places[key] = _place(header, column)
    taken = set(places.values())
    for place, name in enumerate(header):
        key = keys.get(plain(name), "")
        if key and key not in places and key not in chosen and place not in taken:
            places[key] = place
    for key in constants:
        places.pop(key, None)
    return Columns(header, places, constants)


def pairs(name: str, texts: Sequence[str]) -> dict[str, str]:
    """What "FIELD=TEXT" means, several times over. `name` is what a person calls the choice. Raises UnknownColumn."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UnknownColumn(_("%(flag)s takes FIELD=TEXT, not “%(text)s”.") % {"flag": name, "text": text[:100]})
        found[key.strip()] = value.strip()
    return found


def unused(columns: Columns) -> list[str]:
    """The named columns of the file that fill no field."""
    used = set(columns.columns.values())
    return [name for place, name in enumerate(columns.header) if name and place not in used]


def _place(header: Sequence[str], column: str) -> int:
    wanted = column.strip().casefold()
    for place, name in enumerate(header):
        if name.casefold() == wanted:
            return place
    known = ", ".join(filter(None, header))
    raise UnknownColumn(
        _("The file has no column “%(column)s”. Its columns are: %(known)s.") % {"column": column, "known": known}
    )
