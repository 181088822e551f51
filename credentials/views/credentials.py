"""The pages of credentials. No cache keeps a page that takes secrets, and no error report holds what was typed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from credentials import brands
from credentials.condition import alarms, condition
from credentials.forms import AddForm, ChangeForm
from credentials.listing import Listing
from credentials.models import Credential, CredentialInUse, CredentialSecret, SecretRefused, Status
from credentials.oem.verdict import Outcome, Verdict
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.pages.paging import page_of
from fleetcontrol.pages.typed_secrets import TypedSecrets
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role

SHOWN_ALARMS = 3
SHOWN_VEHICLES = 5
SHOWN_EVENTS = 5
SHOWN_VERSIONS = 10
BLOCKED_PAGE = 25


def deleted_meanwhile_is_404[**P](view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Answer 404 if somebody deletes the credential while the view works, as the view would a moment later."""

    @wraps(view)
    def inner(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(*args, **kwargs)
        except (Credential.DoesNotExist, CredentialSecret.DoesNotExist):
            raise Http404 from None

    return inner


@fleet_view(Role.VIEWER)
@require_safe
def index(request: FleetRequest) -> HttpResponse:
    listing = Listing.of(request.fleet, request.GET)
    filters = [("", _("All")), ("attention", _("Need attention")), ("unused", _("Not in use"))]
    chips = [(name, words, listing.counts[name]) for name, words in filters]
    context = {
        "listing": listing,
        "chips": chips,
        "alarms": listing.alarms if "all" in request.GET else listing.alarms[:SHOWN_ALARMS],
        "administers": request.membership.may(Role.ADMINISTRATOR),
        "demo_oem": settings.FLEETCONTROL_DEMO_OEM,
    }
    return render(request, "credentials/index.html", context)


@fleet_view(Role.MANAGER)
@require_safe
def choose_brand(request: FleetRequest) -> HttpResponse:
    added = dict(request.fleet.credentials.order_by().values_list("brand").annotate(Count("id")))
    shared = [(brand, added.get(brand.id, 0)) for brand in brands.catalogue().values() if brand.kind == "shared"]
    others = [brand for brand in brands.catalogue().values() if brand.kind != "shared"]
    return render(request, "credentials/choose_brand.html", {"shared": shared, "others": others})


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
def add(request: FleetRequest, brand: str) -> HttpResponse:
    oem = shared_brand_or_404(brand)
    start = {"name": oem.name} | kept_input(request)
    typed_secrets = TypedSecrets(request, "credentials:add", request.fleet.pk, oem.id)
    posted = request.POST if request.method == "POST" else None
    form = AddForm(oem, posted, initial=start, typed_secrets=typed_secrets)
    if form.is_valid():
        details = {field: form.cleaned_data[field] for field in ("name", "note", "ends_on")}
        details |= {"values": form.values, "verify_first": "unchecked" not in request.POST}
        try:
            credential = Credential.add(fleet=request.fleet, actor=request.actor, brand=oem.id, **details)
        except ValidationError as error:
            form.take(error)
        except SecretRefused as refusal:
            form.refuse(refusal.verdict, *advice_after(refusal.verdict))
        else:
            typed_secrets.forget()
            say_saved(request, credential)
            return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)
    status = 422 if form.errors else 200
    return render(request, "credentials/add.html", {"form": form, "brand": oem}, status=status)


@fleet_view(Role.VIEWER)
@require_safe
def detail(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    events = AuditEvent.objects.filter(target_kind="credential", target_id=credential.pk).order_by("-id")
    vehicle_count = credential.vehicles.count()
    versions = list(credential.secrets.defer("value")[:SHOWN_VERSIONS])
    attention = Credential.objects.needing_attention().filter(pk=credential.pk).exists()
    context = {
        "credential": credential,
        "condition": condition(credential),
        "alarms": alarms([(credential, vehicle_count)] if attention else []),
        "idle": Credential.objects.idle().filter(pk=credential.pk).exists(),
        "versions": versions,
        "current_version": credential.secret.version,
        "former": next((one for one in versions if one.can_return), None),
        "vehicles": credential.vehicles.order_by("name")[:SHOWN_VEHICLES],
        "vehicle_count": vehicle_count,
        "events": events[:SHOWN_EVENTS],
    }
    return render(request, "credentials/detail.html", context)


@fleet_view(Role.MANAGER)
@deleted_meanwhile_is_404
def change(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    form = ChangeForm(credential, request.POST if request.method == "POST" else None, kept=kept_input(request))
    if form.is_valid():
        try:
            credential.change(actor=request.actor, expected_version=form.expected_version, **form.changes)
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        except ValidationError as error:
            form.take(error)
        else:
            messages.success(request, _("%(name)s saved.") % {"name": credential})
            return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)
    context = {"form": form, "credential": credential}
    return render(request, "credentials/change.html", context, status=form.http_status)


@fleet_view(Role.MANAGER)
@deleted_meanwhile_is_404
def remove(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    if request.method == "POST":
        try:
            credential.remove(actor=request.actor)
        except CredentialInUse as refusal:
            return blocked_page(request, credential, refusal.count, status=409)
        messages.success(request, _("%(name)s deleted.") % {"name": credential})
        return redirect("credentials:index", fleet=request.fleet.slug)
    if count := credential.vehicles.count():
        return blocked_page(request, credential, count, status=200)
    return render(request, "credentials/remove.html", {"credential": credential, "secret": credential.secret})


def blocked_page(request: FleetRequest, credential: Credential, count: int, *, status: int) -> HttpResponse:
    """The page that shows which vehicles keep a credential from being deleted, and offers to move them."""
    q = request.GET.get("q", "").strip()
    others = request.fleet.credentials.filter(brand=credential.brand).exclude(pk=credential.pk)
    context = {
        "credential": credential,
        "count": count,
        "q": q,
        "page": page_of(credential.vehicles.search(q), request.GET, size=BLOCKED_PAGE),
        "others": others.order_by("name"),
    }
    return render(request, "credentials/blocked.html", context, status=status)


def credential_or_404(request: FleetRequest, id: str) -> Credential:
    """The fleet's credential of this id. Raises Http404."""
    return get_object_or_404(request.fleet.credentials, pk=id)


def shared_brand_or_404(text: str) -> brands.Brand:
    """The brand, if a credential can be added for it. Raises Http404 otherwise."""
    try:
        oem = brands.find(text)
    except brands.UnknownBrand:
        raise Http404 from None
    if oem.kind != "shared":
        raise Http404
    return oem


def advice_after(verdict: Verdict) -> list[str]:
    """What a person can do about a refusal besides correcting what was typed."""
    if verdict.outcome is Outcome.NO_ANSWER:
        return [_("You can try again, or save now and check later.")]
    return []


def say_saved(request: FleetRequest, credential: Credential) -> None:
    if credential.status == Status.WORKING:
        messages.success(request, _("%(name)s saved. Its connection works.") % {"name": credential})
    else:
        messages.success(request, _("%(name)s saved. Its connection is not checked yet.") % {"name": credential})
        if credential.status_detail:
            messages.warning(request, credential.status_detail)
    for note in credential.notes:
        messages.warning(request, note)
