"""The API in OpenAPI 3.1: what django-ninja knows of the operations, and what `operations.operation` adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from http.client import responses as status_words
from typing import Any

from django.utils.translation import override
from ninja import NinjaAPI

from fleetcontrol.api.models import PERMISSIONS
from fleetcontrol.api.problems import (
    CATALOGUE,
    INTERNAL_SERVER_ERROR,
    INVALID_CREDENTIALS,
    MISSING_CREDENTIALS,
    MISSING_PERMISSIONS,
    OEM_SIGN_IN_FAILED,
    SERVICE_UNAVAILABLE,
    TOO_MANY_REQUESTS,
    VALIDATION_ERROR,
    Problem,
)

TOKEN_PATH = "/auth/oauth/token"  # noqa: S105 - a path
FLOW_ID = "01JAE4S8W5X3RZ6VQF0N6B7C8D"
_EVERYWHERE = (
    VALIDATION_ERROR, MISSING_CREDENTIALS, INVALID_CREDENTIALS, MISSING_PERMISSIONS, TOO_MANY_REQUESTS,
    INTERNAL_SERVER_ERROR, SERVICE_UNAVAILABLE,
)  # fmt: skip
_WITH_WAIT = (
    TOO_MANY_REQUESTS.status,
    OEM_SIGN_IN_FAILED.status,
    SERVICE_UNAVAILABLE.status,
)  # answers that may have Retry-After
ABOUT = """\
Existing clients of the INVERS OneAPI work after a change of base address and client credentials. Get a token from \
`/auth/oauth/token` and send it as `Authorization: Bearer …`. Times are in UTC, to the second. Every answer has \
`X-INVERS-Flow-ID`. Errors are problems (RFC 9457); `type` is the path of a page that explains the problem."""


@cache
def description(api: NinjaAPI) -> dict[str, Any]:
    """The whole description, in English whatever the reader's language, because it is a contract."""
    with override("en"):
        document: dict[str, Any] = dict(api.get_openapi_schema(path_prefix=""))
        for path in document["paths"].values():
            for operation in path.values():
                _finish(operation)
        for schema in document["components"]["schemas"].values():
            for field in schema.get("properties", {}).values():
                # A generated client would send the default, and so change a field that its user did not set.
                field.pop("default", None)
        paths = sorted(document["paths"].items(), key=lambda item: "/imports" in item[0])  # imports come last
        document["paths"] = {TOKEN_PATH: {"post": _token_operation()}, **dict(paths)}
        document["info"]["description"] = ABOUT
        document["servers"] = [{"url": "/"}]
        document["components"]["schemas"] |= _SCHEMAS
        document["components"] |= {
            "examples": {problem.name: _example(problem) for problem in CATALOGUE.values()},
            "headers": _HEADERS,
            "parameters": _HEADER_PARAMETERS,
            "securitySchemes": _security(),
        }
    return document


def _finish(operation: dict[str, Any]) -> None:
    extra = operation.pop("x-contract")
    operation["security"] = [{"oauth2": [operation["x-invers-permission"]]}]
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            # They stand at the parameter, where ninja has copied them.
            del parameter["schema"]["description"], parameter["schema"]["example"]
    names = [name for name in ("If-Match", "Idempotency-Key") if extra[name.lower().replace("-", "_")]]
    operation["parameters"] += [{"$ref": f"#/components/parameters/{name}"} for name in names]
    if extra["takes"]:
        file = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {extra["takes"]: file}}
    if extra["sends"] is not None:
        next(iter(operation["requestBody"]["content"].values()))["example"] = extra["sends"]
    for answer in operation["responses"].values():
        if extra["gives"]:
            answer["content"] = {extra["gives"]: {"schema": {"type": "string"}, "example": extra["returns"]}}
        answer["headers"] = _header_references(["ETag"] if extra["etag"] else [])
        if extra["links"]:
            # A linked operation takes the parameters of this operation's path as well.
            path = [parameter["name"] for parameter in operation["parameters"] if parameter.get("in") == "path"]
            parameters = {"id": "$response.body#/id", **{name: f"$request.path.{name}" for name in path}}
            answer["links"] = {name: {"operationId": name, "parameters": parameters} for name in extra["links"]}
        for content in answer.get("content", {}).values():
            if extra["returns"] is not None:
                content["example"] = extra["returns"]
    operation["responses"] |= _problems([*(problem.name for problem in _EVERYWHERE), *extra["problems"]])
    operation["responses"] = {str(status): answer for status, answer in operation["responses"].items()}


def _problems(names: Iterable[str]) -> dict[int, Any]:
    """The answers with these problems, one for each status, with an example of each type."""
    by_status = defaultdict(list)
    for name in dict.fromkeys(names):
        by_status[CATALOGUE[name].status].append(CATALOGUE[name])
    return {
        status: {
            "description": " ".join(str(problem.meaning) for problem in problems),
            "headers": _header_references(["Retry-After"] if status in _WITH_WAIT else []),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        problem.name: {"$ref": f"#/components/examples/{problem.name}"} for problem in problems
                    },
                }
            },
        }
        for status, problems in sorted(by_status.items())
    }


def _example(problem: Problem) -> dict[str, Any]:
    value = {
        "type": problem.path,
        "type_documentation": f"https://fleet.example.com{problem.path}",
        "title": str(problem.title),
        "status": problem.status,
        "detail": str(problem.meaning),
        "flow_id": FLOW_ID,
    }
    return {"value": value}


def _token_operation() -> dict[str, Any]:
    def form(required: list[str], **properties: Any) -> dict[str, Any]:
        return {"type": "object", "properties": properties, "required": required}

    text = {"type": "string"}
    scope = {
        **text,
        "description": "The permissions of the token, separated by spaces. By default all that the client has.",
    }
    grant = {"type": "string", "enum": ["client_credentials"]}
    return {
        "operationId": "get_token",
        "summary": "Get an access token",
        "description": "OAuth 2.0 client credentials. Send ID and secret by HTTP Basic, or in the form as `client_id` "
        "and `client_secret`. Send `grant_type` in the form, or in the query as INVERS documents it.",
        "tags": ["Access token"],
        "x-invers-permission": None,
        "security": [{"basic": []}, {}],
        "parameters": [
            {"in": "query", "name": "grant_type", "required": False, "schema": grant},
            {"in": "query", "name": "scope", "required": False, "schema": scope},
        ],
        "requestBody": {
            "required": False,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": form([], grant_type=grant, scope=scope, client_id=text, client_secret=text),
                    "example": {"grant_type": "client_credentials"},
                }
            },
        },
        "responses": _token_answers(),
    }


def _token_answers() -> dict[str, Any]:
    """By status: the token, OAuth's own errors, and problems."""
    errors = {
        400: ["unsupported_grant_type", "invalid_scope", "invalid_request"],
        401: ["invalid_client"],
    }
    return {
        "200": {
            "description": status_words[200],
            "headers": _header_references([], limits=False),
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Token"},
                    "example": {"access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 900},
                }
            },
        },
        **{
            str(status): {
                "description": f"{', '.join(names)} (RFC 6749)",
                "headers": _header_references([], limits=False),
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/TokenError"},
                        "examples": {name: {"value": {"error": name}} for name in names},
                    }
                },
            }
            for status, names in errors.items()
        },
        **{str(status): answer for status, answer in _problems(_OF_TOKEN).items()},
    }


def _security() -> dict[str, Any]:
    scopes = {permission.name: str(permission.words) for permission in PERMISSIONS.values()}
    flow = {"tokenUrl": TOKEN_PATH, "scopes": scopes}
    return {
        "oauth2": {"type": "oauth2", "flows": {"clientCredentials": flow}},
        "basic": {"type": "http", "scheme": "basic"},
    }


def _header_references(more: Iterable[str], *, limits: bool = True) -> dict[str, Any]:
    names = ["X-INVERS-Flow-ID", "X-Flow-ID", *(_LIMITS if limits else ()), *more]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(words: str, kind: str = "string") -> dict[str, Any]:
    return {"description": words, "schema": {"type": kind}}


def _object(words: str, **properties: Any) -> dict[str, Any]:
    required = [name for name, schema in properties.items() if not schema.pop("optional", False)]
    return {"type": "object", "description": words, "properties": properties, "required": required}


_OF_TOKEN = [
    TOO_MANY_REQUESTS.name, INTERNAL_SERVER_ERROR.name, SERVICE_UNAVAILABLE.name, "payload-too-large",
    "unsupported-media-type",
]  # fmt: skip
_LIMITS = ("X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset")
_HEADERS = {
    "X-INVERS-Flow-ID": _header(
        "Finds the request in the log and the audit history. A valid one in the request is kept."
    ),
    "X-Flow-ID": _header("The same value as X-INVERS-Flow-ID."),
    "X-Rate-Limit-Limit": _header("Requests that the client may send per minute.", "integer"),
    "X-Rate-Limit-Remaining": _header("Requests that are left in this minute.", "integer"),
    "X-Rate-Limit-Reset": _header("When the minute ends, in seconds since the epoch.", "integer"),
    "Retry-After": _header("Seconds to wait.", "integer"),
    "ETag": _header("The version, for If-Match. A check or a use makes no new one."),
}
_HEADER_PARAMETERS = {
    "If-Match": {
        "in": "header",
        "name": "If-Match",
        "required": False,
        "description": "The ETag of the version to change. If there is a newer one, the answer is resource-modified.",
        "schema": {"type": "string"},
    },
    "Idempotency-Key": {
        "in": "header",
        "name": "Idempotency-Key",
        "required": False,
        "description": "The same key and body within 24 hours get the first answer again, and change nothing.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
}
_SCHEMAS: Mapping[str, Any] = {
    "Problem": _object(
        "A problem (RFC 9457). `type` is the path of a page that explains it.",
        type={"type": "string", "enum": [problem.path for problem in CATALOGUE.values()]},
        type_documentation={"type": "string", "format": "uri", "description": "The full address of that page."},
        title={"type": "string"},
        status={"type": "integer"},
        detail={"type": "string"},
        flow_id={"type": "string"},
        errors={"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}, "optional": True},
    ),
    "FieldError": _object(
        "What is wrong with one field. A nested field is written with dots, such as master_data.vin.",
        field={"type": "string"},
        message={"type": "string"},
    ),
    "Token": _object(
        "An access token. It works for 900 seconds.",
        access_token={"type": "string"},
        token_type={"type": "string", "enum": ["bearer"]},
        expires_in={"type": "integer"},
        scope={"type": "string"},
    ),
    "TokenError": _object(
        "An error of OAuth 2.0.",
        error={"type": "string"},
        error_description={"type": "string", "optional": True},
    ),
}
