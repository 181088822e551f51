"""Headers of pages that Django has no setting for, and the limit for the size of a request's body."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

UNUSED_FEATURES = (
    "accelerometer", "autoplay", "camera", "display-capture", "geolocation", "gyroscope", "microphone", "midi",
    "payment", "usb", "browsing-topics",
)  # fmt: skip
USED_FEATURES = ("publickey-credentials-create", "publickey-credentials-get", "clipboard-write", "fullscreen")
PERMISSIONS_POLICY = ", ".join(
    [*(f"{name}=()" for name in UNUSED_FEATURES), *(f"{name}=(self)" for name in USED_FEATURES)]
)


class HeadersMiddleware:
    """Limit what a browser may do on our pages, and keep pages for signed-in people out of every cache."""

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
    """Whether the declared length of the body exceeds MAX_UPLOAD_MB. A body without a length is never read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length) > settings.MAX_UPLOAD_MB * 1024 * 1024
