"""The session's cookie is signed, so that the keys in the session table, or in a copy of it, open no session."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse

_SALT = "fleetcontrol.session"


class SignedSessionMiddleware(SessionMiddleware):
    """Django's, but the cookie holds the session's key with a signature that needs SECRET_KEY."""

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
    """The key that the cookie was made for; None for a forged cookie, which is then no session."""
    try:
        return Signer(salt=_SALT).unsign(cookie)
    except BadSignature:
        return None
