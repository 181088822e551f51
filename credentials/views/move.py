"""Moving the vehicles of a credential that cannot be deleted to another one of its brand: review, then confirm."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.condition import condition
from credentials.models import Credential
from credentials.views.credentials import credential_or_404
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role

CHOSEN_AT_MOST = 1000


@fleet_view(Role.MANAGER)
def move(request: FleetRequest, id: str) -> HttpResponse:
    """Change nothing until the person confirms. Without chosen vehicles move all, also those added meanwhile."""
    credential = credential_or_404(request, id)
    params = request.POST if request.method == "POST" else request.GET
    others = request.fleet.credentials.filter(brand=credential.brand).exclude(pk=credential.pk)
    target = others.filter(pk=params.get("to", "")[:26].replace("\x00", "")).first()
    if target is None:
        messages.error(request, _("Choose the credential that the vehicles move to."))
        return redirect("credentials:remove", fleet=request.fleet.slug, id=credential.pk)
    vehicles, chosen = chosen_vehicles(credential, params)
    if request.method == "POST":
        try:
            moved = vehicles.move(target, actor=request.actor)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
        else:
            say_how_many_moved(request, credential, moved)
        return redirect("credentials:remove", fleet=request.fleet.slug, id=credential.pk)
    return render(request, "credentials/move.html", move_context(credential, target, vehicles, chosen))


def chosen_vehicles(credential: Credential, params: QueryDict) -> tuple[Any, list[str]]:
    """The vehicles to move, as a query, and the ids that were ticked. No tick means all vehicles."""
    ids = [one for one in params.getlist("vehicle")[:CHOSEN_AT_MOST] if one.isalnum() and len(one) == 26]
    vehicles = credential.vehicles.all()
    return (vehicles.filter(pk__in=ids) if ids else vehicles), ids


def move_context(credential: Credential, target: Credential, vehicles: Any, chosen: list[str]) -> dict[str, object]:
    """Both credentials, how many vehicles move, all settings, and those in which the two differ."""
    before, after = dict(credential.readable_settings), dict(target.readable_settings)
    labels = dict.fromkeys([*before, *after])
    return {
        "credential": credential,
        "target": target,
        "count": vehicles.count(),
        "chosen": chosen,
        "condition": condition(credential),
        "target_condition": condition(target),
        "settings": [(label, before.get(label, "–"), after.get(label, "–")) for label in labels],
        "differences": [label for label in labels if before.get(label) != after.get(label)],
    }


def say_how_many_moved(request: FleetRequest, credential: Credential, moved: int) -> None:
    words = {"count": moved, "name": credential.name}
    if credential.vehicles.exists():
        text = ngettext("%(count)d vehicle moved.", "%(count)d vehicles moved.", moved)
    else:
        text = ngettext(
            "%(count)d vehicle moved. You can delete %(name)s now.",
            "%(count)d vehicles moved. You can delete %(name)s now.",
            moved,
        )
    messages.success(request, text % words)
