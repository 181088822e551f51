"""The audit history of a fleet: a page with filters, and the same as CSV or JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from datetime import datetime, time
from typing import Any, BinaryIO

from django import forms
from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol.audit import words
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.db.copying import Utc, copied_rows
from fleetcontrol.pages.download import send
from fleetcontrol.pages.export import whole_file, write_lines
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
def export(request: FleetRequest, kind: str) -> FileResponse:
    """What the filters show, as CSV or JSON Lines. The export is an event itself."""
    events = FilterForm(request.fleet, request.GET).chosen(events_of(request.fleet)).order_by("-id")
    AuditEvent.record(request.fleet, request.actor, "audit.export", request.fleet)

    def write(file: BinaryIO, using: str) -> int:
        with closing(rows(events, using)) as found:
            if kind == "jsonl":
                return write_lines(file, json_lines(found))
            return write_lines(file, csv_lines(COLUMNS, map(cells_of, found))) - 1  # without the header

    whole = whole_file(write, may_lag=True)
    return send(whole, f"audit-{request.fleet.slug}-{timezone.localdate()}.{kind}")


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


def rows(events: QuerySet[AuditEvent], using: str) -> Generator[dict[str, Any]]:
    """The events as the export has them, from the database of this alias; memory does not grow with their number."""
    # In the order of COLUMNS.
    values = events.values_list(
        Utc("time"),
        *("actor_kind", "actor_id", "actor_label", "action", "target_kind", "target_id", "target_label"),
        *("changes", "flow_id", "address"),
    )
    for cells in copied_rows(values, using):
        row: dict[str, Any] = dict(zip(COLUMNS, cells, strict=True))
        row["changes"] = json.loads(row["changes"])
        row["address"] = row["address"] or ""
        yield row


def cells_of(row: dict[str, Any]) -> list[str]:
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value for value in row.values()]


def json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """One JSON object a line."""
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
