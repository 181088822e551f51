"""The health check for monitoring, and the page *System* for superusers."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from fleetcontrol.operations.middleware import answer
from fleetcontrol.operations.status import status


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """503 with the reasons why no work can be done, else 200 and, as warnings, what somebody should look at.

    The sentences are shown to superusers and to whom /health/ready shows them.
    """
    now = status()
    in_detail = request.is_operators or (not now.problems and request.user.is_superuser)  # type: ignore[attr-defined]  # set by ProbeMiddleware
    return answer(now.problems, now.warnings, in_detail=in_detail)


@require_safe
def system(request: HttpRequest) -> HttpResponse:
    """What this FleetControl needs and does, for superusers."""
    if not request.user.is_superuser:
        raise Http404
    return render(request, "operations/system.html", {"status": status()})
