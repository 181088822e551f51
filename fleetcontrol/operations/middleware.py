"""The addresses that machines ask, before everything that a page needs: they take any Host, and http without a detour.

`/health/live` asks nobody: it says that this process answers. `/health/ready` says whether work can be done.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from fleetcontrol.operations import ready

LIVE, READY = "/health/live", "/health/ready"


class ProbeMiddleware:
    """Answer the probes. Tell `request.is_operators` of all other requests: whether their sender may see details.

    Stands before AddressMiddleware, which replaces the connection's own address.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.is_operators = is_operators(request)  # type: ignore[attr-defined]  # read by the views of health
        if request.path_info not in (LIVE, READY):
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        problems = ready.problems() if request.path_info == READY else []
        return answer(problems, [], in_detail=is_operators(request))


def answer(problems: list[str], warnings: list[str], *, in_detail: bool) -> JsonResponse:
    """503 with problems, else 200. The sentences are for the operator alone."""
    body: dict[str, object] = {"status": "fail" if problems else "warn" if warnings else "pass"}
    if in_detail:
        body["problems"] = [*problems, *warnings]
    response = JsonResponse(body, status=503 if problems else 200)
    response["Cache-Control"] = "no-store"
    return response


def is_operators(request: HttpRequest) -> bool:
    """Whether a request comes from this machine and through no proxy, or has HEALTH_TOKEN."""
    scheme, _blank, token = request.headers.get("Authorization", "").partition(" ")
    wanted: str = settings.HEALTH_TOKEN
    if wanted and scheme.lower() == "bearer" and hmac.compare_digest(token.encode(), wanted.encode()):
        return True
    if any(f"HTTP_{name}" in request.META for name in ("X_FORWARDED_FOR", "X_REAL_IP", "FORWARDED", "VIA")):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
