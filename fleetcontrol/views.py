"""Pages that belong to no app: the start page, the health check, the error page."""

from datetime import UTC, timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template import loader

from fleetcontrol import seal
from fleetcontrol.audit.chain import is_sealing_behind
from fleetcontrol.audit.keys import key_problems, missing_keys
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
def health(request: HttpRequest) -> JsonResponse:
    """200 while the database answers and the keys are those it was used with, else 503 with what fails.

    Secrets that no key opens beside others that open, and audit events that wait to be sealed, are a warning: the rest
    of the work can be done.
    """
    warnings = []
    try:
        problems = key_problems()
        opened, closed = seal.sample()
        if closed and not opened and not problems:
            problems = ["FERNET_KEYS does not open the secrets in the database."]
        elif closed and opened:
            warnings = ["FERNET_KEYS does not open some of the secrets: add the key that sealed them."]
        elif not problems and (missing := missing_keys()):
            warnings = [
                f"FERNET_KEYS lacks {missing} of the keys that sealed secrets: add what was taken away, or run "
                "`manage.py reseal`, which forgets a key that no secret needs."
            ]
        if is_sealing_behind():
            warnings.append(
                "Since more than 15 minutes audit events wait to be sealed: `manage.py tend` does not run, or refuses, "
                "or waits for a transaction that writes events."
            )
    except DatabaseError:
        problems = ["The database does not answer."]
    status = "fail" if problems else "warn" if warnings else "pass"
    body = {"status": status, "problems": [*problems, *warnings]}
    response = JsonResponse(body, status=503 if problems else 200)
    response["Cache-Control"] = "no-store"
    return response


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
    """The page of an internal error (handler500). It uses neither session nor database: they may be what failed."""
    flow_id = getattr(request, "flow_id", "")
    page = loader.render_to_string("500.html", {"flow_id": flow_id})
    return HttpResponse(page, status=500, headers={"Cache-Control": "no-store"})
