"""Middleware for signed-in people: their language, and the time at which their session was last used."""

from __future__ import annotations

from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from fleetcontrol.db.clock import database_now

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
