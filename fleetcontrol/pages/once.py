"""Two promises about forms: what is sent twice is done once, and what was typed survives a sign-in.

templates/shared/form_safety.html stands in every form that changes something. Its `once` is a random token: the second
sending of the same form is answered with a message instead of being done again. Its `keep` names the fields that hold
no secret; when the person turns out to be signed out, the values of these travel in a signed cookie that only the same
page gets back. A form page gives `kept(request)` as its initial values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.translation import gettext as _

TOKEN_LIVES = timedelta(hours=24)
INPUT_LIVES = timedelta(minutes=30)
COOKIE = "kept"
COOKIE_LIMIT = 3500  # characters; browsers take 4096 with the name and the attributes
FIELD = "once"


def new_token() -> str:
    return token_urlsafe(12)


class OnceMiddleware:
    """Does what a form asks for once, however often it is sent. A form that was refused may be sent again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = token_of(request)
        key = f"once:{request.user.pk}:{token}"
        if token and not cache.add(key, 1, TOKEN_LIVES.total_seconds()):
            messages.info(request, _("This form was sent twice. What it asks for was done once."))
            return redirect(section_of(request.path))
        done = False
        try:
            response = self.get_response(request)
            done = response.status_code < 400
        finally:
            if token and not done:
                cache.delete(key)
        if hasattr(request, "kept"):
            response.delete_cookie(COOKIE, path=request.path)
        return response


def token_of(request: HttpRequest) -> str:
    """The form's token, or "". Uploads are left alone: a view may choose how they are read."""
    form = request.method == "POST" and request.content_type == "application/x-www-form-urlencoded"
    return request.POST.get(FIELD, "")[:64] if form and request.user.is_authenticated else ""


def section_of(path: str) -> str:
    """The list a form of a fleet belongs to: "/f/nord/credentials/add/bmw/" is of "/f/nord/credentials/"."""
    parts = path.split("/")
    return "/".join(parts[:4]) + "/" if parts[1] == "f" and len(parts) > 4 else "/"


class KeepInputMiddleware(LoginRequiredMiddleware):
    """Asks for a sign-in as Django does, and keeps what was typed into the form that was being sent."""

    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> HttpResponseRedirect:
        response = super().handle_no_permission(request, view_func)
        names = request.POST.get("keep", "").split() if request.method == "POST" else []
        values = {name: request.POST[name] for name in names if name in request.POST}
        packed = signing.dumps(values, salt=request.path, compress=True) if values else ""
        if packed and len(packed) <= COOKIE_LIMIT:
            response.set_cookie(
                COOKIE,
                packed,
                max_age=INPUT_LIVES,
                path=request.path,
                secure=request.is_secure(),
                httponly=True,
                samesite="Lax",
            )
        return response


def kept(request: HttpRequest) -> dict[str, str]:
    """What was typed into this page's form before the sign-in, by field name; {} otherwise."""
    try:
        values: dict[str, str] = signing.loads(request.COOKIES.get(COOKIE, ""), salt=request.path, max_age=INPUT_LIVES)
    except signing.BadSignature:
        return {}
    request.kept = True  # type: ignore[attr-defined]  # OnceMiddleware takes the cookie back
    return values
