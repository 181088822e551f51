"""Access to a fleet: its slug is in the address, and the signed-in person must be a member with the role a page needs.

An outsider gets the same 404 as for a fleet that does not exist. A member whose role is too low gets a 403 page that
names the role and who can grant it.

Where a second factor is needed, the session must have been made with one. It is asked of the session and not of the
person, so that a session from before the person set one up opens nothing that needs one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.messages.storage.base import BaseStorage
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from fleetcontrol.audit.models import Actor, AuditEvent, Target, actor_of
from fleetcontrol.pages.kept_input import FIELD as KEEP
from fleetcontrol.pages.kept_input import keep_input
from fleetcontrol.pages.resubmission import leave_undone, section_of
from fleetcontrol.people.models import Fleet, Membership, Role, User

LAST_FLEET = "fleet"  # key of the session: the id of the fleet that was used last
WANTED = "wanted"  # key of the session: the page to go on to once a second factor is set up
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
            if needs_factor(request.membership) and not made_with_factor(request):
                return ask_for_factor(request, request.fleet)
            request.session.pop(WANTED, None)
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

    A fleet that asks for a second factor which the session lacks comes last.
    """
    last_used, roles = request.session.get(LAST_FLEET), list(Role)
    lacks_factor = not made_with_factor(request)

    def rank(membership: Membership) -> tuple[bool, bool, int, str]:
        fleet = membership.fleet
        closed = needs_factor(membership) and lacks_factor
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


def needs_factor(membership: Membership) -> bool:
    """Whether this member's session opens the fleet only if it was made with a second factor."""
    administers = membership.role == Role.ADMINISTRATOR
    return membership.fleet.require_second_factor or (administers and settings.ADMINISTRATORS_NEED_SECOND_FACTOR)


def staff_needs_factor() -> bool:
    """Whether the Django admin, which shows every fleet, opens only for a session made with a second factor."""
    if settings.ADMINISTRATORS_NEED_SECOND_FACTOR:
        return True
    return Fleet.objects.filter(require_second_factor=True).exists()


def made_with_factor(request: HttpRequest) -> bool:
    """Whether this session was made with a second factor that the person still has, or set one up after fresh proof.

    A passkey is one, and so is a sign-in at the provider with OIDC_SECOND_FACTOR.
    """
    records = get_authentication_records(request, request.user)
    if settings.OIDC_SECOND_FACTOR and any(record["method"] == "socialaccount" for record in records):
        return True
    used = [record["id"] for record in records if record["method"] == "mfa"]
    return bool(used) and Authenticator.objects.filter(user=request.user, pk__in=used).exists()


def ask_for_factor(request: HttpRequest, fleet: Fleet | None) -> HttpResponse:
    """Lead to the proof of a factor that the person has, else to setting one up; `fleet` is None for the Django admin.

    Both lead back to where the person wanted to go. What was typed waits there.
    """
    assert isinstance(request.user, User)  # noqa: S101 - behind the sign-in
    back = page_to_return_to(request)
    if has_second_factor(request.user):
        method = get_adapter(request).get_reauthentication_methods(request.user)[0]
        page = f"{method['url']}?{urlencode({'next': back})}"
    else:
        request.session[WANTED] = back
        if fleet is None:
            return render(request, "people/second_factor_needed.html", status=403)
        page = reverse("people:second_factor_needed", args=[fleet.slug])
    if request.htmx:  # type: ignore[attr-defined]  # HtmxMiddleware
        return HttpResponseClientRedirect(page)
    return leave_undone(keep_input(request, redirect(page)))


def page_to_return_to(request: HttpRequest) -> str:
    """The address to come back to: the whole page around a fragment, a form's page, the list beside a button."""
    shown = request.htmx.current_url_abs_path if request.htmx else None  # type: ignore[attr-defined]  # HtmxMiddleware
    if shown or request.method in ("GET", "HEAD"):
        return shown or request.get_full_path()
    return request.path if request.POST.get(KEEP) else section_of(request.path)
