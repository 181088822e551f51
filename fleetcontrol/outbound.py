"""The only way out: a POST over https that nobody can turn against the operator's own network.

Resolve a name once, check every address it gives, and connect to one of the checked addresses: a name that resolves
differently a moment later changes nothing. Follow no redirects, and use no proxies and certificate files of the
environment. One deadline covers the whole exchange, including name lookup, handshake and an answer that drips in.
"""

import asyncio
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import httpx2
from django.views.decorators.debug import sensitive_variables

SECONDS = 10.0
MOST_BYTES = 64 * 1024
# Limits the time for one of several addresses, so that one that swallows packets leaves time for the others.
_CONNECT_SECONDS = 4.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The body is at most 64 KiB, and still bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Detour:
    """Where to connect instead of the name's own addresses: a program on this machine that plays the OEMs."""

    address: str
    port: int
    trust: ssl.SSLContext


class NoAnswer(Exception):
    """No usable answer came.

    `reason` is one of: name, private, connect, timeout, certificate, own_certificate, large, broken.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@sensitive_variables()
def post(
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes,
    trust: ssl.SSLContext | None = None,
    detour: Detour | None = None,
    private: bool = False,
    seconds: float = SECONDS,
) -> Answer:
    """Send `content` to an https URL and return the answer, whatever its status. Raises NoAnswer.

    `private` allows addresses of the operator's own network. The caller decides which hosts are allowed.
    """
    deadline = time.monotonic() + seconds
    target = httpx2.URL(url)
    if target.scheme != "https":
        raise ValueError("Only https leaves this house.")
    if detour:
        endpoints, trust = [(detour.address, detour.port)], detour.trust
    else:
        port = target.port or 443
        endpoints = [(address, port) for address in resolve(target.host, port, seconds, private=private)]
    headers = {**headers, "Accept-Encoding": "identity"}
    try:
        return asyncio.run(_send(target, endpoints, headers, content, trust or system_trust(), deadline))
    except NoAnswer:
        raise
    except (TimeoutError, httpx2.TimeoutException):
        raise NoAnswer("timeout") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError) as error:
        raise NoAnswer(_reason_of(error)) from None
    except Exception as error:  # noqa: BLE001 - raised again as another
        # Drop the frames of the original error: they hold the request, and an error report would show it.
        raise RuntimeError(f"Posting to {target.host} failed unexpectedly: {type(error).__name__}.") from None


def host_of(url: str) -> str:
    """The host that `post` would speak to, in small letters; "" if this is no URL."""
    try:
        return httpx2.URL(url).host.lower()
    except httpx2.InvalidURL:
        return ""


def resolve(host: str, port: int, seconds: float, *, private: bool = False) -> list[str]:
    """The addresses of a name, all of them public unless `private` allows others. Raises NoAnswer.

    Look the name up in a thread, because a slow name server may take far longer than any deadline.
    """
    result: queue.Queue[list[str] | OSError] = queue.Queue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except (OSError, UnicodeError) as error:
            result.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        addresses = result.get(timeout=seconds)
    except queue.Empty:
        raise NoAnswer("timeout") from None
    if isinstance(addresses, OSError) or not addresses:
        raise NoAnswer("name")
    if not private and not all(is_public(address) for address in addresses):
        raise NoAnswer("private")
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is on the public internet. For IPv6 forms that wrap an IPv4 address, the inner one counts."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast


@lru_cache(maxsize=1)
def system_trust() -> ssl.SSLContext:
    """A context that trusts the certificate authorities of this machine, read once."""
    return new_trust()


def new_trust() -> ssl.SSLContext:
    """The same as a new context, for a caller that adds a client certificate."""
    return httpx2.create_ssl_context(trust_env=False)


@sensitive_variables()
async def _send(
    target: httpx2.URL,
    endpoints: list[tuple[str, int]],
    headers: Mapping[str, str],
    content: bytes,
    trust: ssl.SSLContext,
    deadline: float,
) -> Answer:
    """Try the addresses in turn until one accepts the connection. Once sent, a request is never sent again."""
    headers = {**headers, "Host": target.netloc.decode("ascii")}
    timeout = httpx2.Timeout(SECONDS, connect=_CONNECT_SECONDS if len(endpoints) > 1 else SECONDS)
    async with (
        asyncio.timeout(max(deadline - time.monotonic(), 0)),
        httpx2.AsyncClient(verify=trust, trust_env=False, timeout=timeout, follow_redirects=False) as client,
    ):
        for number, (address, port) in enumerate(endpoints, start=1):
            url = target.copy_with(host=address, port=port)
            request = client.build_request(
                "POST", url, headers=headers, content=content, extensions={"sni_hostname": target.host}
            )
            try:
                response = await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(endpoints):
                    raise
                continue
            try:
                return Answer(response.status_code, dict(response.headers), await _read_body(response))
            finally:
                await response.aclose()
    raise NoAnswer("connect")


async def _read_body(response: httpx2.Response) -> bytes:
    """The raw body. Refuse a compressed one, which the request did not ask for and which could be a bomb."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswer("broken")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise NoAnswer("large")
    return bytes(body)


def _reason_of(error: BaseException) -> str:
    """The reason of NoAnswer for a network error, which the errors behind it may tell better."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate"
        if isinstance(cause, ssl.SSLError) and any(alert in str(cause).upper() for alert in _CERTIFICATE_ALERTS):
            return "own_certificate"
        cause = cause.__cause__ or cause.__context__
    return "connect" if isinstance(error, httpx2.ConnectError) else "broken"
