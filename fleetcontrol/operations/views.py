"""The health check for people and monitoring."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse

from fleetcontrol import health as register
from fleetcontrol.operations import ready
from fleetcontrol.operations.middleware import answer


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """503 with the reasons why no work can be done, else 200 and, as warnings, what somebody should look at.

    The sentences are shown to superusers and to whom /health/ready shows them.
    """
    problems = ready.problems()
    warnings = [] if problems else [str(row.warning) for row in register.rows() if row.warning]
    in_detail = request.is_operators or (not problems and request.user.is_superuser)  # type: ignore[attr-defined]
    return answer(problems, warnings, in_detail=in_detail)
