"""Pages of long lists by cursor: the rows after the last one seen, no OFFSET; a total that stops counting at a cap."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.http import QueryDict

SIZE = 50
CAP = 10_000


@dataclass(frozen=True, slots=True)
class Page[M: models.Model]:
    """`rows` of one page. `first` and `last` are their places in the whole, from 1; `total` is exact up to a cap, and
    `capped` says that there are more. `previous` and `next` are query strings, or "".
    """

    rows: Sequence[M]
    first: int
    last: int
    total: int
    capped: bool
    previous: str
    next: str


def page_of[M: models.Model](
    rows: models.QuerySet[M], params: QueryDict, *, order: Sequence[str] = ("name",), size: int = SIZE, cap: int = CAP
) -> Page[M]:
    """The page that `after` or `before` among the query parameters asks for; the first one when neither is a cursor.

    `order` names fields that together are unique and never null, with "-" in front when they fall; all fall or none.
    `cap` is where the total stops counting; 0 for not counting at all.
    """
    fields = [name.removeprefix("-") for name in order]
    backwards = "before" in params
    number, values = _read(params.get("before" if backwards else "after", ""), rows.model, fields)
    falling = order[0].startswith("-") != (backwards and values is not None)
    found = rows.order_by(*(f"-{name}" if falling else name for name in fields))
    if values is not None:
        found = found.filter(_beyond(fields, values, "lt" if falling else "gt"))
    shown = list(found[: size + 1])
    if values is not None and not shown:  # what stood there is gone
        return page_of(rows, _without_cursor(params), order=order, size=size, cap=cap)
    more, shown = len(shown) > size, shown[:size]
    if values is not None and backwards:
        shown.reverse()
        first, has_previous, has_next = max(1, number - len(shown)) if more else 1, more, True
    else:
        first, has_previous, has_next = number + 1 if values is not None else 1, values is not None, more
    last = first + len(shown) - 1
    total, capped = _count(rows, last, cap, complete=not has_next)
    return Page(
        shown,
        first if shown else 0,
        last if shown else 0,
        total,
        capped,
        _link(params, "before", [first, *_values(shown[0], fields)]) if has_previous and shown else "",
        _link(params, "after", [last, *_values(shown[-1], fields)]) if has_next and shown else "",
    )


def capped_count(rows: models.QuerySet[Any], cap: int = CAP) -> int:
    """How many rows there are, cap + 1 for more than cap: the database stops counting there."""
    return rows.order_by()[: cap + 1].count()


def _count(rows: models.QuerySet[Any], last: int, cap: int, *, complete: bool) -> tuple[int, bool]:
    """The total and whether it is only a lower bound; no query where the last row is on the page."""
    if complete or not cap:
        return last, not complete
    total = capped_count(rows, cap)
    return min(total, cap), total > cap


def _beyond(fields: Sequence[str], values: Sequence[Any], comparison: str) -> Q:
    """Rows behind the cursor: (a, b) > (x, y) is a > x or (a = x and b > y)."""
    condition = Q()
    for place, name in enumerate(fields):
        same = Q(**{fields[i]: values[i] for i in range(place)})
        condition |= same & Q(**{f"{name}__{comparison}": values[place]})
    return condition


def _values(row: models.Model, fields: Sequence[str]) -> list[Any]:
    return [_field(type(row), name).value_to_string(row) for name in fields]


def _link(params: QueryDict, way: str, cursor: list[Any]) -> str:
    kept = _without_cursor(params)
    kept[way] = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    return "?" + kept.urlencode()


def _without_cursor(params: QueryDict) -> QueryDict:
    kept = params.copy()
    for name in ("after", "before"):
        kept.pop(name, None)
    return kept


def _read(cursor: str, model: type[models.Model], fields: Sequence[str]) -> tuple[int, list[Any] | None]:
    """The row number and values in a cursor; (0, None) for one that nobody was given."""
    try:
        number, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) != len(fields) or "\x00" in "".join(values):
            return 0, None
        return int(number), [_field(model, name).to_python(value) for name, value in zip(fields, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, ValidationError):
        return 0, None


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)  # noqa: S101 - an order of its own columns
    return field
