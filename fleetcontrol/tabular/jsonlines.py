"""Read JSON Lines, one object on each line, and lists of objects and objects over several lines.

Values become the text that a CSV cell would hold. An object's line is the one on which it begins; of several that
begin on one line, each counts one line more than the one before.
"""

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from django.utils.translation import gettext as _

from fleetcontrol.tabular.header import HeaderSearch
from fleetcontrol.tabular.source import (
    LONGEST_LINE,
    UNDECODABLE,
    Cells,
    OddCells,
    Oddity,
    Row,
    Source,
    TabularProblem,
    header_names,
    is_deeper,
    readable,
)

_OBJECTS_FOR_HEADER = 1000
_SPACE = re.compile(r"[\s\ufeff]*+")
type _Record = tuple[int, dict[str, str] | TabularProblem]


def rows(source: Source, _search: HeaderSearch) -> tuple[int, list[str], Iterator[Row]]:
    """No line of a header, the header, which has every key of the first 1,000 objects, and the rows."""
    records = _records(source) if _is_by_lines(source.start()) else _records_over_lines(source)
    start = list(islice(records, _OBJECTS_FOR_HEADER))
    keys = {key: None for _line, record in start if isinstance(record, dict) for key in record}
    if not start:
        raise TabularProblem(1, "", _("The file is empty."))
    if not keys:
        problem = start[0][1]
        raise problem if isinstance(problem, TabularProblem) else _not_an_object(start[0][0])
    header = header_names(list(keys), start[0][0], source.limits)
    return 0, header, _rows(chain(start, records), list(keys), source)


def _rows(records: Iterator[_Record], keys: list[str], source: Source) -> Iterator[Row]:
    known = set(keys)
    for line, record in records:
        if isinstance(record, TabularProblem):
            yield line, record
            continue
        if unknown := next((key for key in record if key not in known), None):
            # A key may be a secret in a wrong place: it is named by its position.
            reason = _("The first objects of the file do not have key number %(number)d of this one.")
            yield line, TabularProblem(line, "", reason % {"number": list(record).index(unknown) + 1})
            continue
        cells: Cells = [record.get(key, "") for key in keys]
        if any(cells):
            yield line, _checked(cells, source)


def _checked(cells: Cells, source: Source) -> Cells:
    most = source.limits.cell
    odd = {}
    for position, cell in enumerate(cells):
        if len(cell) > most:
            odd[position] = Oddity(_("A cell must not have more than %(most)d characters.") % {"most": most})
        elif not cell.isascii() and UNDECODABLE not in cell and not _is_text(cell):
            odd[position] = Oddity(_("This cell holds half of a character."))
    cells = readable(["" if position in odd else cell for position, cell in enumerate(cells)], source.encoding)
    if isinstance(cells, OddCells):
        odd |= cells.odd
    return OddCells(cells, odd) if odd else cells


def _is_by_lines(start: str) -> bool:
    """Whether the first line with text has a whole value, or something that is wrong by itself."""
    first, end, _rest = start.lstrip().replace("\r", "\n").partition("\n")
    if first.startswith("["):
        return False
    try:
        json.loads(first)
    except json.JSONDecodeError as error:
        return not end or error.pos < len(first.rstrip())
    except RecursionError:
        pass
    return True


def _records(source: Source) -> Iterator[_Record]:
    decoder = _Decoder()
    for line, raw in enumerate(source.lines(), start=1):
        text = raw.strip().strip("\ufeff")
        if not text:
            continue
        try:
            value = decoder.decode(text)
        except json.JSONDecodeError as error:
            reason = _("This line is not JSON: see its character %(position)d.") % {"position": error.colno}
            if UNDECODABLE in text:
                reason = _("This line holds bytes that are not %(encoding)s.") % {"encoding": source.encoding}
            yield line, TabularProblem(line, "", reason)
        except RecursionError:
            yield line, TabularProblem(line, "", _("This line is nested too deeply."))
        else:
            yield line, _record(line, value, decoder, source)


def _records_over_lines(source: Source) -> Iterator[_Record]:
    """The objects of a list, or objects one after another. What is no JSON ends the file."""
    decoder = _Decoder()
    texts = source.texts()
    text = ""
    place, line, last = 0, 1, 0
    is_list = is_over = False
    while True:
        after = _SPACE.match(text, place).end()  # type: ignore[union-attr]  # matches everywhere
        line += text.count("\n", place, after)
        place = after
        if place == len(text):
            if not (text := next(texts, "")):
                break
            place = 0
        elif is_over:
            raise TabularProblem(line, "", _("The list ends before this line, but the file goes on."))
        elif text[place] == "[" and not is_list and not last:
            is_list, place = True, place + 1
        elif text[place] == "]" and is_list:
            is_over, place = True, place + 1
        elif text[place] == ",":
            place += 1
        else:
            value, text, place, end = _whole_value(decoder, text, place, texts, line)
            last = max(line, last + 1)
            yield last, _record(last, value, decoder, source)
            line += text.count("\n", place, end)
            place = end
    if is_list and not is_over:
        raise TabularProblem(line, "", _("The file ends before its list does: a part seems to be lost."))


def _whole_value(
    decoder: "_Decoder", text: str, place: int, texts: Iterator[str], line: int
) -> tuple[object, str, int, int]:
    """The value at a place of the text; the text, of which more was read if needed; where in it the value stands."""
    while True:
        try:
            value, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            if len(text) - place > LONGEST_LINE or not (more := next(texts, "")):
                reason = _("This is not JSON, or more than %(most)d characters long.") % {"most": LONGEST_LINE}
                raise TabularProblem(line + text.count("\n", place, error.pos), "", reason) from None
            text, place = text[place:] + more, 0
        except RecursionError:
            raise TabularProblem(line, "", _("This line is nested too deeply.")) from None
        else:
            return value, text, place, end


def _record(line: int, value: object, decoder: "_Decoder", source: Source) -> dict[str, str] | TabularProblem:
    if decoder.has_key_twice:
        return TabularProblem(line, "", _("This object has a key twice."))
    if not isinstance(value, dict):
        return _not_an_object(line)
    if len(value) > source.limits.columns:
        reason = _("This object has more than %(most)d keys.") % {"most": source.limits.columns}
        return TabularProblem(line, "", reason)
    if any(is_deeper(cell, source.limits.levels) for cell in value.values()):
        return TabularProblem(line, "", _("This line is nested too deeply."))
    return {key: _text(cell) for key, cell in value.items()}


class _Decoder(json.JSONDecoder):
    """Keeps numbers as they are written, and tells whether an object of the last value had a key twice."""

    def __init__(self) -> None:
        super().__init__(parse_int=str, parse_float=str, object_pairs_hook=self._object)
        self.has_key_twice = False

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        self.has_key_twice = False
        return super().raw_decode(s, idx)

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        self.has_key_twice = self.has_key_twice or len(found) != len(pairs)
        return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_an_object(line: int) -> TabularProblem:
    return TabularProblem(line, "", _('A row must be one JSON object, such as {"name": "Van 7"}.'))
