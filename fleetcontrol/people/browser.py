"""Which people have signed in from a browser before: a signed cookie of the browser says so for a year.

A sign-in from any other browser is told to the person by mail. The cookie opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from fleetcontrol.people.models import User

KNOWN_FOR = 365 * 24 * 3600  # seconds
MOST_PEOPLE = 10  # of one browser
_SALT = "fleetcontrol.browser"


class KnownBrowserMiddleware:
    """Set the cookie in the answer to a request in which somebody signed in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        people = getattr(request, "people_of_browser", None)
        if people is not None:
            response.set_cookie(
                settings.BROWSER_COOKIE_NAME,
                signing.dumps(people, salt=_SALT),
                max_age=KNOWN_FOR,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def is_known(request: HttpRequest, user: User) -> bool:
    """Whether the person has signed in from this browser within the year."""
    return user.pk in _people_of(request)


def remember(request: HttpRequest, user: User) -> None:
    """Let the answer to this request mark the browser as one of the person."""
    others = [pk for pk in _people_of(request) if pk != user.pk]
    request.people_of_browser = [user.pk, *others][:MOST_PEOPLE]  # type: ignore[attr-defined]


def _people_of(request: HttpRequest) -> list[int]:
    """The ids of the people in the cookie, the last one first. None of a forged or old cookie."""
    try:
        people = signing.loads(request.COOKIES.get(settings.BROWSER_COOKIE_NAME, ""), salt=_SALT, max_age=KNOWN_FOR)
    except signing.BadSignature:
        return []
    return list(people)
