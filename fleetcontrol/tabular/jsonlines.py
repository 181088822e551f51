"""Read JSON Lines: one object on each line. Values become the text that a CSV cell would hold."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from django.utils.translation import gettext as _

from fleetcontrol.tabular.source import (
    UNDECODABLE,
    Cells,
    Row,
    Source,
    TabularProblem,
    header_names,
    is_deeper,
    unreadable,
)

_OBJECTS_FOR_HEADER = 1000
type _Record = tuple[int, dict[str, str] | TabularProblem]


def rows(source: Source) -> tuple[list[str], Iterator[Row]]:
    """The header, which has every key of the first 1,000 objects, and the rows."""
    records = _records(source)
    start = list(islice(records, _OBJECTS_FOR_HEADER))
    keys = {key: None for _line, record in start if isinstance(record, dict) for key in record}
    if not start:
        raise TabularProblem(1, "", _("The file is empty."))
    if not keys:
        problem = start[0][1]
        raise problem if isinstance(problem, TabularProblem) else _not_an_object(start[0][0])
    header = header_names(list(keys), start[0][0], source.limits)
    return header, _rows(chain(start, records), list(keys), source)


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
            yield line, _checked(line, keys, cells, source)


def _checked(line: int, keys: list[str], cells: Cells, source: Source) -> Cells | TabularProblem:
    most = source.limits.cell
    for key, cell in zip(keys, cells, strict=True):
        if len(cell) > most:
            reason = _("A cell must not have more than %(most)d characters.") % {"most": most}
            return TabularProblem(line, key, reason, cell)
        if not cell.isascii() and not _is_text(cell):
            reason = _("This cell holds half of a character.")
            return TabularProblem(line, key, reason, cell.encode("utf-8", "replace").decode())
    return unreadable(line, keys, cells, source.encoding) or cells


def _records(source: Source) -> Iterator[_Record]:
    for line, raw in enumerate(source.lines(), start=1):
        text = raw.strip().strip("\ufeff")
        if not text:
            continue
        if UNDECODABLE in text:
            yield line, unreadable(line, [""], [text], source.encoding) or _not_an_object(line)
            continue
        try:
            value = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_without_duplicates)
        except _DuplicateKey as error:
            yield line, TabularProblem(line, str(error), _("This object has a key twice."))
        except json.JSONDecodeError as error:
            reason = _("This line is not JSON: see its character %(position)d.")
            yield line, TabularProblem(line, "", reason % {"position": error.colno}, text)
        except RecursionError:
            yield line, TabularProblem(line, "", _("This line is nested too deeply."), text)
        else:
            yield line, _record(line, value, text, source)


def _record(line: int, value: object, text: str, source: Source) -> dict[str, str] | TabularProblem:
    if not isinstance(value, dict):
        return _not_an_object(line, text)
    if len(value) > source.limits.columns:
        reason = _("This object has more than %(most)d keys.") % {"most": source.limits.columns}
        return TabularProblem(line, "", reason)
    if any(is_deeper(cell, source.limits.levels) for cell in value.values()):
        return TabularProblem(line, "", _("This line is nested too deeply."), text)
    return {key: _text(cell) for key, cell in value.items()}


class _DuplicateKey(Exception):
    pass


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _count)] = Counter(key for key, _value in pairs).most_common(1)
        raise _DuplicateKey(twice[:100])
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


def _not_an_object(line: int, text: str = "") -> TabularProblem:
    reason = _('Each line must be one JSON object, such as {"name": "Van 7"}.')
    return TabularProblem(line, "", reason, text)
