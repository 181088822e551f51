"""Log lines: one JSON object each, with the flow id of their request and without secrets.

No code logs what people or programs send. This module removes what slips into a message all the same and looks like a
secret. Tracebacks hold no values, and error reports show none either.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ulid import ULID

HIDDEN = "[hidden]"
_LONGEST = 32_768  # characters of one text in a line
_VALID_FLOW_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_encode = json.JSONEncoder(ensure_ascii=False).encode
_flow_id: ContextVar[str] = ContextVar("flow_id", default="")
_requests = logging.getLogger("fleetcontrol.requests")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request", "server_time"}
# What secrets look like: words, the pattern, and its replacement. The pattern is searched only if the text, in lower
# case, contains one of the words, which spares nearly every line the search. People without an account choose texts
# that come here, so each pattern takes time in proportion to the text: repetitions are possessive, or end at a
# character with which the next match cannot begin.
_SECRETS = [
    (("gaaaaa",), re.compile(r"gAAAAA[\w=-]{20,}+"), HIDDEN),  # encrypted by Fernet
    (("eyj",), re.compile(r"\beyJ[\w.-]{12,}+"), HIDDEN),  # a signed token
    (("bearer", "basic"), re.compile(r"(?i)\b(bearer|basic)\s++[\w.~+/=-]{8,}+"), rf"\1 {HIDDEN}"),
    (
        ("secret", "passw", "token", "apikey", "api_key"),
        re.compile(
            r"(?i)((?:secret|passw(?:or)?d|token|api_?key)[\"']?\s*+[=:]\s*+)"
            r"(\"[^\"]*+\"|'[^']*+'|[^\s&,;}]++)"
        ),
        rf"\1{HIDDEN}",
    ),
    (
        ("private key",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        HIDDEN,
    ),
    (
        ("/invitations/", "/reset/key/"),
        re.compile(r"(/invitations/|/password/reset/key/)[^/\s\"']++"),
        rf"\1{HIDDEN}",
    ),
    (
        ("://",),
        re.compile(r"(?i)\b(postgres(?:ql)?|smtp\w*+|https?)(\+\w++)?://[^/\s:@]++:[^/\s@]++@"),
        rf"\1\2://{HIDDEN}@",
    ),
]
_WORDS = tuple(word for words, _pattern, _replacement in _SECRETS for word in words)


def without_secrets(text: str) -> str:
    """The text without anything that looks like a secret, and cut if it is longer than any line should be."""
    text = _cut(text)
    folded = text.casefold()
    for words, pattern, replacement in _SECRETS:
        if any(word in folded for word in words):
            text = pattern.sub(replacement, text)
    return text


@contextmanager
def flow(flow_id: str) -> Iterator[None]:
    """Give everything that is logged inside this flow id."""
    token = _flow_id.set(flow_id)
    try:
        yield
    finally:
        _flow_id.reset(token)


class JsonLines(logging.Formatter):
    """One JSON object: time, level, logger, message, flow_id, the caller's `extra`, and an exception's traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        if flow_id := _flow_id.get():
            line["flow_id"] = flow_id
        line |= {key: _plain(value) for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info:
            line["exception"] = _cut(self.formatException(record.exc_info))
        text = _encode(line)
        if not _suspicious(text):  # true for nearly every line: one search instead of one per value
            return text
        hidden = {key: without_secrets(value) if isinstance(value, str) else value for key, value in line.items()}
        return _encode(hidden)


class Plain(logging.Formatter):
    """Readable lines for the terminal of a trial, equally without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class FlowIdMiddleware:
    """Give every request a `flow_id`, the client's if it is valid, and return it in a header of the response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.META
        requested = sent.get("HTTP_X_INVERS_FLOW_ID") or sent.get("HTTP_X_FLOW_ID") or ""
        flow_id = requested if _VALID_FLOW_ID.fullmatch(requested) else str(ULID())
        request.flow_id = flow_id  # type: ignore[attr-defined]  # read through FleetRequest
        response = self.get_response(request)
        response["X-INVERS-Flow-ID"] = response["X-Flow-ID"] = flow_id
        return response


class RequestMiddleware:
    """Log one line per request. It holds the route, not the path, because some paths hold the token of a link."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        with flow(getattr(request, "flow_id", "")):
            response = self.get_response(request)
            facts = {
                "method": request.method,
                "route": request.resolver_match.route if request.resolver_match else "",
                "status": response.status_code,
                "ms": round((time.perf_counter() - start) * 1000, 1),
                "address": request.META.get("REMOTE_ADDR", ""),
            }
            _requests.info("%(method)s %(route)s %(status)s", facts, extra=facts)
        return response


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " […]"


def _suspicious(text: str) -> bool:
    folded = text.casefold()
    return any(word in folded for word in _WORDS)
