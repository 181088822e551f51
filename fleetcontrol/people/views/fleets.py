"""Pages of a fleet: add one, change its settings, delete it."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from fleetcontrol.audit.models import actor_of
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.people.access import FleetRequest, fleet_view, has_second_factor
from fleetcontrol.people.confirmation import confirm, confirmed, fresh_sign_in
from fleetcontrol.people.forms import FleetForm, FleetRemoveForm, NewFleetForm
from fleetcontrol.people.models import Fleet, Role, User
from fleetcontrol.people.owned import in_order_of_deletion


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def change(request: FleetRequest) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = FleetForm(data, instance=Fleet.objects.get(pk=request.fleet.pk), kept=kept_input(request))
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["require_second_factor"] and not has_second_factor(request.user):
            form.add_error("require_second_factor", _("Set up a second factor for yourself first."))
        else:
            try:
                with confirmed(request):
                    request.fleet.change(
                        actor=request.actor, expected_version=form.expected_version, **form.cleaned_data
                    )
            except ChangedMeanwhile as conflict:
                form.changed_meanwhile(conflict)
            else:
                messages.success(request, _("Settings saved."))
                return redirect("fleets:change", request.fleet.slug)
    return render(request, "people/fleets/change.html", {"form": form}, status=form.http_status)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def remove(request: FleetRequest) -> HttpResponse:
    """Delete the fleet once its name has been typed."""
    data = request.POST if request.method == "POST" else None
    form = FleetRemoveForm(data, fleet=request.fleet, initial=kept_input(request))
    if request.method == "POST" and form.is_valid():
        confirm(request)
        name = request.fleet.name
        request.fleet.remove(actor=request.actor)
        messages.success(request, _("The fleet %(name)s is deleted.") % {"name": name})
        return redirect("fleetcontrol:home")
    counts = [(owned.label, owned.rows_of(request.fleet).count()) for owned in in_order_of_deletion() if owned.label]
    context = {"form": form, "counts": counts}
    return render(request, "people/fleets/remove.html", context, status=422 if form.is_bound else 200)


def add(request: HttpRequest) -> HttpResponse:
    """Let a superuser create a fleet, become its first administrator and invite others."""
    user = request.user
    if not isinstance(user, User) or not user.is_superuser:
        raise Http404
    form = NewFleetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            fleet = Fleet.add(actor=actor_of(request), administrator=user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The fleet %(name)s is there. Invite its members.") % {"name": fleet})
            return redirect("members:index", fleet.slug)
    return render(request, "people/fleets/add.html", {"form": form}, status=422 if form.is_bound else 200)
