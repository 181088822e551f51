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
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
PERMISSIONS_POLICY = ", ".join(
    [*(f"{name}=()" for name in UNUSED_FEATURES), *(f"{name}=(self)" for name in USED_FEATURES)]
)


class HeadersMiddleware:
    """Limit what a browser may do on our pages, and keep pages for signed-in people out of every cache."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if too_large(request):
            response = _refusal(_("The request is too large."), 413)
        elif any("\x00" in value for name, value in request.META.items() if name.startswith("HTTP_")):
            response = _refusal(_("A header holds a NUL character."), 400)  # no database takes it
        else:
            response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if "Cache-Control" not in response.headers:
            user = getattr(request, "user", None)
            if user is not None and user.is_authenticated:
                response.headers["Cache-Control"] = "no-store"
        return response


def too_large(request: HttpRequest) -> bool:
    """Whether the declared length of the body exceeds MAX_UPLOAD_MB. A body without a length is never read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return not length.isdecimal() or int(length) > settings.MAX_UPLOAD_MB * 1024 * 1024


class ReadableMiddleware:
    """Read every request as UTF-8.

    Django takes the charset that a Content-Type names and decodes even the query with it, and some of Python's codecs
    decode no text. A form in another charset is refused, so that no text is stored wrongly.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        charset = (request.content_params or {}).get("charset", "utf-8").lower()
        request.encoding = "utf-8"
        if charset not in ("utf-8", "utf8") and request.content_type in FORMS:
            return _refusal(_("Send forms in UTF-8."), 415)
        return self.get_response(request)


def _refusal(words: str, status: int) -> HttpResponse:
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
