"""The constraints of the database in words: a broken constraint becomes an error at the field that it is about.

A model's `field_of_rule` names the field of each constraint; the sentence is the constraint's own
`violation_error_message`. So validation before saving, and a race that only the database sees, end in the same words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import DatabaseError, IntegrityError, models, transaction

FOREIGN_KEY, DEADLOCK = "23503", "40P01"  # PostgreSQL's codes of errors

type Errors = dict[str, list[ValidationError]]


def require_valid(instance: models.Model, errors: Errors | None = None, *, exclude: Collection[str] = ()) -> None:
    """Raise ValidationError by field if a field is invalid or `errors` were found already.

    Only then are the constraints validated too, so that one answer holds everything. A valid instance costs no query:
    the database checks its constraints when it is saved.
    """
    found = dict(errors or {})
    try:
        instance.clean_fields(exclude=exclude)
    except ValidationError as error:
        found = error.error_dict | found
    if found:
        raise ValidationError(broken(instance, skip=found) | found)


def broken(instance: models.Model, *, skip: Collection[str] = ()) -> Errors:
    """The constraints that the instance would break, by field. Constraints on the fields in `skip` are not checked."""
    errors: Errors = {}
    for constraint in instance._meta.constraints:
        field = _field_of(type(instance), constraint.name)
        if field in skip or field in errors:
            continue
        try:
            constraint.validate(type(instance), instance)
        except ValidationError:
            errors[field] = [_worded(constraint)]
    return errors


def sqlstate_of(error: DatabaseError) -> str:
    """PostgreSQL's code of the error; "" if PostgreSQL was not asked."""
    return getattr(error.__cause__, "sqlstate", None) or ""


@contextmanager
def worded(instance: models.Model) -> Iterator[None]:
    """A transaction in which to save `instance`; a constraint that it breaks becomes a ValidationError by field."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
        for constraint in instance._meta.constraints:
            if constraint.name == name:
                # The conflicting row may be gone by now: then only the constraint that refused is left to report.
                refused = {_field_of(type(instance), name): [_worded(constraint)]}
                raise ValidationError(refused | broken(instance)) from None
        raise


def _field_of(model: type[models.Model], rule: str) -> str:
    fields: dict[str, str] = getattr(model, "field_of_rule", {})
    return fields.get(rule, NON_FIELD_ERRORS)


def _worded(constraint: models.BaseConstraint) -> ValidationError:
    code = "unique" if isinstance(constraint, models.UniqueConstraint) else "invalid"
    return ValidationError(constraint.get_violation_error_message(), code=code)


class CompositeForeignKey(models.BaseConstraint):
    """A foreign key over several columns, checked by each statement and not at the end of the transaction.

    `fields` and `to_fields` are field names in the same order. A NULL in any of the fields satisfies the constraint, as
    in MATCH SIMPLE. Django has no such constraint of its own.
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

    def create_sql(self, model: Any, schema_editor: Any) -> str:
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

    def constraint_sql(self, model: Any, schema_editor: Any) -> str:
        """Nothing inside CREATE TABLE: a statement of its own adds the constraint afterwards."""
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))
        return ""

    def remove_sql(self, model: Any, schema_editor: Any) -> str:
        quote = schema_editor.quote_name
        return f"ALTER TABLE {quote(model._meta.db_table)} DROP CONSTRAINT {quote(self.name)}"

    def validate(self, model: Any, instance: models.Model, exclude: Any = None, using: Any = None) -> None:
        """Raise ValidationError if all fields are set and the row that they refer to does not exist."""
        values = [getattr(instance, model._meta.get_field(field).attname) for field in self.fields]
        if None in values:
            return
        target = model._meta.apps.get_model(self.to)
        if not target._default_manager.filter(**dict(zip(self.to_fields, values, strict=True))).exists():
            raise ValidationError(self.get_violation_error_message())

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "fields": self.fields, "to": self.to, "to_fields": self.to_fields}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompositeForeignKey) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.fields))
