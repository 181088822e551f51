"""Middleware for people: their language, when their session was last used, and what happens to a page whose object
is deleted by somebody else at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable

from allauth.usersessions.models import UserSession
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.defaults import page_not_found

from fleetcontrol.db.rules import DEADLOCK, sqlstate_of
from fleetcontrol.people.models import is_gone

LAST_SEEN_EVERY = 300  # seconds


class LastSeenMiddleware:
    """Record where and when a session was last used, for the person's list of them; at most every few minutes."""

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
    """Activate the language of the signed-in person, or else that of the browser."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "") if hasattr(request, "user") else ""
        with translation.override(chosen or translation.get_language_from_request(request)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "en")
        return response


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
