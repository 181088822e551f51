"""The API's description for programs and for people, and a page for each type of problem. None needs a sign-in."""

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
from django.views.decorators.http import require_safe

from fleetcontrol.api.openapi import description
from fleetcontrol.api.problems import CATALOGUE


@dataclass(frozen=True, slots=True)
class Property:
    """A property of a body or a parameter of an address."""

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
def docs(request: HttpRequest) -> HttpResponse:
    made = described()
    return render(request, "api/docs.html", {"info": made["info"], "chapters": chapters(made)})


@login_not_required
@require_safe
def problem(request: HttpRequest, name: str) -> HttpResponse:
    if name not in CATALOGUE:
        raise Http404
    return render(request, "api/problem.html", {"problem": CATALOGUE[name], "others": CATALOGUE.values()})


def described() -> dict[str, Any]:
    """The description of the API as it is put together in API_URLCONF."""
    return description(import_module(settings.API_URLCONF).api)


def chapters(made: Mapping[str, Any]) -> list[tuple[str, list[Operation]]]:
    """The operations by their tag, in the order of the description."""
    found = defaultdict(list)
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(shown(made, path, method, operation))
    return list(found.items())


def shown(made: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> Operation:
    sent: Mapping[str, Any] = next(iter(operation.get("requestBody", {}).get("content", {}).values()), {})
    success = next(iter(operation["responses"].values()))
    returned: Mapping[str, Any] = next(iter(success.get("content", {}).values()), {})
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=operation.get("description", ""),
        permission=operation["x-permission"] or "",
        parameters=[parameter(made, one) for one in operation["parameters"]],
        body=list(properties(made, sent.get("schema", {}))),
        sends=pretty(sent.get("example")),
        returns=pretty(returned.get("example")),
        answers=[
            (status, [name for content in one.get("content", {}).values() for name in content.get("examples", {})])
            for status, one in operation["responses"].items()
        ],
    )


def parameter(made: Mapping[str, Any], one: Mapping[str, Any]) -> Property:
    one = resolved(made, one)
    words = one.get("description") or one["schema"].get("description", "")
    return Property(one["name"], kind(made, one["schema"]), one.get("required", False), words)


def properties(made: Mapping[str, Any], schema: Mapping[str, Any], prefix: str = "") -> Iterator[Property]:
    """All properties of a schema, those of nested objects with dots; of alternatives the first."""
    schema = resolved(made, schema)
    if "oneOf" in schema or "anyOf" in schema:
        schema = resolved(made, (schema.get("oneOf") or schema["anyOf"])[0])
    for name, one in schema.get("properties", {}).items():
        nested = resolved(made, one)
        if "properties" in nested:
            yield from properties(made, nested, f"{prefix}{name}.")
        else:
            required = name in schema.get("required", [])
            yield Property(f"{prefix}{name}", kind(made, one), required, one.get("description", ""))


def kind(made: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A schema's type in a word or two, with its greatest length."""
    schema = resolved(made, schema)
    if "anyOf" in schema:
        return " | ".join(kind(made, one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"] if one != "")
    words = schema.get("format") or schema.get("type", "")
    return f"{words} ≤ {schema['maxLength']}" if "maxLength" in schema else str(words)


def resolved(made: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference refers to, also one with a default beside it."""
    if len(schema.get("allOf", ())) == 1:
        schema = schema["allOf"][0]
    if "$ref" not in schema:
        return schema
    found: Any = made
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return resolved(made, found)


def pretty(example: Any) -> str:
    if isinstance(example, str):  # a file
        return example
    return json.dumps(example, indent=2, ensure_ascii=False) if example is not None else ""
