"""Access to a fleet: its slug is in the address, and the signed-in person must be a member with the role a page needs.

An outsider gets the same 404 as for a fleet that does not exist. A member whose role is too low gets a 403 page that
names the role and who can grant it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from allauth.mfa.models import Authenticator
from django.contrib.messages.storage.base import BaseStorage
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django_htmx.middleware import HtmxDetails

from fleetcontrol.audit.models import Actor, AuditEvent, Target, actor_of
from fleetcontrol.people.models import Fleet, Membership, Role, User

LAST_FLEET = "fleet"  # key of the session: the id of the fleet that was used last
SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class FleetRequest(HttpRequest):
    """The request that a view behind `fleet_view` receives, from a signed-in member of `fleet`."""

    user: User
    fleet: Fleet
    membership: Membership
    actor: Actor
    flow_id: str
    htmx: HtmxDetails
    _messages: BaseStorage


def fleet_view[**P](
    role: Role,
) -> Callable[[Callable[Concatenate[FleetRequest, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a view of one fleet for people with this role or a higher one. The URL's `fleet` is the slug."""

    def decorate(
        view: Callable[Concatenate[FleetRequest, P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def inner(request: FleetRequest, fleet: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            enter(request, fleet)
            if request.fleet.require_second_factor and not has_second_factor(request.user):
                return redirect("people:second_factor_needed", request.fleet.slug)
            if request.session.get(LAST_FLEET) != request.fleet.pk:
                request.session[LAST_FLEET] = request.fleet.pk
            if not request.membership.may(role):
                return forbidden(request, role)
            return view(request, *args, **kwargs)

        inner.role = role  # type: ignore[attr-defined]  # read by the test that lists every URL
        return inner

    return decorate


def first_fleet(request: HttpRequest, user: User) -> Fleet | None:
    """Where the start page leads: the fleet that was used last, else the one of the highest role, by name among equals.

    A fleet that asks for a second factor which the person lacks comes last.
    """
    last_used, roles = request.session.get(LAST_FLEET), list(Role)
    lacks_factor = not has_second_factor(user)

    def rank(membership: Membership) -> tuple[bool, bool, int, str]:
        fleet = membership.fleet
        closed = fleet.require_second_factor and lacks_factor
        return closed, fleet.pk != last_used, -roles.index(Role(membership.role)), fleet.name.casefold()

    memberships = Membership.objects.filter(user=user).select_related("fleet")
    return min(memberships, key=rank).fleet if memberships else None


def enter(request: FleetRequest, slug: str) -> None:
    """Set the request's fleet, membership and actor. Raises Http404 for outsiders."""
    membership = Membership.objects.filter(user=request.user, fleet__slug=slug).select_related("fleet", "user").first()
    if membership is None:
        raise Http404
    request.membership = membership
    request.fleet = membership.fleet
    request.actor = actor_of(request)


def forbidden(request: FleetRequest, role: Role) -> HttpResponse:
    """The 403 page, which names the needed role and up to five administrators who can grant it."""
    target = Target("page", "", request.path)
    AuditEvent.record(request.fleet, request.actor, "access.refuse", target, {"role": [None, str(role)]})
    administrators = User.objects.filter(
        memberships__fleet=request.fleet, memberships__role=Role.ADMINISTRATOR, is_active=True
    ).order_by("name", "email")[:5]
    return render(request, "403.html", {"role": role, "administrators": administrators}, status=403)


def has_second_factor(user: User) -> bool:
    """Whether the person has an authenticator app or a passkey, which allauth then asks for at each sign-in."""
    return bool(Authenticator.objects.filter(user=user, type__in=SECOND_FACTORS).exists())
