"""What the operations of the API share: authentication and permissions, bodies, answers, pages and ETags.

An operation is a function of a router with `**operation(...)`. The permission it needs is checked before it runs, and
stands in the OpenAPI description together with every problem it can answer (see `fleetcontrol.api.openapi`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from operator import itemgetter
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from gunicorn.http.errors import NoMoreData, ParseException
from ninja import Schema
from ninja.operation import Operation
from ninja.params.functions import Path as PathParameter
from ninja.security import HttpBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fleetcontrol.api import oauth
from fleetcontrol.api.problems import (
    INVALID_JSON,
    PAYLOAD_TOO_LARGE,
    RESOURCE_MODIFIED,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    Problem,
    ProblemError,
)
from fleetcontrol.audit.models import Actor
from fleetcontrol.audit.versions import version_at
from fleetcontrol.db.reading import Reader
from fleetcontrol.people.models import Fleet

MOST_ITEMS = 1000
BODY_PROBLEMS = (INVALID_JSON, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)
# The description names only the first, because generated clients take no others for a file.
FILE_TYPES = (
    "application/octet-stream",
    "text/csv",
    "application/jsonl",
    "application/json",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "multipart/form-data",
)
_TIMES = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS  # 2026-10-17T14:30:00Z
_PARAMETER = re.compile(r"[a-z][a-z_-]{0,30}")


class ApiRequest(HttpRequest):
    """A request with what `Bearer` and FlowIdMiddleware add to it."""

    caller: oauth.Caller
    fleet: Fleet
    actor: Actor
    flow_id: str


class JsonBody(BaseModel):
    """The body of a request. Unknown properties are refused, and no value is converted to another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


Id = Annotated[
    str,
    PathParameter(
        description="The ID that FleetControl assigned, 26 characters.", example="01F62857KMPG2NE2GK1W2N3QYS"
    ),
]
"""The id in the path of an operation."""


class PageQuery(Schema):
    """The parameters of every list."""

    limit: int = Field(100, ge=1, le=MOST_ITEMS, description="The maximum number of items.")
    page_token: str | None = Field(
        None,
        max_length=200,
        description="`next_page_token` of the previous page. Without it the answer is the first page.",
    )


class Bearer(HttpBearer):
    """Authenticates a request by the access token in its Authorization header, and checks the client's permission.

    A client that may ask is then refused a parameter that the operation does not know, and a body where it takes none.
    """

    def __init__(self, permission: str, parameters: Collection[str], *, takes_body: bool) -> None:
        super().__init__()
        self.permission, self.parameters, self.takes_body = permission, parameters, takes_body

    def __call__(self, request: HttpRequest) -> oauth.Caller:
        caller = oauth.authenticate(request)
        if self.permission:
            caller.must_have(self.permission)
        if unknown := [name for name in request.GET if name not in self.parameters]:
            words = _("There is no such parameter.")
            if self.parameters:
                words += " " + _("The parameters are: %(names)s.") % {"names": ", ".join(self.parameters)}
            # What has not the form of a name may be a secret in a wrong place, and is not repeated.
            names = [name if _PARAMETER.fullmatch(name) else "query" for name in unknown]
            raise ProblemError(VALIDATION_ERROR, errors=[(name, words) for name in names])
        if request.method == "POST" and not self.takes_body and request.body.strip() not in (b"", b"{}"):
            raise ProblemError(VALIDATION_ERROR, errors=[("body", _("This takes no body."))])
        vars(request).update(caller=caller, fleet=caller.fleet, actor=caller.actor)  # it is an ApiRequest from here on
        return caller

    def authenticate(self, request: HttpRequest, token: str) -> None:
        raise NotImplementedError("__call__ authenticates without this method of HttpBearer")


def operation(
    permission: str,
    summary: str,
    answers: Mapping[int, Any],
    *,
    problems: Iterable[Problem] = (),
    query: type[BaseModel] | None = None,
    sends: Any = None,
    returns: Any = None,
    etag: bool = False,
    if_match: bool = False,
    idempotent: bool = False,
    takes: str = "",
    gives: str = "",
    links: Collection[str] = (),
) -> dict[str, Any]:
    """The keyword arguments of a router's decorator.

    `query` declares the parameters in the query, `problems` those that not every operation can answer. `sends` is an
    example of the body and `returns` of the answer. A body or an answer that is a file has its media type in `takes` or
    `gives`. `links` are the ids of the operations that take the id in the answer as theirs.
    """
    return {
        "auth": Bearer(permission, query.model_fields if query else (), takes_body=sends is not None),
        "summary": summary,
        "response": dict(answers),
        "openapi_extra": {
            "x-invers-permission": permission,
            "x-contract": {
                "problems": [problem.name for problem in problems],
                "sends": sends,
                "returns": returns,
                "etag": etag,
                "if_match": if_match,
                "idempotency_key": idempotent,
                "takes": takes,
                "gives": gives,
                "links": list(links),
            },
        },
    }


def answer(data: Any, *, status: int = 200, etag: str = "", private: bool = False) -> HttpResponse:
    """An answer in JSON. It is not validated against its schema: the tests do that for each operation."""
    headers = {"ETag": etag} if etag else {}
    if private:
        headers["Cache-Control"] = "no-store"
    text = orjson.dumps(data, option=_TIMES)
    return HttpResponse(text, status=status, content_type="application/json", headers=headers)


def no_content() -> HttpResponse:
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


def read_body(request: HttpRequest, most: int) -> bytes:
    """The body, even a chunked one, which Django does not read. Raises ProblemError above `most` bytes."""
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    source = request.META["wsgi.input"] if chunked and request.META.get("wsgi.input_terminated") else request
    too_long = int(request.META.get("CONTENT_LENGTH") or 0) > most
    try:
        body = b"" if too_long else source.read(most + 1)
    except (ParseException, NoMoreData):
        raise ProblemError(
            VALIDATION_ERROR, errors=[("body", _("The body broke off, or its chunks are wrong."))]
        ) from None
    if too_long or len(body) > most:
        words = _("A body may have up to %(size)s.") % {"size": filesizeformat(most)}
        raise ProblemError(PAYLOAD_TOO_LARGE, words)
    request._body = body  # HttpRequest.body returns it from there
    request.META["CONTENT_LENGTH"] = str(len(body))
    return bytes(body)


def page(
    request: ApiRequest, query: PageQuery, reader: Reader, *, rows: QuerySet[Any] | None = None, **filters: Any
) -> HttpResponse:
    """One page of `rows`, or else of all rows for which the filters hold.

    Its order is that of the ids, which is the order of adding: a row that is added meanwhile comes last.
    """
    after = _after(request, query)
    if rows is not None:
        found = reader.among(rows, after, query.limit + 1)
    else:
        found = reader.after(request.fleet.pk, after, query.limit + 1, **filters)
    return _page(request, found[: query.limit], more=len(found) > query.limit)


def page_of_few(request: ApiRequest, items: Iterable[dict[str, Any]], query: PageQuery) -> HttpResponse:
    """One page of a list that is in memory, in the order of the ids."""
    after = _after(request, query)
    found = sorted((one for one in items if one["id"] > after), key=itemgetter("id"))
    return _page(request, found[: query.limit], more=len(found) > query.limit)


def example_page(item: dict[str, Any]) -> dict[str, Any]:
    """An example of a list's answer: one page with this item."""
    return {"items": [item], "next_page_token": None}


def etag_of(changed_at: datetime) -> str:
    """The ETag of an object by the microsecond of its last change. A use or a check of it is no change."""
    return f'"{version_at(changed_at)}"'


def must_match(request: HttpRequest, changed_at: datetime) -> None:
    """Raise ProblemError resource-modified when an If-Match header names another version.

    Call it with the row locked, so that nobody changes the row after the comparison.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None or wanted.strip() == "*":
        return
    if etag_of(changed_at) not in [one.strip() for one in wanted.split(",")]:
        raise ProblemError(RESOURCE_MODIFIED, headers={"ETag": etag_of(changed_at)})


def not_found(noun: str, pk: str) -> ProblemError:
    """The problem of an id in the path that belongs to nothing in this fleet."""
    words = _("This fleet has no %(noun)s “%(id)s”.") % {"noun": noun, "id": pk[:60]}
    return ProblemError(RESOURCE_NOT_FOUND, words)


def _page(request: ApiRequest, items: list[dict[str, Any]], *, more: bool) -> HttpResponse:
    return answer({"items": items, "next_page_token": _tokens_of(request).sign(items[-1]["id"]) if more else None})


def _tokens_of(request: ApiRequest) -> signing.Signer:
    """What signs the page tokens of this list with these filters, and no others."""
    filters = sorted((name, value) for name, value in request.GET.items() if name not in ("limit", "page_token"))
    return signing.Signer(salt=f"page token {request.fleet.pk} {request.path} {urlencode(filters)}")


def _after(request: ApiRequest, query: PageQuery) -> str:
    if not query.page_token:
        return ""
    try:
        return _tokens_of(request).unsign(query.page_token)
    except signing.BadSignature:
        words = _("This is not a page token of this list with these filters.")
        raise ProblemError(VALIDATION_ERROR, errors=[("page_token", words)]) from None


def _day(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for days."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return value
    raise ValueError(_("Write a day like 2026-10-17."))


Day = Annotated[date, Field(strict=False), BeforeValidator(_day, json_schema_input_type=date)]


def takes_file(operation: Operation) -> bool:
    """Whether the body of this operation is a file."""
    return bool((operation.openapi_extra or {})["x-contract"]["takes"])
