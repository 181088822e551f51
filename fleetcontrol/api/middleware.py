"""The entrance for requests to the API.

They have no session, cookie or form, so they skip the middleware of the pages: `ApiMiddleware` stands before it and
sends them straight to their operation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module

from django.conf import settings
from django.core.exceptions import DisallowedHost, ObjectDoesNotExist, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import Resolver404, resolve
from django.utils import translation
from django.utils.translation import gettext as _

from fleetcontrol.api.errors import problem
from fleetcontrol.api.openapi import TOKEN_PATH
from fleetcontrol.api.operations import FILE_TYPES, read_body
from fleetcontrol.api.problems import (
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_ALLOWED,
    PAYLOAD_TOO_LARGE,
    RESOURCE_NOT_FOUND,
    SERVICE_UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    ProblemError,
)
from fleetcontrol.db.away import RETRY_AFTER, is_away
from fleetcontrol.people.models import is_gone
from fleetcontrol.web.headers import too_large

FORM = "application/x-www-form-urlencoded"
# No page may embed an answer and no cache may keep it.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
logger = logging.getLogger("django.request")


class ApiMiddleware:
    """Handles the requests to the API, and turns every error on their way into a problem."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.urlconf = import_module(settings.API_URLCONF)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.split("/", 2)[1] not in self.urlconf.FIRST_PARTS:
            return self.get_response(request)
        names_language = "HTTP_ACCEPT_LANGUAGE" in request.META
        with translation.override(translation.get_language_from_request(request) if names_language else "en"):
            response = self.enter(request)
        limit = getattr(request, "rate_limit", None)
        for name, value in (HEADERS if limit is None else HEADERS | limit.headers()).items():
            response.headers.setdefault(name, value)
        if response.status_code != 204:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response

    def enter(self, request: HttpRequest) -> HttpResponse:
        try:
            request.encoding = "utf-8"  # whatever charset the body's type names: the query is read with it too
            request.get_host()  # raises DisallowedHost; CommonMiddleware calls it for pages
            if too_large(request):
                raise ProblemError(PAYLOAD_TOO_LARGE)
            return self.answer(request)
        except ProblemError as error:
            refusal = error
        except (RequestDataTooBig, UnreadablePostError):
            refusal = ProblemError(PAYLOAD_TOO_LARGE)
        except DisallowedHost:
            refusal = ProblemError(VALIDATION_ERROR, _("FleetControl is not reached under this host name."))
        except SuspiciousOperation:
            refusal = ProblemError(VALIDATION_ERROR)
        except ObjectDoesNotExist:
            refusal = ProblemError(RESOURCE_NOT_FOUND, _("Somebody deleted it at this moment."))
        except Exception as error:  # noqa: BLE001 - the client gets a problem, the log gets the traceback
            if is_away(error):
                logger.warning("Service Unavailable: %s: %s", request.path, str(error).strip())
                refusal = ProblemError(SERVICE_UNAVAILABLE, headers={"Retry-After": RETRY_AFTER})
            elif isinstance(error, DatabaseError) and is_gone(getattr(request, "fleet", None), error):
                refusal = ProblemError(RESOURCE_NOT_FOUND, _("Somebody deleted it at this moment."))
            else:
                refusal = self.unexpected(request)
        return problem(request, refusal)

    def unexpected(self, request: HttpRequest) -> ProblemError:
        got_request_exception.send(sender=type(self), request=request)
        logger.exception("Internal Server Error: %s", request.path, extra={"status_code": 500, "request": request})
        return ProblemError(INTERNAL_SERVER_ERROR)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The operation's answer. Raises ProblemError for a request that no operation takes."""
        head = request.method == "HEAD"
        if head:
            request.method = "GET"
        self.refuse_nul(request)
        try:
            match = resolve(request.path_info, urlconf=settings.API_URLCONF)
        except Resolver404:
            raise ProblemError(RESOURCE_NOT_FOUND, _("The API has no such path.")) from None
        request.resolver_match = match
        if request.method in ("POST", "PATCH"):
            self.refuse_body(request)
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        if response.status_code == METHOD_NOT_ALLOWED.status:
            raise ProblemError(METHOD_NOT_ALLOWED, headers={"Allow": response["Allow"]})
        if head:
            response.headers["Content-Length"] = str(len(response.content))
            response.content = b""
        return response

    def refuse_nul(self, request: HttpRequest) -> None:
        if "\x00" in request.path_info:
            raise ProblemError(RESOURCE_NOT_FOUND, _("The API has no such path."))
        odd = [name for name, values in request.GET.lists() if any("\x00" in text for text in (name, *values))]
        if odd:
            words = _("This holds a NUL character.")
            raise ProblemError(VALIDATION_ERROR, errors=[(name.replace("\x00", "�"), words) for name in odd])

    def refuse_body(self, request: HttpRequest) -> None:
        """Refuse a body of the wrong type or length. A file is read later, when its sender is authenticated."""
        takes_file = request.method == "POST" and request.path_info in self.urlconf.TAKE_FILES
        if not takes_file:
            read_body(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if request.content_type if takes_file else request.body:
            wanted = FILE_TYPES if takes_file else (FORM if request.path_info == TOKEN_PATH else "application/json",)
            charset = (request.content_params or {}).get("charset", "utf-8").lower()
            minds_charset = not takes_file and request.path_info != TOKEN_PATH  # that one answers as OAuth says
            if request.content_type not in wanted or (charset not in ("utf-8", "utf8") and minds_charset):
                words = _("Send this body as “Content-Type: %(type)s”.") % {"type": wanted[0]}
                raise ProblemError(UNSUPPORTED_MEDIA_TYPE, words)
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ProblemError(
                    UNSUPPORTED_MEDIA_TYPE, _("Send this body uncompressed, without “Content-Encoding”.")
                )
