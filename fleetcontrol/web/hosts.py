"""Which Host a request may name: PUBLIC_URL's or a listed one, with the port that stands beside it in the settings.

Django compares names alone, so that a page would write links to whatever port a visitor names.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host


class HostMiddleware:
    """Make `request.get_host`, which everybody asks, refuse a port that is not the host's as well."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.get_host = partial(known_host, request)  # type: ignore[method-assign]  # of this request alone
        return self.get_response(request)


def known_host(request: HttpRequest) -> str:
    """The Host of a request. Raises DisallowedHost if it is neither PUBLIC_URL's nor listed."""
    host = HttpRequest.get_host(request)  # checks the name
    name, port = split_domain_port(host)
    own_port = "443" if settings.HTTPS else "80"
    listed = [*settings.KNOWN_HOST_PORTS, *((pattern, "") for pattern in settings.ALLOWED_HOSTS)]
    ports = {listed_port for pattern, listed_port in listed if validate_host(name, [pattern])}
    if port in ports or port == own_port or validate_host(name, settings.HOSTS_ON_ANY_PORT):
        return host
    raise DisallowedHost(f"The port of the Host header {host!r} is not PUBLIC_URL's. You may add it to ALLOWED_HOSTS.")
