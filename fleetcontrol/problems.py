"""Problems in the form of RFC 9457 and the flow id that ties an answer to its log lines and audit events."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from ulid import ULID

_VALID_FLOW_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class FlowIdMiddleware:
    """Gives every request a `flow_id`, the client's where it is valid, and every answer the header of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        wanted = request.headers.get("X-INVERS-Flow-ID") or request.headers.get("X-Flow-ID") or ""
        flow_id = wanted if _VALID_FLOW_ID.fullmatch(wanted) else str(ULID())
        request.flow_id = flow_id  # type: ignore[attr-defined]  # read through FleetRequest
        response = self.get_response(request)
        response["X-INVERS-Flow-ID"] = response["X-Flow-ID"] = flow_id
        return response
