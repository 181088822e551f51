"""The strict parser of JSON bodies: UTF-8, each property once, no NaN, no text that the database cannot store."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.parser import Parser

from fleetcontrol.api.problems import INVALID_JSON, VALIDATION_ERROR, ProblemError


class JsonParser(Parser):
    """Parses bodies for ninja. Raises ProblemError, which says where the body is wrong."""

    def parse_body(self, request: HttpRequest) -> Any:
        try:
            text = request.body.decode()
            return _storable(json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object), request.body)
        except UnicodeDecodeError as error:
            words = _("Byte %(position)s is not UTF-8.") % {"position": error.start + 1}
        except json.JSONDecodeError as error:
            words = _("Line %(line)s, column %(column)s: %(reason)s.") % {
                "line": error.lineno,
                "column": error.colno,
                "reason": error.msg,
            }
        except RecursionError:
            words = _("The body is nested too deeply.")
        except ValueError:
            words = _("A number has thousands of digits.")
        raise ProblemError(INVALID_JSON, words)


def _storable(value: Any, body: bytes) -> Any:
    """The value, once no text in it has a character that PostgreSQL cannot store. JSON writes those only as \\u…."""
    if b"\\u" in body:
        field = _unstorable(value)
        if field is not None:
            words = _("A text holds a NUL or half a surrogate pair.")
            raise ProblemError(VALIDATION_ERROR, errors=[(field, words)])
    return value


def _unstorable(value: Any, place: str = "") -> str | None:
    """The place of the first such character; None when there is none."""
    if isinstance(value, str):
        return place if any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in value) else None
    if isinstance(value, dict):
        parts = [*((key, place) for key in value), *((one, f"{place}.{key}") for key, one in value.items())]
    elif isinstance(value, list):
        parts = [(one, f"{place}.{number}") for number, one in enumerate(value)]
    else:
        return None
    places = (_unstorable(one, where) for one, where in parts)
    return next((found.lstrip(".") or "body" for found in places if found is not None), None)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ProblemError when it has a property twice, since either value may be the one that is meant."""
    properties = dict(pairs)
    if len(properties) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ProblemError(VALIDATION_ERROR, errors=[(twice[:60] or "body", _("This property stands here twice."))])
    return properties


def _no_constant(name: str) -> NoReturn:
    raise ProblemError(INVALID_JSON, _("%(name)s is not JSON.") % {"name": name})
