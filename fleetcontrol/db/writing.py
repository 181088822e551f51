"""Writing one new row: as Django's `save(force_insert=True)`, with a statement that is made once for each model.

Making it each time costs the ORM more than the row costs the database.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection, models
from psycopg import sql

# Values of these go to the driver as they are; those of others are turned into what it takes, such as JSON.
AS_THEY_ARE = {
    models.BigIntegerField, models.CharField, models.DateField, models.DateTimeField, models.ForeignKey,
    models.GenericIPAddressField, models.PositiveSmallIntegerField,
}  # fmt: skip


def insert(instance: models.Model) -> None:
    """Save a new instance and set its primary key where the database gives it. Raises IntegrityError.

    No signals are sent, and fields that would set themselves on saving (auto_now) are not. What the database generates
    besides the key is read when it is asked for.
    """
    statement, plain, others, given = _statement(type(instance))
    values = [getattr(instance, name) for name in plain]
    values += [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in others]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if given:
            (instance.pk,) = cursor.fetchone()
    instance._state.adding, instance._state.db = False, connection.alias


@cache
def _statement(model: type[models.Model]) -> tuple[str, list[str], list[models.Field[Any, Any]], bool]:
    """The INSERT of a model, what its values are: attributes, then fields; and whether the database gives the key."""
    meta = model._meta
    given = isinstance(meta.pk, models.AutoField)
    fields = [field for field in meta.concrete_fields if not field.generated and not (given and field.primary_key)]
    fields.sort(key=lambda field: type(field) not in AS_THEY_ARE)
    plain = [field.attname for field in fields if type(field) in AS_THEY_ARE]
    columns = [sql.Identifier(str(field.column)) for field in fields]
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(meta.db_table),
        sql.SQL(", ").join(columns),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    if given:
        statement += sql.SQL(" RETURNING {}").format(sql.Identifier(str(meta.pk.column)))
    return statement.as_string(), plain, fields[len(plain) :], given
