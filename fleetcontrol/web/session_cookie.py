"""A signed session cookie, so that a session key read from the session table or a copy of it opens no session."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse

_SALT = "fleetcontrol.session"


class SignedSessionMiddleware(SessionMiddleware):
    """Django's middleware, with a cookie that holds the session's key signed with SECRET_KEY."""

    def process_request(self, request: HttpRequest) -> None:
        cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        request.session = self.SessionStore(session_key_of(cookie))

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        response = super().process_response(request, response)
        cookie = response.cookies.get(settings.SESSION_COOKIE_NAME)
        if cookie is not None and cookie.value:
            signed = cookie_of(cookie.value)
            cookie.set(settings.SESSION_COOKIE_NAME, signed, signed)
        return response


def cookie_of(session_key: str) -> str:
    return Signer(salt=_SALT).sign(session_key)


def session_key_of(cookie: str) -> str | None:
    """The session key in a cookie. None for a forged cookie, which therefore opens no session."""
    try:
        return Signer(salt=_SALT).unsign(cookie)
    except BadSignature:
        return None
