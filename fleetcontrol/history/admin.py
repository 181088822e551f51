"""The audit trail in the Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit import words
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.pages.admin_site import VerbAdmin
from fleetcontrol.people.admin import FleetFilter
from fleetcontrol.people.models import Fleet


class EventFleetFilter(FleetFilter):
    """`FleetFilter` for events, which store their fleet as an id."""

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        return queryset.filter(fleet_id=self.value()) if (self.value() or "").isdigit() else queryset


@admin.register(AuditEvent)
class AuditEventAdmin(VerbAdmin):
    """Read only. A trigger refuses changes anyway."""

    list_display = ("time", "fleet_name", "actor_label", "what", "address")
    list_filter = (EventFleetFilter,)
    search_fields = ("target_id__exact",)
    search_help_text = _("Search for the ID of a credential, vehicle or person.")
    ordering = ("-id",)
    fields = (
        "time",
        "fleet_name",
        "actor_kind",
        "actor_id",
        "actor_label",
        "what",
        "differences",
        "flow_id",
        "address",
    )
    readonly_fields = ("fleet_name", "what", "differences")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[AuditEvent]:
        """Annotate each event with the name of its fleet, of which it stores only the id."""
        name = Fleet.objects.filter(pk=models.OuterRef("fleet_id")).values("name")
        events: models.QuerySet[AuditEvent] = super().get_queryset(request)
        return events.annotate(fleet_name=models.Subquery(name))

    @admin.display(description=_("fleet"))
    def fleet_name(self, event: AuditEvent) -> str:
        return getattr(event, "fleet_name", None) or "–"

    @admin.display(description=_("what"))
    def what(self, event: AuditEvent) -> str:
        return words.phrase(event)

    @admin.display(description=_("changes"))
    def differences(self, event: AuditEvent) -> str:
        rows = [f"{field}: {before} → {after}" for field, before, after in words.changes(event)]
        return "\n".join(rows) or "–"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
