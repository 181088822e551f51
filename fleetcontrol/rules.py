"""The rules that the database holds, worded kindly: a named constraint becomes an error at the field it is about.

A model names in `field_of_rule` the field for each of its constraints; the sentence is the constraint's own
`violation_error_message`. The same words come out of a check before saving and of a race that only the database saw.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction


def check(instance: models.Model, *, exclude: Collection[str] = ()) -> dict[str, list[ValidationError]]:
    """Every error of the instance's fields and constraints, by field; empty when all is well."""
    errors: dict[str, list[ValidationError]] = {}
    try:
        instance.clean_fields(exclude=exclude)
    except ValidationError as error:
        errors |= error.error_dict
    for constraint in instance._meta.constraints:
        field = _field_of(type(instance), constraint.name)
        if field in errors:
            continue
        try:
            constraint.validate(type(instance), instance)
        except ValidationError:
            errors[field] = [_worded(constraint)]
    return errors


@contextmanager
def worded(model: type[models.Model]) -> Iterator[None]:
    """A transaction whose broken constraint of `model` is raised as the ValidationError that `check` would give."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
        for constraint in model._meta.constraints:
            if constraint.name == name:
                raise ValidationError({_field_of(model, name): [_worded(constraint)]}) from None
        raise


def _field_of(model: type[models.Model], rule: str) -> str:
    fields: dict[str, str] = getattr(model, "field_of_rule", {})
    return fields.get(rule, NON_FIELD_ERRORS)


def _worded(constraint: models.BaseConstraint) -> ValidationError:
    code = "unique" if isinstance(constraint, models.UniqueConstraint) else "invalid"
    return ValidationError(constraint.violation_error_message, code=code)


class CompositeForeignKey(models.BaseConstraint):
    """A foreign key over several columns, checked at once and not at the end of the transaction.

    `fields` and `to_fields` are field names in the same order; a NULL among the fields is allowed, as in MATCH SIMPLE.
    Django has no such constraint of its own.
    """

    def __init__(
        self,
        *,
        fields: Collection[str],
        to: str,
        to_fields: Collection[str],
        name: str,
        violation_error_message: Any = None,
    ) -> None:
        super().__init__(name=name, violation_error_message=violation_error_message)
        self.fields, self.to, self.to_fields = tuple(fields), to, tuple(to_fields)

    def create_sql(self, model: type[models.Model], schema_editor: Any) -> str:
        target = model._meta.apps.get_model(self.to)
        quote = schema_editor.quote_name
        columns, to_columns = (
            ", ".join(quote(owner._meta.get_field(field).column) for field in fields)
            for owner, fields in ((model, self.fields), (target, self.to_fields))
        )
        return (
            f"ALTER TABLE {quote(model._meta.db_table)} ADD CONSTRAINT {quote(self.name)} FOREIGN KEY ({columns}) "
            f"REFERENCES {quote(target._meta.db_table)} ({to_columns})"
        )

    def constraint_sql(self, model: type[models.Model], schema_editor: Any) -> None:
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def remove_sql(self, model: type[models.Model], schema_editor: Any) -> str:
        quote = schema_editor.quote_name
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"

    def validate(
        self,
        model: type[models.Model],
        instance: models.Model,
        exclude: Any = None,
        using: Any = None,
    ) -> None:
        """Raises ValidationError unless all fields are set and a row is there, or one of them is empty."""
        values = [getattr(instance, model._meta.get_field(field).attname) for field in self.fields]
        if None in values:
            return
        target = model._meta.apps.get_model(self.to)
        if not target._default_manager.filter(**dict(zip(self.to_fields, values, strict=True))).exists():
            raise ValidationError(self.get_violation_error_message())

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return (
            path,
            args,
            {**kwargs, "fields": self.fields, "to": self.to, "to_fields": self.to_fields},
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompositeForeignKey) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.fields))
