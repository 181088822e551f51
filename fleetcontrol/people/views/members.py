"""Members of a fleet: the list, invitations, roles."""

from __future__ import annotations

from collections.abc import Iterable

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Exists, Max, OuterRef, QuerySet, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from fleetcontrol.audit.versions import ChangedMeanwhile
from fleetcontrol.pages.kept_input import kept_input
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.confirmation import confirm, confirmed, fresh_sign_in
from fleetcontrol.people.forms import InviteForm, RoleForm
from fleetcontrol.people.models import Fleet, Invitation, LastAdministrator, Membership, Role


@fleet_view(Role.ADMINISTRATOR)
def index(request: FleetRequest) -> HttpResponse:
    """All members and open invitations."""
    context = {"members": members_of(request.fleet), "invitations": request.fleet.invitations.order_by("email")}
    return render(request, "people/members/index.html", context)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def invite(request: FleetRequest) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = InviteForm(data, initial=kept_input(request))
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        try:
            with confirmed(request):
                invitations = Invitation.add(
                    fleet=request.fleet, emails=chosen["emails"], role=chosen["role"], actor=request.actor
                )
        except ValidationError as error:
            form.add_error("emails", error.messages)
        else:
            send(request, invitations)
            return redirect("members:index", request.fleet.slug)
    status = 422 if form.is_bound else 200
    return render(request, "people/members/invite.html", {"form": form}, status=status)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def change(request: FleetRequest, pk: int) -> HttpResponse:
    """Change a role. People can lower their own after they confirm what they lose."""
    membership = get_object_or_404(request.fleet.memberships.select_related("user"), pk=pk)
    own = membership.user_id == request.user.pk
    form = RoleForm(membership, request.POST if request.method == "POST" else None, kept=kept_input(request))
    context = {"form": form, "member": membership, "own": own}
    if request.method == "POST" and form.is_valid():
        role = form.cleaned_data["role"]
        if own and role != membership.role and "confirmed" not in request.POST:
            return render(request, "people/members/step_down.html", {**context, "role": role})
        try:
            with confirmed(request):
                membership.change(role=role, actor=request.actor, expected_version=form.expected_version)
        except ChangedMeanwhile as conflict:
            form.changed_meanwhile(conflict)
        except LastAdministrator:
            form.add_error("role", last_administrator())
        else:
            words = _("%(name)s now has the role %(role)s.") % {"name": membership, "role": role.label}
            messages.success(request, words)
            return redirect("fleetcontrol:home" if own else "members:index", *([] if own else [request.fleet.slug]))
    return render(request, "people/members/change.html", context, status=form.http_status)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def remove(request: FleetRequest, pk: int) -> HttpResponse:
    membership = get_object_or_404(request.fleet.memberships.select_related("user"), pk=pk)
    own = membership.user_id == request.user.pk
    if request.method == "POST":
        try:
            with confirmed(request):
                membership.remove(actor=request.actor)
        except LastAdministrator:
            messages.error(request, last_administrator())
            return redirect("members:index", request.fleet.slug)
        messages.success(request, _("%(name)s is no longer a member.") % {"name": membership})
        return redirect("fleetcontrol:home") if own else redirect("members:index", request.fleet.slug)
    return render(request, "people/members/remove.html", {"member": membership, "own": own})


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
@require_POST
def resend(request: FleetRequest, pk: str) -> HttpResponse:
    invitation = get_object_or_404(request.fleet.invitations, pk=pk)
    confirm(request)
    invitation.resend(actor=request.actor)
    send(request, [invitation])
    return redirect("members:index", request.fleet.slug)


@fleet_view(Role.ADMINISTRATOR)
@fresh_sign_in
def revoke(request: FleetRequest, pk: str) -> HttpResponse:
    invitation = get_object_or_404(request.fleet.invitations, pk=pk)
    if request.method == "POST":
        confirm(request)
        invitation.revoke(actor=request.actor)
        messages.success(request, _("The invitation of %(email)s is revoked.") % {"email": invitation.email})
        return redirect("members:index", request.fleet.slug)
    return render(request, "people/invitations/revoke.html", {"invitation": invitation})


def members_of(fleet: Fleet) -> QuerySet[Membership]:
    """The members, annotated in one statement with their last visit and their ways to sign in."""
    of_person = {"user": OuterRef("user")}
    seen = UserSession.objects.filter(**of_person).values("user").annotate(last=Max("last_seen_at")).values("last")
    factors = Authenticator.objects.filter(**of_person)
    return (
        fleet.memberships.select_related("user")
        .annotate(
            last_seen=Subquery(seen),
            has_totp=Exists(factors.filter(type=Authenticator.Type.TOTP)),
            has_passkey=Exists(factors.filter(type=Authenticator.Type.WEBAUTHN)),
        )
        .order_by("user__name", "user__email")
    )


def send(request: FleetRequest, invitations: Iterable[Invitation]) -> None:
    """Email the invitations and report the outcome. Those that failed can be sent again from the list."""
    sent, failed = 0, []
    for invitation in invitations:
        try:
            invitation.send()
            sent += 1
        except OSError:
            failed.append(invitation.email)
    if sent:
        messages.success(request, ngettext("%(n)s invitation sent.", "%(n)s invitations sent.", sent) % {"n": sent})
    if failed:
        words = _("The mail server did not take the invitation of %(emails)s. Resend it later.")
        messages.error(request, words % {"emails": ", ".join(failed)})


def last_administrator() -> str:
    return _("The fleet needs an administrator. Make someone else an administrator first.")
