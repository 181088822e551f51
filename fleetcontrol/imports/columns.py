"""Which column of a file fills which field: by its header, by a person's choice, or one value for all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from fleetcontrol.tabular import Limits, OddCells, unescaped, without_text_marker
from fleetcontrol.tabular.words import folded, in_every_language

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


REFUSED_COLUMNS = ("line", "reason")
"""The columns that a file of refused rows has before those of the file."""


@dataclass(frozen=True)
class Field:
    """A value that a row may have.

    `names` are other headers for it, folded, the likeliest first. Its label is a header in every language. `is_shown`
    lets pages and reports show a cell of it as the file has it, even one that is wrong. `is_date` takes what a
    spreadsheet made a date.
    """

    key: str
    label: StrOrPromise
    names: str = ""
    is_secret: bool = False
    is_shown: bool = False
    is_date: bool = False

    @property
    def headers(self) -> list[str]:
        """The folded headers that mean this field besides its key, the likeliest first."""
        return [*in_every_language(self.label), *self.names.split()]


@dataclass(frozen=True)
class Columns:
    """Which column of the file fills which field, by position. `constants` give a field one value for all rows.

    `known` are the positions whose header is a name of a field. Any other header may be anything, also a secret of a
    file without a header, and is shown to nobody but who sent the file.
    """

    header: Sequence[str]
    positions: Mapping[str, int]
    constants: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[int] = frozenset()

    @property
    def given(self) -> frozenset[str]:
        """The fields that have a value from the file or for all rows."""
        return frozenset(self.positions) | frozenset(self.constants)

    @property
    def is_own_export(self) -> bool:
        """Whether the file has the header of an export of ours."""
        return "id" in self.header and all(self.header[position] == key for key, position in self.positions.items())

    def odd_cells(self, fields: Sequence[Field], cells: OddCells) -> Iterator[tuple[str, str, str]]:
        """The key, the text and what is wrong of each cell that its field cannot take as it is."""
        for one in fields:
            odd = cells.odd.get(self.positions.get(one.key, -1))
            if odd and not (odd.is_date and one.is_date):
                yield one.key, cells[self.positions[one.key]], odd.reason

    def picker(self, fields: Sequence[Field], *, unmark: bool = False) -> Callable[[list[str]], tuple[str, ...]]:
        """A function that takes a row's cells and returns the values of the fields, in their order.

        `unmark` takes off what exporters add to CSV for spreadsheets, but never from a secret.
        """
        extra = ["", *self.constants.values()]
        width = len(self.header)
        positions = {key: width + 1 + number for number, key in enumerate(self.constants)} | dict(self.positions)
        pick = itemgetter(*(positions.get(one.key, width) for one in fields))
        if not unmark:
            return lambda cells: pick(cells + extra)
        sign, unmarked = ("'", unescaped) if self.is_own_export else ('="', without_text_marker)
        exact = [one.is_secret or positions.get(one.key, width) >= width for one in fields]

        def pick_unmarked(cells: list[str]) -> tuple[str, ...]:
            values: tuple[str, ...] = pick(cells + extra)
            if sign not in "".join(values):
                return values
            return tuple([value if exact[n] else unmarked(value) for n, value in enumerate(values)])

        return pick_unmarked

    def name_of(self, key: str) -> str:
        """What a person calls the field: the header of its column if that is a known name, else the field's key."""
        position = self.positions.get(key, -1)
        return self.header[position] if position in self.known else key

    def name_at(self, position: int) -> str:
        """The header of a column if it is a known name, else the key of its field, else "column 3"."""
        if position in self.known:
            return self.header[position]
        keys = {place: key for key, place in self.positions.items()}
        return keys.get(position) or _("column %(number)d") % {"number": position + 1}


class UnknownColumn(ValueError):
    """A field or column does not exist; the message is a sentence that names those that do."""


def match_columns(
    fields: Sequence[Field],
    header: Sequence[str],
    chosen: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
) -> Columns:
    """Match the columns of a file to fields by their headers.

    `chosen` names the column of a field, "" for none, and outranks the headers; a column chosen for one field fills no
    other. `constants` give fields one value for all rows. Raises UnknownColumn.
    """
    chosen, constants = dict(chosen or {}), dict(constants or {})
    for key in (*chosen, *constants):
        if key not in {one.key for one in fields}:
            known = ", ".join(one.key for one in fields)
            raise UnknownColumn(_("This is no field. The fields are: %(known)s.") % {"known": known})
    positions: dict[str, int] = {}
    for key, column in chosen.items():
        if column:
            positions[key] = _position_of(key, column, header)
    open_fields = [one for one in fields if one.key not in chosen]
    free = [(position, name) for position, name in enumerate(header) if position not in positions.values()]
    positions |= _by_header(open_fields, free)
    for position in positions.values():
        if [name.casefold() for name in header].count(header[position].casefold()) > 1:
            raise UnknownColumn(
                _("The header names the column “%(name)s” twice, so it is not clear which one to import.")
                % {"name": header[position][:100]}
            )
    for key in constants:
        positions.pop(key, None)
    is_known = _known_names(fields)
    own = [place for place, name in enumerate(header) if is_known(name)]
    return Columns(header, positions, constants, frozenset(own))


def names_counter(fields: Sequence[Field]) -> Callable[[Sequence[str]], int]:
    """A function that counts the cells of a row that are headers of fields, for `tabular.read`."""
    is_known = _known_names(fields)
    return lambda cells: sum(1 for cell in cells if len(cell) <= Limits.name and is_known(cell))


def _known_names(fields: Sequence[Field]) -> Callable[[str], bool]:
    names = {name for one in fields for name in (folded(one.key), *one.headers)}
    return lambda name: folded(name) in names or name in REFUSED_COLUMNS


def proposed(fields: Sequence[Field], header: Sequence[str]) -> Columns:
    """The columns that fill fields by their headers, for a person to confirm; of two equal headers neither."""
    names = [name.casefold() for name in header]
    clear = [name if names.count(name.casefold()) == 1 else "" for name in header]
    return replace(match_columns(fields, clear), header=header)


def parse_pairs(name: str, texts: Sequence[str]) -> dict[str, str]:
    """Parse texts of the form FIELD=TEXT. `name` is what people call the option.

    Raises UnknownColumn, which does not repeat the text: it may be a secret.
    """
    found = {}
    for number, text in enumerate(texts, start=1):
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            words = _("%(flag)s takes FIELD=TEXT. Number %(number)d of them has another form.")
            raise UnknownColumn(words % {"flag": name, "number": number})
        found[key.strip()] = value.strip()
    return found


def refuse_secrets(fields: Sequence[Field], keys: Iterable[str], *, instead: str) -> None:
    """Raise UnknownColumn if one of the keys is a secret field: its value would stay in an address or a history.

    `instead` is a sentence that says where a secret goes.
    """
    for one in fields:
        if one.is_secret and one.key in keys:
            words = _("“%(key)s” is a secret and is not taken here. %(instead)s")
            raise UnknownColumn(words % {"key": one.key, "instead": instead})


def unused_columns(columns: Columns) -> list[str]:
    """The named columns of the file that fill no field, as `name_at` calls them."""
    used = set(columns.positions.values())
    unused = [position for position, name in enumerate(columns.header) if name and position not in used]
    return [columns.name_at(position) for position in unused]


def _by_header(fields: Sequence[Field], columns: Sequence[tuple[int, str]]) -> dict[str, int]:
    """The position of each field's likeliest column, which fills no other field."""
    found: dict[str, int] = {}
    for position, name in columns:
        found.setdefault(folded(name), position)
    positions = {}
    for one in fields:  # a field's key is its surest header
        if folded(one.key) in found:
            positions[one.key] = found.pop(folded(one.key))
    for one in fields:
        name = next((name for name in one.headers if name in found), "")
        if name and one.key not in positions:
            positions[one.key] = found.pop(name)
    return positions


def _position_of(key: str, column: str, header: Sequence[str]) -> int:
    wanted = column.strip().casefold()
    for position, name in enumerate(header):
        if name.casefold() == wanted:
            return position
    words = _("The file has no column of the name that was given for “%(key)s”. Compare it with the file's header.")
    raise UnknownColumn(words % {"key": key})
