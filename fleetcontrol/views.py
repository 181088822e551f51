"""Pages that belong to no app: the start page, the error page."""

import sys
from datetime import UTC, timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template import loader
from django.utils import translation

from fleetcontrol.db.away import RETRY_AFTER, is_away
from fleetcontrol.db.clock import database_now
from fleetcontrol.people.access import first_fleet
from fleetcontrol.people.models import User

SECURITY_TXT_VALID_FOR = timedelta(days=180)


def home(request: HttpRequest) -> HttpResponse:
    """Redirect to the person's fleet, or show a page that says whom to ask for one."""
    assert isinstance(request.user, User)  # noqa: S101 - LoginRequiredMiddleware
    fleet = first_fleet(request, request.user)
    if fleet is None:
        return render(request, "people/no_fleet.html")
    return redirect("credentials:index", fleet=fleet.slug)


@login_not_required
def security_txt(request: HttpRequest) -> HttpResponse:
    """Whom to tell of a weakness, as RFC 9116 wants it. 404 unless SECURITY_CONTACT is set."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    lines = {
        "Contact": settings.SECURITY_CONTACT,
        "Expires": (database_now().astimezone(UTC) + SECURITY_TXT_VALID_FOR).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Preferred-Languages": ", ".join(code for code, _name in settings.LANGUAGES),
        "Canonical": f"{settings.PUBLIC_URL}{request.path}",
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


@login_not_required
def shut(request: HttpRequest, key: str = "") -> HttpResponse:
    """404 for the pages of allauth that FleetControl does not offer."""
    raise Http404


def failed(request: HttpRequest) -> HttpResponse:
    """The page of an internal error (handler500). It uses neither session nor database: they may be what failed.

    503 if the database is away, 500 for everything else.
    """
    away = is_away(sys.exception())
    with translation.override(translation.get_language_from_request(request)):
        page = loader.render_to_string("503.html" if away else "500.html", {"flow_id": getattr(request, "flow_id", "")})
    response = HttpResponse(page, status=503 if away else 500, headers={"Cache-Control": "no-store"})
    if away:
        response["Retry-After"] = RETRY_AFTER
    return response
