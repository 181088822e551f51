"""API clients in the Django admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import actor_of
from fleetcontrol.pages.admin_site import VerbAdmin
from fleetcontrol.people.admin import FleetFilter


@admin.register(ApiClient)
class ApiClientAdmin(VerbAdmin):
    """Shows API clients and revokes them. Clients and secrets are added on the pages, which show the secret once."""

    list_display = ("name", "client_id", "fleet", "ends_on", "last_used_at", "revoked_at")
    list_filter = (FleetFilter,)
    list_select_related = ("fleet",)
    search_fields = ("name", "client_id")
    ordering = ("name",)
    fields = (
        "fleet", "name", "client_id", "permissions", "ends_on", "created_at", "last_used_at", "last_used_address",
        "revoked_at",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("revoke",)

    @admin.action(description=_("Revoke: secrets and tokens stop at once"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: models.QuerySet[ApiClient]) -> None:
        for client in queryset.select_related("fleet"):
            client.revoke(actor=actor_of(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
