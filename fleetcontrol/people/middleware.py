"""What every request of a signed-in person gets: their language, and a note of when their sign-in was last used."""

from __future__ import annotations

import time
from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.http import HttpRequest, HttpResponse
from django.utils import translation

LAST_SEEN_EVERY = 300  # seconds


class LastSeenMiddleware:
    """Keeps where and when each sign-in was last used, for the person's own list; looked at every few minutes only."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = int(time.time())
        signed_in = request.session.session_key and request.user.is_authenticated
        if signed_in and now - request.session.get("seen", 0) > LAST_SEEN_EVERY:
            UserSession.objects.create_from_request(request)
            request.session["seen"] = now
        return self.get_response(request)


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
