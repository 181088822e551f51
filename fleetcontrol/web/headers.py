"""Headers of pages that Django has no setting for, and the largest body that is read."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

NOT_USED = ("accelerometer", "autoplay", "camera", "display-capture", "geolocation", "gyroscope", "microphone", "midi",
            "payment", "usb", "browsing-topics")  # fmt: skip
OWN = ("publickey-credentials-create", "publickey-credentials-get", "clipboard-write", "fullscreen")
PERMISSIONS_POLICY = ", ".join([*(f"{name}=()" for name in NOT_USED), *(f"{name}=(self)" for name in OWN)])


class HeadersMiddleware:
    """What a browser may do on our pages; what is for a signed-in person stays in no cache."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if too_large(request):
            words = _("The request is too large.")
            response = HttpResponse(words, status=413, content_type="text/plain; charset=utf-8")
        else:
            response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def too_large(request: HttpRequest) -> bool:
    """Whether the body is announced as larger than MAX_UPLOAD_MB; a body that is not announced is not read at all."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length) > settings.MAX_UPLOAD_MB * 1024 * 1024
