"""What PostgreSQL cannot store: a NUL, or half a surrogate pair. A request with one in it is a bad request."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.views.defaults import bad_request


class UnstorableTextMiddleware:
    """400 for a page that is asked with such a text, wherever it stood: path, query, form or header.

    Forms refuse it at its field before it comes to this. The API has its own check (`fleetcontrol.api.middleware`).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return bad_request(request, exception) if is_unstorable(exception) else None


def is_unstorable(exception: Exception) -> bool:
    """Whether psycopg refused a text before PostgreSQL saw it."""
    if isinstance(exception, DataError):
        cause = exception.__cause__
        return isinstance(cause, psycopg.DataError) and cause.sqlstate is None
    return isinstance(exception, UnicodeEncodeError) and exception.reason == "surrogates not allowed"
