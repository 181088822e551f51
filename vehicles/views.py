"""The pages of vehicles. No cache keeps a page that takes a unit's password, and no error report shows the password."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from credentials import brands
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role
from vehicles.forms import MASTER_DATA, MoveForm, VehicleForm, shown_custom_value
from vehicles.listing import Listing
from vehicles.models import Vehicle

SHOWN_EVENTS = 10
CHOSEN_AT_MOST = 1000


@fleet_view(Role.VIEWER)
@require_safe
def index(request: FleetRequest) -> HttpResponse:
    return render(request, "vehicles/index.html", {"listing": Listing.of(request.fleet, request.GET)})


@fleet_view(Role.MANAGER)
@require_safe
def choose_brand(request: FleetRequest) -> HttpResponse:
    return render(request, "vehicles/choose_brand.html", {"brands": brands.catalogue().values()})


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
def add(request: FleetRequest, brand: str) -> HttpResponse:
    oem = brand_or_404(brand)
    form = VehicleForm(
        request.fleet,
        oem,
        request.POST if request.method == "POST" else None,
        initial={"credential": request.GET.get("credential")} | kept_input(request),
    )
    if form.is_valid():
        try:
            vehicle = Vehicle.add(fleet=request.fleet, actor=request.actor, telematics_brand=oem.id, **form.values)
        except ValidationError as error:
            form.take(error)
        else:
            confirm_saved(request, vehicle)
            return redirect("vehicles:detail", fleet=request.fleet.slug, id=vehicle.pk)
    context = {"form": form, "brand": oem, "lacks_credential": lacks_credential(request, oem)}
    return render(request, "vehicles/add.html", context, status=422 if form.errors else 200)


@fleet_view(Role.VIEWER)
@require_safe
def detail(request: FleetRequest, id: str) -> HttpResponse:
    vehicle = get_vehicle(request, id)
    facts = [(Vehicle._meta.get_field(name), getattr(vehicle, name)) for name in MASTER_DATA]
    events = AuditEvent.objects.filter(target_kind="vehicle", target_id=vehicle.pk).order_by("-id")
    context = {
        "vehicle": vehicle,
        "facts": [(getattr(field, "verbose_name", ""), value) for field, value in facts if value],
        "custom_fields": [(name, shown_custom_value(value)) for name, value in vehicle.custom_fields.items()],
        "events": events[:SHOWN_EVENTS],
    }
    return render(request, "vehicles/detail.html", context)


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
def change(request: FleetRequest, id: str) -> HttpResponse:
    vehicle = get_vehicle(request, id)
    data = request.POST if request.method == "POST" else None
    form = VehicleForm(request.fleet, vehicle.oem, data, vehicle=vehicle, kept=kept_input(request))
    if form.is_valid():
        try:
            vehicle.change(actor=request.actor, expected_version=form.expected_version, **form.values)
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        except ValidationError as error:
            form.take(error)
        else:
            confirm_saved(request, vehicle)
            return redirect("vehicles:detail", fleet=request.fleet.slug, id=vehicle.pk)
    context = {"form": form, "vehicle": vehicle, "brand": vehicle.oem}
    return render(request, "vehicles/change.html", context, status=form.http_status)


@fleet_view(Role.MANAGER)
def move(request: FleetRequest, id: str) -> HttpResponse:
    vehicle = get_vehicle(request, id)
    data = request.POST if request.method == "POST" else None
    form = MoveForm(request.fleet, vehicle.telematics_brand, data, vehicle=vehicle)
    if form.is_valid():
        credential = form.cleaned_data["credential"]
        try:
            vehicle.move(credential, actor=request.actor, expected_version=form.expected_version)
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        except ValidationError as error:
            form.take(error)
        else:
            words = _("%(vehicle)s now uses %(credential)s.")
            messages.success(request, words % {"vehicle": vehicle, "credential": vehicle.credential})
            return redirect("vehicles:detail", fleet=request.fleet.slug, id=vehicle.pk)
    context = {"form": form, "vehicle": vehicle}
    return render(request, "vehicles/move.html", context, status=form.http_status)


@fleet_view(Role.MANAGER)
def move_many(request: FleetRequest) -> HttpResponse:
    """Move the vehicles chosen in the list to one credential of their brand."""
    ids = [one for one in request.GET.getlist("vehicle")[:CHOSEN_AT_MOST] if one.isalnum()]
    chosen = request.fleet.vehicles.filter(pk__in=ids)
    found = list(chosen.select_related("credential").order_by("name"))
    brands_found = {vehicle.telematics_brand for vehicle in found}
    brand = brands_found.pop() if len(brands_found) == 1 else ""
    form = MoveForm(request.fleet, brand, request.POST if request.method == "POST" else None)
    if brand and form.is_valid():
        credential = form.cleaned_data["credential"]
        try:
            moved = chosen.move(credential, actor=request.actor)
        except ValidationError as error:
            form.take(error)
        else:
            words = ngettext("%(count)d vehicle moved to %(name)s.", "%(count)d vehicles moved to %(name)s.", moved)
            messages.success(request, words % {"count": moved, "name": credential})
            return redirect("vehicles:index", fleet=request.fleet.slug)
    context = {"form": form, "vehicles": found, "brand": brands.stored(brand) if brand else None}
    return render(request, "vehicles/move_many.html", context, status=422 if form.errors else 200)


@fleet_view(Role.MANAGER)
def remove(request: FleetRequest, id: str) -> HttpResponse:
    vehicle = get_vehicle(request, id)
    if request.method == "POST":
        vehicle.remove(actor=request.actor)
        messages.success(request, _("%(name)s removed.") % {"name": vehicle})
        return redirect("vehicles:index", fleet=request.fleet.slug)
    return render(request, "vehicles/remove.html", {"vehicle": vehicle})


def get_vehicle(request: FleetRequest, id: str) -> Vehicle:
    """The fleet's vehicle with this ID. Raises Http404."""
    return get_object_or_404(request.fleet.vehicles.select_related("credential"), pk=id)


def brand_or_404(text: str) -> brands.Brand:
    """The brand with this ID. Raises Http404 for others."""
    try:
        return brands.find(text)
    except brands.UnknownBrand:
        raise Http404 from None


def lacks_credential(request: FleetRequest, brand: brands.Brand) -> bool:
    """Whether a credential of the brand must be added before a vehicle of it."""
    return brand.kind == "shared" and not request.fleet.credentials.filter(brand=brand.id).exists()


def confirm_saved(request: FleetRequest, vehicle: Vehicle) -> None:
    """Tell the person that the vehicle is saved, and what of it looks mistyped."""
    messages.success(request, _("%(name)s saved.") % {"name": vehicle})
    for note in vehicle.notes:
        messages.warning(request, note)
