"""The audit history of a fleet: a page with filters, and the same as CSV or JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

from django import forms
from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol.audit import words
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.pages.paging import page_of
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Fleet, Role
from fleetcontrol.tabular import csv_lines

COLUMNS = (
    "time", "actor_kind", "actor_id", "actor", "action", "target_kind", "target_id", "target", "changes", "flow_id",
    "address",
)  # fmt: skip


class FilterForm(forms.Form):
    """What of the history is shown; anything that is not a choice is refused and shows nothing."""

    who = forms.ChoiceField(label=gettext_lazy("Person"), required=False)
    area = forms.ChoiceField(label=gettext_lazy("Area"), required=False)
    what = forms.ChoiceField(label=gettext_lazy("What"), required=False)
    since = forms.DateField(
        label=gettext_lazy("From"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    until = forms.DateField(
        label=gettext_lazy("To"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )

    flow = forms.CharField(label=gettext_lazy("Request ID"), required=False, max_length=64)

    def __init__(self, fleet: Fleet, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        gaps = dict.fromkeys(("target", "before", "after", "fields", "action"), "…")
        whats = sorted((str(phrase) % gaps, action) for action, phrase in words.phrases().items())
        choices: dict[str, list[tuple[str, Any]]] = {
            "who": [("", _("Everybody")), *people(fleet)],
            "area": [("", _("All areas")), *sorted(words.areas().items(), key=lambda area: str(area[1]))],
            "what": [("", _("Everything")), *((action, capfirst(phrase)) for phrase, action in whats)],
        }
        for name, values in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = values

    def chosen(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        if not self.is_valid():
            return events.none()
        wanted, condition = self.cleaned_data, Q()
        if wanted["who"]:
            kind, _colon, pk = wanted["who"].partition(":")
            condition &= Q(actor_kind=kind, actor_id=pk) if pk else Q(actor_kind=kind)
        if wanted["area"]:
            condition &= Q(action__startswith=f"{wanted['area']}.")
        if wanted["what"]:
            condition &= Q(action=wanted["what"])
        if wanted["since"]:
            condition &= Q(time__gte=timezone.make_aware(datetime.combine(wanted["since"], time.min)))
        if wanted["until"]:
            condition &= Q(time__lte=timezone.make_aware(datetime.combine(wanted["until"], time.max)))
        if wanted["flow"]:
            condition &= Q(flow_id=wanted["flow"])
        return events.filter(condition)


@fleet_view(Role.ADMINISTRATOR)
def index(request: FleetRequest) -> HttpResponse:
    form = FilterForm(request.fleet, request.GET)
    page = page_of(form.chosen(events_of(request.fleet)), request.GET, order=("-id",))
    exports = [(kind, request.GET.copy()) for kind in ("csv", "jsonl")]
    for _kind, query in exports:
        for name in ("after", "before"):
            query.pop(name, None)
    context = {"form": form, "page": page, "exports": {kind: query.urlencode() for kind, query in exports}}
    return render(request, "history/index.html", context)


@fleet_view(Role.ADMINISTRATOR)
def export(request: FleetRequest, kind: str) -> StreamingHttpResponse:
    """What the filters show, row by row; memory does not grow with it. The export is an event itself."""
    events = FilterForm(request.fleet, request.GET).chosen(events_of(request.fleet)).order_by("-id")
    AuditEvent.record(request.fleet, request.actor, "audit.export", request.fleet)
    rows = (row_of(event) for event in events.using(settings.EXPORT_DATABASE).iterator(chunk_size=2000))
    lines: Iterator[str] = json_lines(rows) if kind == "jsonl" else csv_lines(COLUMNS, (cells_of(row) for row in rows))
    content_type = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}[kind]
    answer = StreamingHttpResponse(lines, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="audit-{request.fleet.slug}-{timezone.localdate()}.{kind}"'
    answer["Cache-Control"] = "no-store"
    return answer


def events_of(fleet: Fleet) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(fleet_id=fleet.pk)


def people(fleet: Fleet) -> list[tuple[str, str]]:
    """Who may have done something: members, API clients, and what is no person."""
    return [
        *((f"user:{user.pk}", str(user)) for user in fleet.people.order_by("name", "email")),
        *((f"client:{pk}", _("API client %(name)s") % {"name": name}) for pk, name in clients(fleet)),
        ("command", _("Commands")),
        ("system", "FleetControl"),
        ("visitor", _("Somebody who is not signed in")),
    ]


def clients(fleet: Fleet) -> list[tuple[str, str]]:
    return [(client.client_id, client.name) for client in fleet.api_clients.order_by("name")]


def row_of(event: AuditEvent) -> dict[str, Any]:
    return {
        "time": event.time.isoformat(),
        "actor_kind": event.actor_kind,
        "actor_id": event.actor_id,
        "actor": event.actor_label,
        "action": event.action,
        "target_kind": event.target_kind,
        "target_id": event.target_id,
        "target": event.target_label,
        "changes": event.changes,
        "flow_id": event.flow_id,
        "address": event.address or "",
    }


def cells_of(row: dict[str, Any]) -> list[str]:
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for value in row.values()]


def json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """One JSON object a line."""
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
