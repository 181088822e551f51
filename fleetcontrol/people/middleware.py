"""Middleware for people: their language, when their session was last used, what they have to prove, and what happens to
a page whose object is deleted by somebody else at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.views.defaults import page_not_found

from fleetcontrol.db.clock import database_now
from fleetcontrol.db.rules import DEADLOCK, sqlstate_of
from fleetcontrol.pages.resubmission import leave_undone
from fleetcontrol.people.access import ask_for_factor, made_with_factor, staff_needs_factor
from fleetcontrol.people.confirmation import (
    PARAMETER,
    PROOF,
    Asks,
    page_of_proof,
    proof_for_own_account,
    send_to_confirm,
    signed_in_recently,
    take_back_waiting_form,
)
from fleetcontrol.people.models import is_gone

LAST_SEEN_EVERY = 300  # seconds


class LastSeenMiddleware:
    """Record where and when a session was last used, for the person's list of them; at most every few minutes.

    Saving that is also what puts off the end of a session that is used, see `fleetcontrol.web.sessions`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = int(database_now().timestamp())
        signed_in = request.session.session_key and request.user.is_authenticated
        if signed_in and now - request.session.get("seen", 0) > LAST_SEEN_EVERY:
            UserSession.objects.create_from_request(request)
            request.session["seen"] = now
        return self.get_response(request)


class LanguageMiddleware:
    """Activate the language of the signed-in person, or else that of the browser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "") if hasattr(request, "user") else ""
        with translation.override(chosen or translation.get_language_from_request(request)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "en")
        return response


class GateMiddleware:
    """Ask for a second factor before the Django admin, and for fresh proof before what PROOF lists of others' views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        person, here = request.user, request.resolver_match
        if not person.is_authenticated or here is None:
            return None
        if here.namespace == "admin" and person.is_staff and not made_with_factor(request) and staff_needs_factor():
            return ask_for_factor(request, None)
        asks = PROOF.get(here.view_name)
        if asks is Asks.FIRST and not proof_for_own_account(request):
            return redirect(page_of_proof(request))
        if asks is Asks.SENT:
            if request.method == "GET" and PARAMETER in request.GET:
                take_back_waiting_form(request)
            elif request.method == "POST" and not signed_in_recently(request):
                return leave_undone(send_to_confirm(request))
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Show the factors of somebody who set up the same app twice at once: one of the two is there."""
        constraint = getattr(getattr(exception.__cause__, "diag", None), "constraint_name", None)
        return redirect("mfa_index") if constraint == "unique_authenticator_type" else None


class MeanwhileMiddleware:
    """404 for a page whose object or fleet is deleted while it is worked on, 409 for one of two that deadlock."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, ObjectDoesNotExist):
            return page_not_found(request, exception)
        if isinstance(exception, DatabaseError):
            if is_gone(getattr(request, "fleet", None), exception):
                return page_not_found(request, exception)
            if sqlstate_of(exception) == DEADLOCK:
                return render(request, "409.html", status=409)
        return None
