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
from fleetcontrol.people import mails
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.confirmation import confirm, confirmed, fresh_sign_in
from fleetcontrol.people.forms import InviteForm, RoleForm
from fleetcontrol.people.models import Fleet, Invitation, LastAdministrator, Mail, MailKind, Membership, Role


@fleet_view(Role.ADMINISTRATOR)
def index(request: FleetRequest) -> HttpResponse:
    """All members and open invitations."""
    context = {"members": members_of(request.fleet), "invitations": invitations_of(request.fleet)}
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
                queue_mail(invitations)
        except ValidationError as error:
            form.add_error("emails", error.messages)
        else:
            say_queued(request, len(invitations))
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
    with confirmed(request):
        invitation.resend(actor=request.actor)
        queue_mail([invitation])
    say_queued(request, 1)
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


def invitations_of(fleet: Fleet) -> QuerySet[Invitation]:
    """The open invitations, each with `mail_waits` and `mail_refused`: whether its mail has not been taken yet."""
    waiting = Mail.objects.filter(invitation=OuterRef("pk"))
    refused = Exists(waiting.filter(refusals__gt=0))
    return fleet.invitations.annotate(mail_waits=Exists(waiting), mail_refused=refused).order_by("email")


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


def queue_mail(invitations: Iterable[Invitation]) -> None:
    for invitation in invitations:
        mails.queue(MailKind.INVITATION, None, invitation=invitation)


def say_queued(request: FleetRequest, number: int) -> None:
    """Say that the mail is on its way. The list says when the mail server refuses it."""
    words = ngettext("%(n)s invitation is on its way.", "%(n)s invitations are on their way.", number)
    messages.success(request, words % {"n": number})


def last_administrator() -> str:
    return _("The fleet needs an administrator. Make someone else an administrator first.")
