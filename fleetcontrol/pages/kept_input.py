"""What was typed into a form survives a sign-in that it turns out to need.

templates/shared/form_safety.html names, in the field `keep` of a form, the fields that hold no secret. When the person
turns out to be signed out, the values of these travel in a signed cookie that only the same page gets back. The view
of that page adds `kept_input(request)` to its form's initial values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

FIELD = "keep"
COOKIE = "kept"
COOKIE_LIFETIME = timedelta(minutes=30)
COOKIE_LIMIT = 3500  # characters; browsers take 4096 including the name and the attributes


class KeptInputMiddleware(LoginRequiredMiddleware):
    """Require a sign-in as Django does, and keep what was typed into the form that was being sent."""

    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponseRedirect:
        return keep_input(request, super().handle_no_permission(request, view_func))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Drop the cookie once a form has shown its values."""
        if getattr(request, "kept_input_shown", False):
            response.delete_cookie(COOKIE, path=request.path)
        return response


def keep_input(request: HttpRequest, response: HttpResponseRedirect) -> HttpResponseRedirect:
    """Let what was typed into the form that this request sends travel with the answer."""
    names = request.POST.get(FIELD, "").split() if request.method == "POST" else []
    values = {name: _value(request.POST.getlist(name)) for name in names}
    cookie = signing.dumps(values, salt=request.path, compress=True) if values else ""
    if cookie and len(cookie) <= COOKIE_LIMIT:
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=COOKIE_LIFETIME,
            path=request.path,
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response


def _value(sent: list[str]) -> Any:
    """One value, or a list of several ticks; "" for a box that is not ticked, which a browser does not send."""
    return sent if len(sent) > 1 else "".join(sent)


def kept_input(request: HttpRequest) -> dict[str, Any]:
    """What was typed into this page's form before the sign-in, by field name; {} otherwise."""
    cookie = request.COOKIES.get(COOKIE, "")
    try:
        values: dict[str, Any] = signing.loads(cookie, salt=request.path, max_age=COOKIE_LIFETIME)
    except signing.BadSignature:
        return {}
    request.kept_input_shown = True  # type: ignore[attr-defined]  # read by KeptInputMiddleware
    return values
