"""The one road in: the address names a fleet, the signed-in person must be a member with the role that the page needs.

An outsider gets the same 404 as for a fleet that does not exist; a member whose role is too low gets a 403 page that
names the role and who can grant it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.messages.storage.base import BaseStorage
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django_htmx.middleware import HtmxDetails

from fleetcontrol.models import Actor, Fleet, Membership, Role, User


class FleetRequest(HttpRequest):
    """What a view behind `fleet_view` gets: a request of a signed-in member of `fleet`."""

    user: User
    fleet: Fleet
    membership: Membership
    actor: Actor
    flow_id: str
    htmx: HtmxDetails
    _messages: BaseStorage


def fleet_view[**P](
    role: Role,
) -> Callable[[Callable[Concatenate[FleetRequest, P], HttpResponse]], Callable[..., HttpResponse]]:
    """A view of one fleet for people with this role or a higher one. The URL's `fleet` is the fleet's slug."""

    def decorate(
        view: Callable[Concatenate[FleetRequest, P], HttpResponse],
    ) -> Callable[..., HttpResponse]:
        @wraps(view)
        def inner(request: FleetRequest, fleet: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            enter(request, fleet)
            if not request.membership.may(role):
                return forbidden(request, role)
            return view(request, *args, **kwargs)

        inner.role = role  # type: ignore[attr-defined]  # read by the test that lists every URL
        return inner

    return decorate


def enter(request: FleetRequest, slug: str) -> None:
    """Set the request's fleet, membership and actor. Raises Http404 for outsiders."""
    membership = Membership.objects.filter(user=request.user, fleet__slug=slug).select_related("fleet", "user").first()
    if membership is None:
        raise Http404
    request.membership = membership
    request.fleet = membership.fleet
    request.actor = actor_of(request)


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person with the flow id and address of this request, for the audit trail."""
    assert isinstance(request.user, User)  # noqa: S101 - pages behind sign-in only
    return Actor.of(
        request.user,
        flow_id=getattr(request, "flow_id", ""),
        address=request.META.get("REMOTE_ADDR") or None,
    )


def forbidden(request: FleetRequest, role: Role) -> HttpResponse:
    """The 403 page: which role is needed, and which administrators can give it (five names at most)."""
    administrators = User.objects.filter(
        memberships__fleet=request.fleet, memberships__role=Role.ADMINISTRATOR, is_active=True
    ).order_by("name", "email")[:5]
    return render(request, "403.html", {"role": role, "administrators": administrators}, status=403)


class LanguageMiddleware:
    """The language of the signed-in person, else of the browser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "") if hasattr(request, "user") else ""
        with translation.override(chosen or translation.get_language_from_request(request)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "en")
        return response


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up by themselves: people are invited into a fleet."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def populate_username(self, request: HttpRequest, user: Any) -> None:
        """People have no user name."""
