"""Reading for the API: rows straight from the database into what is shown, without models and compiled queries.

Making a query and its objects costs the ORM more than all the rest of a GET together. Here the statement is put
together from a few fixed texts, values travel as parameters, and every statement begins with the fleet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

type Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a model's rows of one fleet. `fields` are attributes of the model in the order in which `show` wants them.

    `filters` are conditions by their names; a value is written as %(name)s.
    """

    model: type[models.Model]
    fields: tuple[str, ...]
    show: Callable[[Row], dict[str, Any]]
    filters: Mapping[str, str]

    def one(self, fleet_id: int, **values: Any) -> Row | None:
        """The row for which all these filters hold."""
        rows = self._rows(fleet_id, values, "")
        return rows[0] if rows else None

    def after(self, fleet_id: int, after: str, limit: int, **values: Any) -> list[Row]:
        """Up to `limit` rows in the order of the ids, those behind `after`; an empty filter does not count."""
        wanted = {name: value for name, value in values.items() if value} | ({"after": after} if after else {})
        return self._rows(fleet_id, wanted, f" ORDER BY id LIMIT {int(limit)}")

    def among(self, rows: models.QuerySet[Any], after: str, limit: int) -> list[Row]:
        """The same of a query that is too seldom or too special for a fixed text, such as a search."""
        if after:
            rows = rows.filter(pk__gt=after)
        return list(rows.order_by("pk").values_list(*self.fields)[:limit])

    def of(self, instance: models.Model) -> Row:
        """The row of an instance."""
        return [getattr(instance, field) for field in self.fields]

    def _rows(self, fleet_id: int, values: Mapping[str, Any], end: str) -> list[Row]:
        conditions = ["fleet_id = %(fleet)s", *(_AFTER if name == "after" else self.filters[name] for name in values)]
        table = self.model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(self.fields)} FROM {table} WHERE {' AND '.join(conditions)}{end}",  # noqa: S608 - texts of this code
                {"fleet": fleet_id, **values},
            )
            return list(cursor.fetchall())


def from_json(value: Any) -> Any:
    """A column of JSON, which a cursor gives as text and a model as it is."""
    if not isinstance(value, str):
        return value
    return {} if value == "{}" else json.loads(value)


_AFTER = "id > %(after)s"
