"""The words of audit events: one phrase that follows the name of the actor.

The actor, such as "Mira Krüger", is shown in a column of its own or in bold before the phrase. Each language has the
whole phrase: "replaced the secret of BMW Germany (version 3 → 4)", „hat das Secret von BMW Deutschland ersetzt (Version
3 → 4)“.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from fleetcontrol.audit.models import AuditEvent

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_phrases: dict[str, StrOrPromise] = {}
_value_fields: dict[str, str] = {}
_areas: dict[str, StrOrPromise] = {}
_fields: dict[str, StrOrPromise] = {}
_values: dict[str, StrOrPromise] = {}


def register(
    *,
    phrases: Mapping[str, StrOrPromise],
    value_fields: Mapping[str, str] | None = None,
    areas: Mapping[str, StrOrPromise] | None = None,
    fields: Mapping[str, StrOrPromise] | None = None,
    values: Mapping[str, StrOrPromise] | None = None,
) -> None:
    """Add the words of an app's actions.

    `phrases` maps an action to the phrase that follows the actor's name. In a phrase, %(target)s is the name of the
    object, %(fields)s lists the changed fields, and %(before)s and %(after)s are the values of the field that
    `value_fields` names for this action. `areas` maps the first part of actions to its name in the filter of the audit
    history. `fields` and `values` name what is neither a field of a model nor one of its choices.
    """
    _phrases.update(phrases)
    _value_fields.update(value_fields or {})
    _areas.update(areas or {})
    _fields.update(fields or {})
    _values.update(values or {})


def phrases() -> Mapping[str, StrOrPromise]:
    """The phrase of every action, as registered."""
    return MappingProxyType(_phrases)


def areas() -> Mapping[str, StrOrPromise]:
    """The name of every area, by the first part of its actions."""
    return MappingProxyType(_areas)


def who(event: AuditEvent) -> str:
    """The actor's name, which precedes the phrase."""
    return event.actor_label or _("Somebody who is not signed in")


def phrase(event: AuditEvent) -> str:
    """What happened, in the reader's language. An action without a registered phrase shows its code."""
    words = _phrases.get(event.action)
    if words is None:
        words = _("%(action)s: %(target)s")
    value_field = _value_fields.get(event.action, "")
    before, after = _before_and_after(event.changes, value_field)
    return str(words) % {
        "action": event.action,
        "target": event.target_label,
        "before": value_label(event.target_kind, value_field, before),
        "after": value_label(event.target_kind, value_field, after),
        "fields": ", ".join(sorted(str(field_label(event.target_kind, field)) for field in event.changes)),
    }


def changes(event: AuditEvent) -> list[tuple[str, str, str]]:
    """The label of each changed field with its values before and after, for people."""
    rows = []
    for field in event.changes:
        pair = _before_and_after(event.changes, field)
        before, after = (value_label(event.target_kind, field, value) for value in pair)
        rows.append((capfirst(str(field_label(event.target_kind, field))), before, after))
    return rows


def field_label(kind: str, field: str) -> StrOrPromise:
    """A field's name for people; `kind` is the model's name in lower case."""
    if field in _fields:
        return _fields[field]
    for model in apps.get_models():
        if model._meta.model_name == kind:
            try:
                return getattr(model._meta.get_field(field), "verbose_name", field)
            except FieldDoesNotExist:
                break
    return field.replace("_", " ")


def value_label(kind: str, field: str, value: Any) -> str:
    """A stored value for people: the label of a choice, a list with commas, "–" for nothing."""
    if value in (None, "", [], {}):
        return "–"
    for model in apps.get_models():
        if model._meta.model_name == kind and isinstance(value, str):
            try:
                choices = dict(getattr(model._meta.get_field(field), "flatchoices", ()))
            except FieldDoesNotExist:
                break
            return str(choices.get(value, _values.get(value, value)))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {value_label('', '', item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(value_label("", "", item) for item in value)
    return str(_values.get(str(value), value))


def _before_and_after(changes: Mapping[str, Any], field: str) -> tuple[Any, Any]:
    pair = changes.get(field)
    return (pair[0], pair[1]) if isinstance(pair, list) and len(pair) == 2 else (None, pair)
