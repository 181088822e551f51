"""Pages that need no sign-in: the API's description for programs and for people, and each type of problem."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from fleetcontrol.api.models import PERMISSIONS
from fleetcontrol.api.openapi import TOKEN_PATH, description
from fleetcontrol.api.problems import CATALOGUE


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a body, or a parameter in the path or the query."""

    name: str
    type: str
    required: bool
    words: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    words: str
    permission: str
    parameters: list[Property]
    body: list[Property]
    sends: str
    returns: str
    answers: list[tuple[str, list[str]]] = field(default_factory=list)


@login_not_required
@require_safe
def openapi_json(request: HttpRequest) -> HttpResponse:
    return JsonResponse(described(), json_dumps_params={"ensure_ascii": False})


@login_not_required
@require_safe
def metadata(request: HttpRequest) -> HttpResponse:
    """What OAuth clients find out by themselves (RFC 8414), also where OpenID Connect's clients look for it."""
    return JsonResponse(
        {
            "issuer": settings.PUBLIC_URL,
            "token_endpoint": f"{settings.PUBLIC_URL}{TOKEN_PATH}",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": list(PERMISSIONS),
            "service_documentation": f"{settings.PUBLIC_URL}{reverse('docs:index')}",
        }
    )


@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    document = described()
    return render(request, "api/docs.html", {"info": document["info"], "chapters": chapters(document)})


@login_not_required
@require_safe
def problem(request: HttpRequest, name: str) -> HttpResponse:
    if name not in CATALOGUE:
        raise Http404
    return render(request, "api/problem.html", {"problem": CATALOGUE[name], "others": CATALOGUE.values()})


def described() -> dict[str, Any]:
    """The description of the API that API_URLCONF puts together."""
    return description(import_module(settings.API_URLCONF).api)


def chapters(document: Mapping[str, Any]) -> list[tuple[str, list[Operation]]]:
    """The operations by their tag, in the order of the description."""
    by_tag = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(operation_of(document, path, method, operation))
    return list(by_tag.items())


def operation_of(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    sent: Mapping[str, Any] = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {})
    success = next(iter(operation["responses"].values()))
    returned: Mapping[str, Any] = next(iter(success.get("content", {}).values()), {})
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=operation.get("description", ""),
        permission=operation["x-invers-permission"] or "",
        parameters=[parameter(document, one) for one in operation["parameters"]],
        body=list(properties(document, sent.get("schema", {}))),
        sends=pretty(sent.get("example")),
        returns=pretty(returned.get("example")),
        answers=[
            (status, [name for content in one.get("content", {}).values() for name in content.get("examples", {})])
            for status, one in operation["responses"].items()
        ],
    )


def parameter(document: Mapping[str, Any], one: Mapping[str, Any]) -> Property:
    one = resolved(document, one)
    words = one.get("description") or one["schema"].get("description", "")
    return Property(one["name"], kind(document, one["schema"]), one.get("required", False), words)


def properties(document: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[Property]:
    """The properties of a schema, or of its first alternative. Those of a nested object are written with dots."""
    schema = resolved(document, schema)
    if "oneOf" in schema or "anyOf" in schema:
        schema = resolved(document, (schema.get("oneOf") or schema["anyOf"])[0])
    for name, one in schema.get("properties", {}).items():
        nested = resolved(document, one)
        if "properties" in nested:
            yield from properties(document, nested, f"{prefix}{name}.")
        else:
            required = name in schema.get("required", [])
            yield Property(f"{prefix}{name}", kind(document, one), required, one.get("description", ""))


def kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type of a schema in a word or two, with the maximum length."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        return " | ".join(kind(document, one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"] if one != "")
    words = schema.get("format") or schema.get("type", "")
    return f"{words} ≤ {schema['maxLength']}" if "maxLength" in schema else str(words)


def resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference refers to, even when the reference stands in `allOf` beside a default."""
    if len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    if "$ref" not in schema:
        return schema
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(document, found)


def pretty(example: Any) -> str:
    if isinstance(example, str):  # a file
        return example
    return json.dumps(example, indent=2, ensure_ascii=False) if example is not None else ""
