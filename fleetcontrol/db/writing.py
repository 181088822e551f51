"""Insert one new row, as Django's `save(force_insert=True)` does, with a statement that is compiled once per model.

Compiling it for each row costs the ORM more time than the row costs the database.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection, models
from psycopg import sql

# The driver takes the values of these fields as they are; those of other fields need converting, for example to JSON.
PLAIN_FIELDS = {
    models.BigIntegerField, models.CharField, models.DateField, models.DateTimeField, models.ForeignKey,
    models.GenericIPAddressField, models.PositiveSmallIntegerField,
}  # fmt: skip


def insert(instance: models.Model) -> None:
    """Save a new instance and set its primary key if the database generates it. Raises IntegrityError.

    It sends no signals and does not fill fields that set themselves on saving (auto_now). Other values that the
    database generates, db_default among them, are fetched on first access.
    """
    statement, plain_attributes, other_fields, is_key_generated = _statement(type(instance))
    values = [getattr(instance, name) for name in plain_attributes]
    values += [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in other_fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if is_key_generated:
            (instance.pk,) = cursor.fetchone()
    for field in type(instance)._meta.concrete_fields:
        if field.has_db_default():
            instance.__dict__.pop(field.attname, None)
    instance._state.adding, instance._state.db = False, connection.alias


@cache
def _statement(model: type[models.Model]) -> tuple[str, list[str], list[models.Field[Any, Any]], bool]:
    """The INSERT of a model; its values, as plain attributes and then other fields; is its key generated."""
    meta = model._meta
    is_key_generated = isinstance(meta.pk, models.AutoField)
    fields = [
        field
        for field in meta.concrete_fields
        if not field.generated and not field.has_db_default() and not (is_key_generated and field.primary_key)
    ]
    fields.sort(key=lambda field: type(field) not in PLAIN_FIELDS)
    plain_attributes = [field.attname for field in fields if type(field) in PLAIN_FIELDS]
    columns = [sql.Identifier(str(field.column)) for field in fields]
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(meta.db_table),
        sql.SQL(", ").join(columns),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    if is_key_generated:
        statement += sql.SQL(" RETURNING {}").format(sql.Identifier(str(meta.pk.column)))
    return statement.as_string(), plain_attributes, fields[len(plain_attributes) :], is_key_generated
