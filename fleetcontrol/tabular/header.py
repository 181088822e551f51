"""Find the header of a table among its first rows: some files begin with a title, and some have no header at all."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from django.utils.translation import gettext as _

from fleetcontrol.tabular.source import Cells, TabularProblem

type CountNames = Callable[[Sequence[str]], int]
type _Row = tuple[int, Cells | TabularProblem, *tuple[str, ...]]

_ROWS_SEARCHED = 30
_VIN = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-HJ-NPR-Za-hj-npr-z\d]{17}", re.ASCII)


class NoHeader(TabularProblem):
    """No row has names that are known, and the first one looks like no header: a person has to say where it is."""

    def __init__(self, line: int) -> None:
        words = _(
            "None of the first lines has names of columns that are known here, and this one looks like data or a "
            "title. Say on which line the header is (--header-row): 0 if there is none, and then what each column is."
        )
        super().__init__(line, "", words)


@dataclass(frozen=True)
class HeaderSearch:
    """How to find the header: on line `row`, of 0 there is none, or by the most cells that `count_names` knows.

    Without both the first row that is not empty is the header.
    """

    row: int | None = None
    count_names: CountNames | None = None

    def split[T: _Row](self, rows: Iterator[T]) -> tuple[int, Cells, Iterator[T]]:
        """The line of the header (0 for none), its cells, and the rows after it. `rows` have no empty ones.

        Raises TabularProblem: NoHeader, or for a header that cannot be read.
        """
        if self.row:
            return self._on_line(self.row, rows)
        start = list(islice(rows, _ROWS_SEARCHED))
        if not start:
            raise TabularProblem(1, "", _("The file is empty."))
        if self.row == 0:
            widths = [len(row[1]) for row in start if isinstance(row[1], list)]
            return 0, [f"column {number + 1}" for number in range(max(widths, default=1))], chain(start, rows)
        place = self._most_names(start) if self.count_names else 0
        line, cells = start[place][:2]
        if isinstance(cells, TabularProblem):
            raise cells
        after = place + 1
        if after < len(start) and self._is_head_of_two(cells, start[after][1]):
            line, cells, after = start[after][0], _merged(cells, start[after][1]), after + 1
        elif place and self._is_head_of_two(start[place - 1][1], cells):
            cells = _merged(start[place - 1][1], cells)
        return line, cells, chain(start[after:], rows)

    def _on_line[T: _Row](self, wanted: int, rows: Iterator[T]) -> tuple[int, Cells, Iterator[T]]:
        above: Cells | TabularProblem = []
        for row in rows:
            line, cells = row[:2]
            if line == wanted:
                if isinstance(cells, TabularProblem):
                    raise cells
                return line, _merged(above, cells) if self._is_head_of_two(above, cells) else cells, rows
            if line > wanted:
                break
            above = cells
        raise TabularProblem(wanted, "", _("No row of the file begins on line %(line)d.") % {"line": wanted})

    def _most_names(self, start: Sequence[_Row]) -> int:
        """The place of the row with the most known names; of the first row if none has any. Raises NoHeader."""
        assert self.count_names  # noqa: S101 - asked before
        counts = [self.count_names(row[1]) if isinstance(row[1], list) else 0 for row in start]
        place = counts.index(max(counts))
        above = [row[1] for row in start[:place]]
        if counts[place] == 1 and max(map(_filled, above), default=0) >= _filled(start[place][1]):
            place = 0  # one word among others may be anything
        for line, cells, *_raw in start[: place + 1]:
            if isinstance(cells, list) and any(map(_VIN.fullmatch, map(str.strip, cells))):
                raise NoHeader(line)
        line, cells = start[place][:2]
        if counts[place] <= 1 and isinstance(cells, list):
            below = [row[1] for row in start[place + 1 :] if isinstance(row[1], list)]
            is_title = not counts[place] and 2 * _filled(cells) <= max(map(_filled, below), default=0)
            if is_title or _looks_like_data(cells, below):
                raise NoHeader(line)
        return place

    def _is_head_of_two(self, above: Cells | TabularProblem, below: Cells | TabularProblem) -> bool:
        """Whether two rows make a header together: with merged cells each has a part of the names."""
        if self.count_names is None or isinstance(above, TabularProblem) or isinstance(below, TabularProblem):
            return False
        alone = self.count_names(above), self.count_names(below)
        return min(alone) > 0 and self.count_names(_merged(above, below)) > max(alone)


def _merged(above: Cells | TabularProblem, below: Cells | TabularProblem) -> Cells:
    """The lower cell of each column, or the upper one where the lower is empty."""
    if isinstance(above, TabularProblem) or isinstance(below, TabularProblem):
        return []
    width = max(len(above), len(below))
    rows = ((cells + [""] * width)[:width] for cells in (list(above), list(below)))
    return [low if low.strip() else high for high, low in zip(*rows, strict=True)]


def _filled(cells: Cells | TabularProblem) -> int:
    return sum(1 for cell in cells if cell.strip()) if isinstance(cells, list) else 0


def _looks_like_data(first: Cells, below: Sequence[Cells]) -> bool:
    """Whether a cell stands in a row below again, or has digits in the places where one below has them."""
    for position, cell in enumerate(map(str.strip, first)):
        others = {row[position].strip() for row in below if position < len(row)}
        if not cell:
            continue
        if cell in others or (_shape(cell) != cell and _shape(cell) in map(_shape, others)):
            return True
    return False


def _shape(text: str) -> str:
    return re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", re.sub(r"\d", "9", text))) if re.search(r"\d", text) else text
