"""The pages about a credential's secret: verify it, replace it, go back, find where a value is stored."""

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
    may_look_for,
)
from credentials.oem.verdict import Outcome, Verdict
from credentials.views.credentials import credential_or_404, deleted_meanwhile_is_404
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.pages.typed_secrets import TypedSecrets
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role


@fleet_view(Role.MANAGER)
@deleted_meanwhile_is_404
def verify(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    if request.method == "POST":
        say_verdict(request, credential, credential.verify(actor=request.actor))
    return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
@deleted_meanwhile_is_404
def rotate(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    if request.POST.get("why") == "leaked":
        # A leak is known from now on, whatever becomes of the new secret.
        credential.report_leak(actor=request.actor, expected_version=version_on_page(request))
    start = ({"why": "leaked"} if credential.leaked_at else {}) | kept_input(request)
    typed_secrets = TypedSecrets(request, "credentials:rotate", request.fleet.pk, credential.brand, credential.pk)
    posted = request.POST if request.method == "POST" else None
    form = RotateForm(credential.oem, posted, initial=start, typed_secrets=typed_secrets)
    if form.is_valid():
        try:
            secret = credential.rotate(
                actor=request.actor,
                values=form.values,
                verify_first="unchecked" not in request.POST,
                expected_version=version_on_page(request),
                **form.details,
            )
        except ValidationError as error:
            form.take(error)
        except ReplacedMeanwhile as refusal:
            form.take(ValidationError(str(refusal)))
        except SecretRefused as refusal:
            version = {"version": credential.secret.version}
            form.refuse(refusal.verdict, _("Version %(version)s is still in use, nothing has changed.") % version)
        else:
            typed_secrets.forget()
            say_version_in_use(request, credential, secret)
            return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)
    context = rotate_context(credential, form)
    return render(request, "credentials/rotate.html", context, status=422 if form.errors else 200)


@fleet_view(Role.MANAGER)
@deleted_meanwhile_is_404
def revert(request: FleetRequest, id: str) -> HttpResponse:
    credential = credential_or_404(request, id)
    if request.method == "POST":
        try:
            secret = credential.revert(actor=request.actor, expected_version=version_on_page(request))
        except (ReplacedMeanwhile, NothingToRevertTo) as refusal:
            messages.error(request, str(refusal))
        else:
            # Going back must not wait for the OEM, so verify afterwards.
            if credential.can_be_checked:
                credential.verify(actor=request.actor)
            say_version_in_use(request, credential, secret)
    return redirect("credentials:detail", fleet=request.fleet.slug, id=credential.pk)


@sensitive_post_parameters()
@never_cache
@fleet_view(Role.MANAGER)
def find_secret(request: FleetRequest) -> HttpResponse:
    """Show which credentials hold a pasted value, and which vehicles depend on it. Never send the value back."""
    form = FindForm(request.POST if request.method == "POST" else None)
    context: dict[str, object] = {"form": form}
    status = 200
    if form.is_valid():
        value = form.cleaned_data["value"]
        try:
            may_look_for(value, request.fleet, actor=request.actor)
        except ValidationError as error:
            form.add_error("value", error)
            status = 429 if error.code == "too_often" else 422
        else:
            context |= {
                "searched": True,
                "versions": CredentialSecret.objects.holding(value, request.fleet.pk).with_vehicle_counts(),
                "units": request.fleet.vehicles.holding(value, request.fleet.pk)[:100],
            }
    elif form.errors:
        status = 422
    return render(request, "credentials/find_secret.html", context, status=status)


def rotate_context(credential: Credential, form: RotateForm) -> dict[str, object]:
    secret = credential.secret
    undecided = form.verdict is not None and form.verdict.says_nothing_against_secret
    may_skip = credential.status in TROUBLED or undecided or bool(form.typed_secrets.token)
    return {
        "form": form,
        "credential": credential,
        "secret": secret,
        "next_version": credential.secrets.order_by("-version").values_list("version", flat=True)[0] + 1,
        "vehicle_count": credential.vehicles.count(),
        "failing": credential.status in TROUBLED,
        "unchecked_allowed": may_skip,
    }


def version_on_page(request: FleetRequest) -> int | None:
    """The version that was in use when the page was made; None if the form does not say."""
    version = request.POST.get("over", "")
    return int(version) if version.isascii() and version.isdigit() and len(version) < 10 else None


def say_version_in_use(request: FleetRequest, credential: Credential, secret: CredentialSecret) -> None:
    version = {"version": secret.version}
    if credential.status == Status.WORKING:
        messages.success(request, _("Version %(version)s is in use. The connection works.") % version)
    else:
        messages.success(request, _("Version %(version)s is in use.") % version)
        if credential.status_detail:
            messages.warning(request, credential.status_detail)


def say_verdict(request: FleetRequest, credential: Credential, verdict: Verdict) -> None:
    words = {"name": credential.name, "reason": verdict.reason}
    if verdict.outcome is Outcome.WORKS:
        messages.success(request, _("%(name)s is checked. Its connection works.") % words)
    elif verdict.outcome is Outcome.CANNOT_CHECK:
        messages.info(request, verdict.reason)
    else:
        messages.error(request, _("%(name)s is checked. %(reason)s") % words)
