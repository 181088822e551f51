"""The API as an object of ninja's, and its handlers of errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from fleetcontrol.api.json_body import JsonParser
from fleetcontrol.api.problems import MOST_ERRORS, VALIDATION_ERROR, ProblemError


class Api(NinjaAPI):
    """ninja's API with FleetControl's parser and problems.

    ninja makes a temporal response for operations that return none. All of ours return one, so requests share it.
    """

    _unused_response = HttpResponse()

    def __init__(self) -> None:
        super().__init__(
            title="FleetControl",
            version="1.0",
            docs_url=None,
            openapi_url=None,
            urls_namespace="api",
            parser=JsonParser(),
        )
        for kind, handler in HANDLERS.items():
            self.add_exception_handler(kind, handler)

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        return self._unused_response


def problem(request: HttpRequest, error: ProblemError) -> HttpResponse:
    return error.answer(request.flow_id)  # type: ignore[attr-defined]  # set by FlowIdMiddleware


def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer with the errors that pydantic found in the body and the parameters, in words for people."""
    sentences = {
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
        return str(sentences.get(one["type"], "%(msg)s") % {"msg": one["msg"], **one.get("ctx", {})})

    errors = [(_field(one["loc"]), worded(one)) for one in error.errors[:MOST_ERRORS]]
    return problem(request, ProblemError(VALIDATION_ERROR, errors=errors, count=len(error.errors)))


def unreadable(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer with the problem that the parser raised, which ninja wraps in an HttpError."""
    cause = error.__cause__
    if not isinstance(cause, ProblemError):
        raise error
    return problem(request, cause)


def unexpected(request: HttpRequest, error: Exception) -> NoReturn:
    """Let the middleware turn unexpected errors into a 500 problem."""
    raise error


HANDLERS: Mapping[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    ProblemError: problem,
    ValidationError: invalid,
    HttpError: unreadable,
    Exception: unexpected,
}


def _field(loc: tuple[Any, ...]) -> str:
    """The field as a client knows it: without the name of the function's parameter and the branch of a union."""
    source, *parts = loc
    if source == "body":
        parts = parts[1:]
        if parts[:1] in (["one"], ["many"], ["bare"]):
            parts = parts[1:]
    parts = [part for part in parts if part not in ("[key]", "")]  # pydantic writes "[key]" behind a wrong key
    return ".".join(str(part) for part in parts) or "body"
