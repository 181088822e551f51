"""Pages of long lists by cursor: the rows after the last one seen, without OFFSET. Totals stop at a cap."""

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
    """The `rows` of one page. `first` and `last` are their positions in the whole list, counted from 1. `total` is
    exact up to a cap, and `capped` says that there are more. `previous` and `next` are query strings, or "".
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
    """The page that `after` or `before` in the query parameters asks for. The first page if neither is a cursor.

    `order` names fields that together are unique and never null. Either all of them have "-" in front (descending) or
    none. `cap` is the number at which the total stops counting; with 0, nothing is counted.
    """
    fields = [name.removeprefix("-") for name in order]
    backwards = "before" in params
    number, values = _read(params.get("before" if backwards else "after", ""), rows.model, fields)
    descending = order[0].startswith("-") != (backwards and values is not None)
    ordered = rows.order_by(*(f"-{name}" if descending else name for name in fields))
    if values is not None:
        ordered = ordered.filter(_beyond(fields, values, "lt" if descending else "gt"))
    page_rows = list(ordered[: size + 1])
    if values is not None and not page_rows:  # the rows at the cursor were deleted
        return page_of(rows, _without_cursor(params), order=order, size=size, cap=cap)
    more, page_rows = len(page_rows) > size, page_rows[:size]
    if values is not None and backwards:
        page_rows.reverse()
        first, has_previous, has_next = max(1, number - len(page_rows)) if more else 1, more, True
    else:
        first, has_previous, has_next = number + 1 if values is not None else 1, values is not None, more
    last = first + len(page_rows) - 1
    total, capped = _count(rows, last, cap, complete=not has_next)
    return Page(
        page_rows,
        first if page_rows else 0,
        last if page_rows else 0,
        total,
        capped,
        _link(params, "before", [first, *_values(page_rows[0], fields)]) if has_previous and page_rows else "",
        _link(params, "after", [last, *_values(page_rows[-1], fields)]) if has_next and page_rows else "",
    )


def capped_count(rows: models.QuerySet[Any], cap: int = CAP) -> int:
    """The number of rows, or cap + 1 if there are more than `cap`. The database stops counting there."""
    return rows.order_by()[: cap + 1].count()


def _count(rows: models.QuerySet[Any], last: int, cap: int, *, complete: bool) -> tuple[int, bool]:
    """The total, and whether it is only a lower bound. Needs no query if the last row is on the page."""
    if complete or not cap:
        return last, not complete
    total = capped_count(rows, cap)
    return min(total, cap), total > cap


def _beyond(fields: Sequence[str], values: Sequence[Any], comparison: str) -> Q:
    """The condition for rows beyond the cursor: (a, b) > (x, y) is a > x or (a = x and b > y)."""
    condition = Q()
    for place, name in enumerate(fields):
        same = Q(**{fields[i]: values[i] for i in range(place)})
        condition |= same & Q(**{f"{name}__{comparison}": values[place]})
    return condition


def _values(row: models.Model, fields: Sequence[str]) -> list[Any]:
    return [_field(type(row), name).value_to_string(row) for name in fields]


def _link(params: QueryDict, way: str, cursor: list[Any]) -> str:
    query = _without_cursor(params)
    query[way] = base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode().rstrip("=")
    return "?" + query.urlencode()


def _without_cursor(params: QueryDict) -> QueryDict:
    query = params.copy()
    for name in ("after", "before"):
        query.pop(name, None)
    return query


def _read(cursor: str, model: type[models.Model], fields: Sequence[str]) -> tuple[int, list[Any] | None]:
    """The row number and the values in a cursor. (0, None) for anything that is not a cursor of ours."""
    try:
        number, *values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) != len(fields) or "\x00" in "".join(values):
            return 0, None
        return int(number), [_field(model, name).to_python(value) for name, value in zip(fields, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError, ValidationError):
        return 0, None


def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)  # noqa: S101 - lists are ordered by columns of their own
    return field
