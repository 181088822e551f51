"""The audit history of a fleet: a page with filters, and its content as CSV or JSON Lines."""

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
from fleetcontrol.people.confirmation import confirm, fresh_sign_in
from fleetcontrol.people.models import Fleet, Role
from fleetcontrol.tabular import csv_lines

COLUMNS = (
    "time", "actor_kind", "actor_id", "actor", "action", "target_kind", "target_id", "target", "changes", "flow_id",
    "address",
)  # fmt: skip


class FilterForm(forms.Form):
    """Filters of the history. A value that is not one of the choices is an error, and then no event is shown."""

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
        blanks = dict.fromkeys(("target", "before", "after", "fields", "action"), "…")
        actions = sorted((str(phrase) % blanks, action) for action, phrase in words.phrases().items())
        choices: dict[str, list[tuple[str, Any]]] = {
            "who": [("", _("Everybody")), *actors_of(fleet)],
            "area": [("", _("All areas")), *sorted(words.areas().items(), key=lambda area: str(area[1]))],
            "what": [("", _("Everything")), *((action, capfirst(phrase)) for phrase, action in actions)],
        }
        for name, values in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = values

    def apply(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        if not self.is_valid():
            return events.none()
        filters, condition = self.cleaned_data, Q()
        if filters["who"]:
            kind, _colon, pk = filters["who"].partition(":")
            condition &= Q(actor_kind=kind, actor_id=pk) if pk else Q(actor_kind=kind)
        if filters["area"]:
            condition &= Q(action__startswith=f"{filters['area']}.")
        if filters["what"]:
            condition &= Q(action=filters["what"])
        if filters["since"]:
            condition &= Q(time__gte=timezone.make_aware(datetime.combine(filters["since"], time.min)))
        if filters["until"]:
            condition &= Q(time__lte=timezone.make_aware(datetime.combine(filters["until"], time.max)))
        if filters["flow"]:
            condition &= Q(flow_id=filters["flow"])
        return events.filter(condition)


@fleet_view(Role.ADMINISTRATOR)
def index(request: FleetRequest) -> HttpResponse:
    form = FilterForm(request.fleet, request.GET)
    page = page_of(form.apply(events_of(request.fleet)), request.GET, order=("-id",))
    exports = [(kind, request.GET.copy()) for kind in ("csv", "jsonl")]
    for _kind, query in exports:
        for name in ("after", "before"):
            query.pop(name, None)
    context = {"form": form, "page": page, "exports": {kind: query.urlencode() for kind, query in exports}}
    return render(request, "history/index.html", context)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def export(request: FleetRequest, kind: str) -> FileResponse:
    """What the filters show, as CSV or JSON Lines. The export is an event itself."""
    confirm(request)
    events = FilterForm(request.fleet, request.GET).apply(events_of(request.fleet)).order_by("-id")
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


def actors_of(fleet: Fleet) -> list[tuple[str, str]]:
    """Everybody who may have done something: members, API clients, commands, FleetControl itself, visitors."""
    return [
        *((f"user:{user.pk}", str(user)) for user in fleet.people.order_by("name", "email")),
        *(
            (f"client:{client.client_id}", _("API client %(name)s") % {"name": client.name})
            for client in fleet.api_clients.order_by("name")
        ),
        ("command", _("Commands")),
        ("system", "FleetControl"),
        ("visitor", _("Somebody who is not signed in")),
    ]


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
