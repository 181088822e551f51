"""Every page of the product, read from the URLconf, so that a new page cannot be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

OTHERS = ("admin", "api")  # Django's admin has its own test, and the API has no pages


@dataclass(frozen=True, slots=True)
class Pattern:
    name: str
    parameters: tuple[str, ...]


def patterns(
    resolver: URLResolver | None = None, namespace: str = "", above: tuple[str, ...] = ()
) -> Iterator[Pattern]:
    """Yield every named URL with the parameters it needs."""
    for entry in (resolver or get_resolver()).url_patterns:
        parameters = above + tuple(entry.pattern.regex.groupindex)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            if not inner.startswith(OTHERS):
                yield from patterns(entry, inner, parameters)
        elif isinstance(entry, URLPattern) and entry.name:
            yield Pattern(namespace + entry.name, parameters)
