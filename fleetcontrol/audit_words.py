"""What an audit event says to people: one phrase that follows the name of who did it.

"Mira Krüger" stands in its own column or bold in front; the phrase is whole in every language ("replaced the secret of
BMW Germany (version 3 → 4)", „hat das Secret von BMW Deutschland ersetzt (Version 3 → 4)“).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol.models import AuditEvent

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# %(target)s is the object's name. %(before)s and %(after)s are the values of the field that TELLING names for the
# action; %(fields)s the names of all changed fields.
PHRASES: dict[str, StrOrPromise] = {
    "credential.add": gettext_lazy("added the credential %(target)s"),
    "credential.rotate": gettext_lazy("replaced the secret of %(target)s (version %(before)s → %(after)s)"),
    "credential.revert": gettext_lazy("went back to the former secret of %(target)s (version %(before)s → %(after)s)"),
    "credential.check": gettext_lazy("checked the connection of %(target)s"),
    "credential.change": gettext_lazy("changed %(target)s: %(fields)s"),
    "credential.remove": gettext_lazy("deleted the credential %(target)s"),
    "vehicle.add": gettext_lazy("added the vehicle %(target)s"),
    "vehicle.change": gettext_lazy("changed %(target)s: %(fields)s"),
    "vehicle.move": gettext_lazy("moved %(target)s from %(before)s to %(after)s"),
    "vehicle.remove": gettext_lazy("removed the vehicle %(target)s"),
    "fleet.add": gettext_lazy("created the fleet %(target)s"),
    "fleet.change": gettext_lazy("changed the fleet %(target)s: %(fields)s"),
    "member.add": gettext_lazy("made %(target)s a member (%(after)s)"),
    "member.change": gettext_lazy("changed the role of %(target)s (%(before)s → %(after)s)"),
    "member.remove": gettext_lazy("removed the member %(target)s"),
    "user.add": gettext_lazy("created the account of %(target)s"),
    "user.change": gettext_lazy("changed the account of %(target)s: %(fields)s"),
}
TELLING = {
    "credential.rotate": "version",
    "credential.revert": "version",
    "vehicle.move": "credential",
    "member.add": "role",
    "member.change": "role",
}


def phrase(event: AuditEvent) -> str:
    """What happened, in the reader's language; an action without words of its own is named as it is kept."""
    words = PHRASES.get(event.action)
    if words is None:
        words = _("%(action)s: %(target)s")
    before, after = _pair(event.changes, TELLING.get(event.action, ""))
    return str(words) % {
        "action": event.action,
        "target": event.target_label,
        "before": shown(event.target_kind, TELLING.get(event.action, ""), before),
        "after": shown(event.target_kind, TELLING.get(event.action, ""), after),
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
    if field == "password":
        return _("password")
    if field == "version":
        return _("version")
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
    if value == "replaced":
        return _("replaced")
    for model in apps.get_models():
        if model._meta.model_name == kind and isinstance(value, str):
            try:
                choices = dict(getattr(model._meta.get_field(field), "flatchoices", ()))
            except FieldDoesNotExist:
                break
            return str(choices.get(value, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown('', '', one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(shown("", "", one) for one in value)
    return str(value)


def _pair(made: Mapping[str, Any], field: str) -> tuple[Any, Any]:
    pair = made.get(field)
    return (pair[0], pair[1]) if isinstance(pair, list) and len(pair) == 2 else (None, pair)
