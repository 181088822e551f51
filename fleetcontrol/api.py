"""The API: its routers, how it answers what goes wrong, and the door that its requests come through.

Requests of the API have no session, no cookie and no form, so they do not pass the middleware of the pages: the door,
`ApiMiddleware`, takes them before it and sends them straight to their operation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.urls import Resolver404, URLPattern, URLResolver, path, resolve
from django.utils import translation
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

import credentials.api
import credentials.api_use
import vehicles.api
import vehicles.api_use
from fleetcontrol import import_api, oauth
from fleetcontrol.contract import read_body
from fleetcontrol.headers import too_large
from fleetcontrol.import_api import FILE_TYPES
from fleetcontrol.json_body import JsonParser
from fleetcontrol.openapi import TOKEN_PATH
from fleetcontrol.problems import (
    INTERNAL_SERVER_ERROR,
    METHOD_NOT_ALLOWED,
    PAYLOAD_TOO_LARGE,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    ProblemError,
)

FORM = "application/x-www-form-urlencoded"
# An answer is data for the program that asked, and for no page and no cache.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ROOMS = {"auth", "telematics-brands", "credentials", "vehicles"}  # the first parts of the API's paths
logger = logging.getLogger("django.request")


class Api(NinjaAPI):
    """ninja's API without the response that it makes for each request in case the operation makes none: ours all do."""

    _none = HttpResponse()

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        return self._none


api = Api(
    title="FleetControl",
    version="1.0",
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
    parser=JsonParser(),
)
# Before the others, whose "/vehicles/{id}" would take "/vehicles/imports" for an id.
IMPORTS = {
    "/vehicles/imports": import_api.router(
        "vehicle",
        read="vehicles.ro",
        write="vehicle-lifecycle",
        change="vehicles",
        example="name,telematics_brand,telematics_unit_id,license_plate\nVan 14,CLOUDBOXX,0123456789ABCDEF,HH-NL 14\n",
    ),
    "/credentials/imports": import_api.router(
        "credential",
        read="telematics-credentials.ro",
        write="telematics-credentials",
        example="name,brand,client_id,client_secret\nNIU Hamburg,NIU,client1,supersecret\n",
    ),
}
for prefix, router in IMPORTS.items():
    api.add_router(prefix, router)
for router in (credentials.api.router, vehicles.api.router, credentials.api_use.router, vehicles.api_use.router):
    api.add_router("", router)


@api.exception_handler(ProblemError)
def problem(request: HttpRequest, error: ProblemError) -> HttpResponse:
    return error.answer(request.flow_id)  # type: ignore[attr-defined]  # set by FlowIdMiddleware


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """What pydantic found in body and parameters, in our words where it has none for people."""
    words = {
        "missing": _("This is required."),
        "extra_forbidden": _("There is no such property, or it cannot be set."),
        "string_type": _("Write a text in quotes."),
        "model_type": _("Write an object in braces."),
        "model_attributes_type": _("Write an object in braces."),
        "dict_type": _("Write an object in braces."),
        "list_type": _("Write a list in brackets."),
        "int_type": _("Write a whole number."),
        "int_parsing": _("Write a whole number."),
        "int_from_float": _("Write a whole number."),
        "bool_parsing": _("Write true or false."),
        "string_too_long": _("Write at most %(max_length)s characters."),
        "string_too_short": _("Write at least %(min_length)s characters."),
        "string_pattern_mismatch": _("This does not have the expected form."),
        "too_long": _("Send at most %(max_length)s of these."),
        "too_short": _("Send at least %(min_length)s of these."),
        "greater_than_equal": _("Write a number from %(ge)s on."),
        "less_than_equal": _("Write a number up to %(le)s."),
        "literal_error": _("Write one of these: %(expected)s."),
        "enum": _("Write one of these: %(expected)s."),
        "value_error": "%(error)s",
    }

    def worded(one: dict[str, Any]) -> str:
        if one["type"].startswith("date_"):
            return _("Write a day like 2026-10-17.")
        return str(words.get(one["type"], "%(msg)s") % {"msg": one["msg"], **one.get("ctx", {})})

    errors = [(_field(one["loc"]), worded(one)) for one in error.errors]
    return problem(request, ProblemError(VALIDATION_ERROR, errors=errors))


@api.exception_handler(HttpError)
def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """ninja wraps what a parser raises."""
    cause = error.__cause__
    if not isinstance(cause, ProblemError):
        raise error
    return problem(request, cause)


@api.exception_handler(Exception)
def unexpected(request: HttpRequest, error: Exception) -> NoReturn:
    """The door answers what nobody expected."""
    raise error


class ApiMiddleware:
    """The door: takes what is for the API, answers everything that goes wrong on the way with a problem."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.split("/", 2)[1] not in ROOMS:
            return self.get_response(request)
        asks = "HTTP_ACCEPT_LANGUAGE" in request.META
        with translation.override(translation.get_language_from_request(request) if asks else "en"):
            response = self.enter(request)
        limit = getattr(request, "rate_limit", None)
        for name, value in (HEADERS if limit is None else HEADERS | limit.headers()).items():
            response.headers.setdefault(name, value)
        if response.status_code != 204:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response

    def enter(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()  # raises DisallowedHost; for pages, CommonMiddleware asks
            if too_large(request):
                raise ProblemError(PAYLOAD_TOO_LARGE)
            return self.answer(request)
        except ProblemError as error:
            found = error
        except (RequestDataTooBig, UnreadablePostError):
            found = ProblemError(PAYLOAD_TOO_LARGE)
        except DisallowedHost:
            found = ProblemError(VALIDATION_ERROR, _("FleetControl is not reached under this host name."))
        except SuspiciousOperation:
            found = ProblemError(VALIDATION_ERROR)
        except Exception:  # whatever it is, the client gets a problem and the log the traceback
            got_request_exception.send(sender=type(self), request=request)
            logger.exception("Internal Server Error: %s", request.path, extra={"status_code": 500, "request": request})
            found = ProblemError(INTERNAL_SERVER_ERROR)
        return problem(request, found)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The operation's answer. Raises ProblemError for what is no request of any operation."""
        head = request.method == "HEAD"
        if head:
            request.method = "GET"
        self.refuse_odd(request)
        try:
            match = resolve(request.path_info, urlconf="fleetcontrol.api")
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

    def refuse_odd(self, request: HttpRequest) -> None:
        if "\x00" in request.path_info:
            raise ProblemError(RESOURCE_NOT_FOUND, _("The API has no such path."))
        odd = [name for name, values in request.GET.lists() if any("\x00" in text for text in (name, *values))]
        if odd:
            words = _("This holds a NUL character.")
            raise ProblemError(VALIDATION_ERROR, errors=[(name.replace("\x00", "�"), words) for name in odd])

    def refuse_body(self, request: HttpRequest) -> None:
        """Bodies of the wrong type or too long. A file is read where it is known who sends it."""
        takes_file = request.method == "POST" and request.path_info in IMPORTS
        if not takes_file:
            read_body(request, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if request.content_type if takes_file else request.body:
            wanted = FILE_TYPES if takes_file else (FORM if request.path_info == TOKEN_PATH else "application/json",)
            charset = (request.content_params or {}).get("charset", "utf-8").lower()
            if request.content_type not in wanted or (charset not in ("utf-8", "utf8") and not takes_file):
                words = _("Send this body as “Content-Type: %(type)s”.") % {"type": wanted[0]}
                raise ProblemError(UNSUPPORTED_MEDIA_TYPE, words)
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ProblemError(
                    UNSUPPORTED_MEDIA_TYPE, _("Send this body uncompressed, without “Content-Encoding”.")
                )


def token(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return oauth.token(request)


urlpatterns: list[URLPattern | URLResolver] = [
    path(TOKEN_PATH.lstrip("/"), token, name="token"),
    path("", api.urls),
]


def _field(loc: tuple[Any, ...]) -> str:
    """Where an error is, as a client knows it: without the parameter of the function and the branch of a union."""
    source, *parts = loc
    if source == "body":
        parts = parts[1:]
        if parts[:1] in (["one"], ["many"]):
            parts = parts[1:]
    parts = [part for part in parts if part not in ("[key]", "")]  # a wrong key stands before "[key]"
    return ".".join(str(part) for part in parts) or "body"
