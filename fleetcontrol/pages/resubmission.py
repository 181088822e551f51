"""A form that is sent twice is acted on once.

templates/shared/form_safety.html puts a random token into the field `once` of every form that changes something. The
second sending of the same form is answered with a message instead of being done again. What that message says is true:
a process that died while it acted on the form leaves no mark that the form was done, and soon none at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from secrets import token_urlsafe

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

FIELD = "once"
UNDONE = "form_is_not_acted_on"
TOKEN_LIFETIME = timedelta(hours=24)
LONGEST_ACT = timedelta(minutes=2)
_BEGUN, _DONE = 1, 2


def new_token() -> str:
    return token_urlsafe(12)


class ResubmissionMiddleware:
    """Let a form through once, however often it is sent. A form that was refused may be sent again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return act_once(request, self.get_response)


def act_once(request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]) -> HttpResponse:
    """Answer the request, unless it sends a form that was acted on before."""
    token = token_of(request)
    if not token:
        return get_response(request)
    key = f"once:{request.user.pk}:{token}"
    if not cache.add(key, _BEGUN, LONGEST_ACT.total_seconds()):
        if cache.get(key) == _DONE:
            messages.info(request, _("This form was sent twice. What it asks for was done once."))
        else:
            messages.warning(request, _("This form was sent before and has no answer yet. Look whether it is done."))
        return redirect(section_of(request.path))
    accepted = False
    try:
        response = get_response(request)
        accepted = response.status_code < 400 and not getattr(response, UNDONE, False)
    finally:
        if accepted:
            cache.set(key, _DONE, TOKEN_LIFETIME.total_seconds())
        else:
            cache.delete(key)
    return response


def leave_undone(response: HttpResponse) -> HttpResponse:
    """Mark an answer that is no error, but has not acted on the form yet. The form may be sent again."""
    setattr(response, UNDONE, True)
    return response


def token_of(request: HttpRequest) -> str:
    """The form's token, or "". Uploads are left alone, because a view may choose how they are read."""
    is_form = request.method == "POST" and request.content_type == "application/x-www-form-urlencoded"
    return request.POST.get(FIELD, "")[:64] if is_form and request.user.is_authenticated else ""


def section_of(path: str) -> str:
    """The list that a fleet's form belongs to: "/f/nord/credentials/" for "/f/nord/credentials/add/bmw/", else "/"."""
    parts = path.split("/")
    return "/".join(parts[:4]) + "/" if parts[1] == "f" and len(parts) > 4 else "/"
