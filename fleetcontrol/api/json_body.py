"""The strict parser of JSON bodies: UTF-8, each property once, no NaN, no text that the database cannot store."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, NoReturn

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.parser import Parser

from fleetcontrol.api.problems import INVALID_JSON, VALIDATION_ERROR, ProblemError

MOST_PROPERTIES = 1000  # of one object
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


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
        way = _unstorable(value)
        if way is not None:
            words = _("A text holds a NUL or half a surrogate pair.")
            raise ProblemError(VALIDATION_ERROR, errors=[(".".join(reversed(way)) or "body", words)])
    return value


def _unstorable(value: Any) -> list[str] | None:
    """The way to the first such character, from there back to the body; None when there is none."""
    if isinstance(value, str):
        return [] if _UNSTORABLE.search(value) else None
    parts: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        if any(map(_UNSTORABLE.search, value)):
            return []
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for name, one in parts:
        if (way := _unstorable(one)) is not None:
            way.append(str(name))
            return way
    return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ProblemError when it has too many properties, or has one twice, since either value may be the
    one that is meant.
    """
    if len(pairs) > MOST_PROPERTIES:
        words = _("An object may have up to %(most)d properties.") % {"most": MOST_PROPERTIES}
        raise ProblemError(VALIDATION_ERROR, errors=[("body", words)])
    properties = dict(pairs)
    if len(properties) < len(pairs):
        [(twice, _count)] = Counter(name for name, _value in pairs).most_common(1)
        raise ProblemError(VALIDATION_ERROR, errors=[(twice[:60] or "body", _("This property stands here twice."))])
    return properties


def _no_constant(name: str) -> NoReturn:
    raise ProblemError(INVALID_JSON, _("%(name)s is not JSON.") % {"name": name})
