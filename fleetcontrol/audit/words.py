"""What an audit event says to people: one phrase that follows the name of who did it.

"Mira Krüger" stands in its own column or bold in front; the phrase is whole in every language ("replaced the secret of
BMW Germany (version 3 → 4)", „hat das Secret von BMW Deutschland ersetzt (Version 3 → 4)“).
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
_telling: dict[str, str] = {}
_areas: dict[str, StrOrPromise] = {}
_fields: dict[str, StrOrPromise] = {}
_values: dict[str, StrOrPromise] = {}


def register(
    *,
    phrases: Mapping[str, StrOrPromise],
    telling: Mapping[str, str] | None = None,
    areas: Mapping[str, StrOrPromise] | None = None,
    fields: Mapping[str, StrOrPromise] | None = None,
    values: Mapping[str, StrOrPromise] | None = None,
) -> None:
    """Add the words of an app's actions.

    `phrases` maps an action to the phrase that follows the name of who did it. In it %(target)s is the object's name,
    %(fields)s the names of all changed fields, and %(before)s and %(after)s are the values of the field that `telling`
    names for the action. `areas` names the first part of actions, as the filter of the audit history shows them.
    `fields` and `values` are words for what is neither a model's field nor a choice of one.
    """
    _phrases.update(phrases)
    _telling.update(telling or {})
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
    """The name in front of the phrase."""
    return event.actor_label or _("Somebody who is not signed in")


def phrase(event: AuditEvent) -> str:
    """What happened, in the reader's language; an action without words of its own is named as it is kept."""
    words = _phrases.get(event.action)
    if words is None:
        words = _("%(action)s: %(target)s")
    before, after = _pair(event.changes, _telling.get(event.action, ""))
    return str(words) % {
        "action": event.action,
        "target": event.target_label,
        "before": shown(event.target_kind, _telling.get(event.action, ""), before),
        "after": shown(event.target_kind, _telling.get(event.action, ""), after),
        "fields": ", ".join(sorted(str(field_label(event.target_kind, field)) for field in event.changes)),
    }


def changes(event: AuditEvent) -> list[tuple[str, str, str]]:
    """Each changed field's label with its values before and after, for people."""
    rows = []
    for field in event.changes:
        before, after = (shown(event.target_kind, field, value) for value in _pair(event.changes, field))
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


def shown(kind: str, field: str, value: Any) -> str:
    """A kept value for people: the label of a choice, a list with commas, "–" for nothing."""
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
        return ", ".join(f"{key}: {shown('', '', one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(shown("", "", one) for one in value)
    return str(_values.get(str(value), value))


def _pair(made: Mapping[str, Any], field: str) -> tuple[Any, Any]:
    pair = made.get(field)
    return (pair[0], pair[1]) if isinstance(pair, list) and len(pair) == 2 else (None, pair)
