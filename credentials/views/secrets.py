"""The pages about a credential's secret: check it, replace it, go back, find where a value is stored."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from credentials.forms import FindForm, RotateForm
from credentials.models import (
    TROUBLED,
    Credential,
    CredentialSecret,
    NothingToRevertTo,
    ReplacedMeanwhile,
    SecretRefused,
    Status,
)
from credentials.oem.sign_in import Outcome, Verdict
from credentials.views.credentials import find, gone_is_404
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role


@fleet_view(Role.MANAGER)
@gone_is_404
def check(request: FleetRequest, id: str) -> HttpResponse:
    credential = find(request, id)
    if request.method == "POST":
        tell(request, credential, credential.check(actor=request.actor))
    return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
@gone_is_404
def rotate(request: FleetRequest, id: str) -> HttpResponse:
    credential = find(request, id)
    form = RotateForm(credential.oem, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            secret = credential.rotate(
                actor=request.actor,
                values=form.values,
                check="unchecked" not in request.POST,
                over=seen_version(request),
                **form.details,
            )
        except ValidationError as error:
            form.take(error)
        except ReplacedMeanwhile as other:
            form.take(ValidationError(str(other)))
        except SecretRefused as refusal:
            version = {"version": credential.secret.version}
            form.refuse(refusal.verdict, _("Version %(version)s is still in use, nothing has changed.") % version)
        else:
            in_use(request, credential, secret)
            return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)
    return render(request, "credentials/rotate.html", around(credential, form), status=422 if form.errors else 200)


@fleet_view(Role.MANAGER)
@gone_is_404
def revert(request: FleetRequest, id: str) -> HttpResponse:
    credential = find(request, id)
    if request.method == "POST":
        try:
            secret = credential.revert(actor=request.actor, over=seen_version(request))
        except (ReplacedMeanwhile, NothingToRevertTo) as refusal:
            messages.error(request, str(refusal))
        else:
            # The way back itself waits for nobody; whether it works is asked afterwards.
            if credential.can_be_checked:
                credential.check(actor=request.actor)
            in_use(request, credential, secret)
    return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
def find_secret(request: FleetRequest) -> HttpResponse:
    """Which credentials hold a pasted value, and which vehicles depend on it. The value is never sent back."""
    form = FindForm(request.POST if request.method == "POST" else None)
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        value = form.cleaned_data["value"]
        context |= {
            "searched": True,
            "versions": CredentialSecret.objects.holding(value, request.fleet.pk).with_vehicle_counts(),
            "units": request.fleet.vehicles.holding(value, request.fleet.pk)[:100],
        }
    return render(request, "credentials/find_secret.html", context, status=422 if form.errors else 200)


def around(credential: Credential, form: RotateForm) -> dict[str, object]:
    """What the page of a replacement shows beside its form."""
    secret = credential.secret
    outcome = form.verdict.outcome if form.verdict else None
    may_skip = credential.status in TROUBLED or outcome in (Outcome.NO_ANSWER, Outcome.SCOPES_MISSING)
    return {
        "form": form,
        "credential": credential,
        "secret": secret,
        "next_version": credential.secrets.order_by("-version").values_list("version", flat=True)[0] + 1,
        "vehicle_count": credential.vehicles.count(),
        "failing": credential.status in TROUBLED,
        "unchecked_allowed": may_skip,
    }


def seen_version(request: FleetRequest) -> int | None:
    """The version that was in use when the page was made; None if the form does not say."""
    over = request.POST.get("over", "")
    return int(over) if over.isascii() and over.isdigit() and len(over) < 10 else None


def in_use(request: FleetRequest, credential: Credential, secret: CredentialSecret) -> None:
    version = {"version": secret.version}
    if credential.status == Status.WORKING:
        messages.success(request, _("Version %(version)s is in use. The connection works.") % version)
    else:
        messages.success(request, _("Version %(version)s is in use.") % version)
        if credential.status_detail:
            messages.warning(request, credential.status_detail)


def tell(request: FleetRequest, credential: Credential, verdict: Verdict) -> None:
    """Say what came of a check."""
    words = {"name": credential.name, "reason": verdict.reason}
    if verdict.outcome is Outcome.WORKS:
        messages.success(request, _("%(name)s is checked. Its connection works.") % words)
    elif verdict.outcome is Outcome.CANNOT_CHECK:
        messages.info(request, verdict.reason)
    else:
        messages.error(request, _("%(name)s is checked. %(reason)s") % words)
