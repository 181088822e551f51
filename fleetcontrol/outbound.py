"""The only way out: a POST over https that nobody can turn against the operator's own network.

Resolve a name once, check every address it gives, and connect to one of the checked addresses: a name that resolves
differently a moment later changes nothing. Follow no redirects, and use no proxies and certificate files of the
environment. One deadline covers the whole exchange, including name lookup, handshake and an answer that drips in.

`Address.parse` is the one place that reads an address, when it is entered and again when it is used: a row may hold
anything.
"""

import asyncio
import ipaddress
import logging
import queue
import re
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import httpx2
from django.views.decorators.debug import sensitive_variables

SECONDS = 10.0
MOST_BYTES = 64 * 1024
# Limits the time for one of several addresses, so that one that swallows packets leaves time for the others.
_CONNECT_SECONDS = 4.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED")
PORTS = (443,)
_LONGEST = 2_000  # characters
# Narrower than the standard: no user name, no fragment, nothing that two parsers could read differently.
_ADDRESS = re.compile(
    r"https://(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][a-z0-9._~:/?@!$&'()*+,;=%-]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)

logger = logging.getLogger(__name__)


class BadAddress(ValueError):
    """This is no address to post to. `reason` is "form", or "port" if only the port is not allowed."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Address:
    """An https address that every parser reads alike. `host` is in small ASCII letters, IPv6 without brackets."""

    url: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str, *, ports: Collection[int] = PORTS) -> Self:
        """Read an address. Raises BadAddress, and nothing else, whatever the text is."""
        found = _ADDRESS.fullmatch(url) if len(url) <= _LONGEST else None
        if not found:
            raise BadAddress("form")
        host = found["host"].lower()
        try:
            if host.startswith("["):
                host = str(ipaddress.IPv6Address(host[1:-1]))
            elif not all(map(_LABEL.fullmatch, host.split("."))):
                raise BadAddress("form")
            httpx2.URL(url).host  # noqa: B018 - reads names of other alphabets, which may be malformed
        except (ValueError, httpx2.InvalidURL):
            raise BadAddress("form") from None
        port = int(found["port"] or 443)
        if port not in ports:
            raise BadAddress("port")
        return cls(url, host, port)


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

    `reason` is one of: address, port, name, private, connect, timeout, certificate, own_certificate, large, broken,
    unexpected (something failed here; the log says more).
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
    private_hosts: Collection[str] = (),
    ports: Collection[int] = PORTS,
    seconds: float = SECONDS,
) -> Answer:
    """Send `content` to an https URL and return the answer, whatever its status. Raises NoAnswer, and nothing else.

    `private_hosts` may be in the operator's own network. The caller decides which other hosts are allowed.
    """
    deadline = time.monotonic() + seconds
    try:
        target = Address.parse(url, ports=ports)
    except BadAddress as bad:
        raise NoAnswer("port" if bad.reason == "port" else "address") from None
    headers = {**headers, "Accept-Encoding": "identity"}
    try:
        if detour:
            endpoints, trust = [(detour.address, detour.port)], detour.trust
        else:
            found = resolve(target.host, target.port, seconds, private=target.host in private_hosts)
            endpoints = [(address, target.port) for address in found]
        return asyncio.run(_send(target, endpoints, headers, content, trust or system_trust(), deadline))
    except NoAnswer:
        raise
    except (TimeoutError, httpx2.TimeoutException):
        raise NoAnswer("timeout") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError) as error:
        raise NoAnswer(_reason_of(error)) from None
    except Exception as error:  # noqa: BLE001 - raised again as another
        # Neither the error's text nor its frames: both hold the request, and an error report would show it.
        place = traceback.extract_tb(error.__traceback__)[-1]
        words = "Posting to %s failed unexpectedly: %s in %s, line %s."
        logger.error(words, target.host, type(error).__name__, place.filename, place.lineno)
        raise NoAnswer("unexpected") from None


def host_of(url: str) -> str:
    """The host that `post` would speak to, in small letters; "" if it would speak to none."""
    try:
        return Address.parse(url).host
    except BadAddress:
        return ""


def resolve(host: str, port: int, seconds: float, *, private: bool = False) -> list[str]:
    """The addresses of a name, all of them public unless `private` allows others. Raises NoAnswer.

    Look the name up in a thread, because a slow name server may take far longer than any deadline.
    """
    result: queue.Queue[list[str]] = queue.Queue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except (OSError, ValueError, OverflowError):
            result.put([])

    threading.Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        addresses = result.get(timeout=seconds)
    except queue.Empty:
        raise NoAnswer("timeout") from None
    if not addresses:
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
    target: Address,
    endpoints: list[tuple[str, int]],
    headers: Mapping[str, str],
    content: bytes,
    trust: ssl.SSLContext,
    deadline: float,
) -> Answer:
    """Try the addresses in turn until one accepts the connection. Once sent, a request is never sent again."""
    named = httpx2.URL(target.url)
    headers = {**headers, "Host": named.netloc.decode("ascii")}
    timeout = httpx2.Timeout(SECONDS, connect=_CONNECT_SECONDS if len(endpoints) > 1 else SECONDS)
    async with (
        asyncio.timeout(max(deadline - time.monotonic(), 0)),
        httpx2.AsyncClient(verify=trust, trust_env=False, timeout=timeout, follow_redirects=False) as client,
    ):
        for number, (address, port) in enumerate(endpoints, start=1):
            url = named.copy_with(host=address, port=port)
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
