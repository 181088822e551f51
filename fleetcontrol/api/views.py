"""Pages of a fleet's API clients: adding and changing them, replacing a secret, revoking."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from fleetcontrol.api.forms import AddForm, ChangeForm, ReplaceForm
from fleetcontrol.api.models import ApiClient
from fleetcontrol.api.problems import by_field
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.confirmation import confirmed, fresh_sign_in
from fleetcontrol.people.models import Role


@fleet_view(Role.ADMINISTRATOR)
def index(request: FleetRequest) -> HttpResponse:
    """List all clients, revoked ones last."""
    clients = request.fleet.api_clients.order_by(F("revoked_at").asc(nulls_first=True), "name")
    return render(request, "api/clients/index.html", {"clients": clients})


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
@never_cache
def add(request: FleetRequest) -> HttpResponse:
    """Show the secret in the answer to the form. A reload sends the form again, which neither adds nor shows again."""
    form = AddForm(request.POST if request.method == "POST" else None, initial=kept_input(request))
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        try:
            with confirmed(request):
                client, secret = ApiClient.add(
                    fleet=request.fleet,
                    actor=request.actor,
                    name=chosen["name"],
                    permissions=chosen["permissions"],
                    ends_on=form.ends_on,
                )
        except ValidationError as error:
            add_errors(form, error)
        else:
            return secret_page(request, client, secret)
    return render(request, "api/clients/add.html", {"form": form}, status=422 if form.is_bound else 200)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def change(request: FleetRequest, id: str) -> HttpResponse:
    client = client_of(request, id)
    form = ChangeForm(client, request.POST if request.method == "POST" else None, kept=kept_input(request))
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        try:
            with confirmed(request):
                client.change(
                    actor=request.actor,
                    permissions=chosen["permissions"],
                    ends_on=chosen["ends_on"],
                    expected_version=form.expected_version,
                )
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        except ValidationError as error:
            add_errors(form, error)
        else:
            messages.success(request, _("%(client)s saved. Its tokens follow at once.") % {"client": client})
            return redirect("clients:index", request.fleet.slug)
    context = {"form": form, "client": client}
    return render(request, "api/clients/change.html", context, status=form.http_status)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
@never_cache
def replace_secret(request: FleetRequest, id: str) -> HttpResponse:
    """Add a second secret, beside which the first one works for the chosen time."""
    client = client_of(request, id)
    form = ReplaceForm(request.POST if request.method == "POST" else None, initial=kept_input(request))
    if request.method == "POST" and form.is_valid():
        try:
            with confirmed(request):
                secret = client.replace_secret(actor=request.actor, overlap=form.cleaned_data["overlap"])
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return secret_page(request, client, secret)
    context = {"form": form, "client": client}
    return render(request, "api/clients/replace_secret.html", context, status=422 if form.is_bound else 200)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def stop_former(request: FleetRequest, id: str) -> HttpResponse:
    """End the overlap of a replaced secret, without a question when there is none."""
    client = client_of(request, id)
    if request.method == "POST":
        with confirmed(request):
            client.stop_former(actor=request.actor)
        messages.success(request, _("The old secret of %(client)s has stopped.") % {"client": client})
    elif client.former_works_until:
        return render(request, "api/clients/stop_former.html", {"client": client})
    return redirect("clients:index", request.fleet.slug)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def revoke(request: FleetRequest, id: str) -> HttpResponse:
    client = client_of(request, id)
    if request.method == "POST":
        with confirmed(request):
            client.revoke(actor=request.actor)
        messages.success(request, _("%(client)s is revoked. Its tokens have stopped.") % {"client": client})
        return redirect("clients:index", request.fleet.slug)
    return render(request, "api/clients/revoke.html", {"client": client})


def client_of(request: FleetRequest, id: str) -> ApiClient:
    return get_object_or_404(request.fleet.api_clients, client_id=id)


def secret_page(request: FleetRequest, client: ApiClient, secret: str) -> HttpResponse:
    """The only page that shows a secret. `never_cache` keeps it out of caches."""
    return render(request, "api/clients/secret.html", {"client": client, "secret": secret})


def add_errors(form: forms.Form, error: ValidationError) -> None:
    """Add a verb's errors to the form's fields. Those of the permissions go to the first of their three fields."""
    for field, errors in by_field(error).items():
        place = {"permissions": "read", "ends_on": "ends_on" if "ends_on" in form.fields else "lasts"}.get(field, field)
        form.add_error(place if place in form.fields else None, errors)
