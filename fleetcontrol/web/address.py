"""The address that a request came from."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class AddressMiddleware:
    """Make REMOTE_ADDR a plain address, which the database takes.

    Behind a proxy, it is the address that the proxy saw: the last one in X-Forwarded-For.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        address = plain_address(request.META.get("REMOTE_ADDR", ""))
        if settings.BEHIND_PROXY:
            last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2]
            # If the proxy is misconfigured, its own address is better than none.
            address = plain_address(last) or address
        request.META["REMOTE_ADDR"] = address
        return self.get_response(request)


def plain_address(text: str) -> str:
    """The IP address without what proxies and systems add: a port (Azure), brackets, quotes, a zone. "" if none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
