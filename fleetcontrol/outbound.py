"""The one door to the outside: a POST over https that cannot be turned against the operator's own network.

A name is resolved once, every address it gave is looked at, and the connection goes to an address that was looked at: a
name that resolves differently a moment later changes nothing. Redirects are not followed, proxies and certificate files
of the environment are not used, and the whole exchange, name, handshake and a dripping answer included, has one
deadline.
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
# One address of several that swallows packets must not use up the time of the others.
_CONNECT_SECONDS = 4.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_CERTIFICATE_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body is at most 64 KiB and not decoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Detour:
    """Where to go instead of where the name points: to a program on this machine that plays the others."""

    address: str
    port: int
    trust: ssl.SSLContext


class NoAnswer(Exception):
    """There was no answer to use. `reason` is one of: name, private, connect, timeout, certificate, own_certificate,
    large, broken.
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
    """Send `content` to an https address and give what it answers, whatever the status. Raises NoAnswer.

    `private` allows addresses of the operator's own network. The caller decides which hosts it may be.
    """
    deadline = time.monotonic() + seconds
    target = httpx2.URL(url)
    if target.scheme != "https":
        raise ValueError("Only https leaves this house.")
    if detour:
        places, trust = [(detour.address, detour.port)], detour.trust
    else:
        port = target.port or 443
        places = [(address, port) for address in resolve(target.host, port, seconds, private=private)]
    sending = _send(
        target, places, {**headers, "Accept-Encoding": "identity"}, content, trust or system_trust(), deadline
    )
    try:
        return asyncio.run(sending)
    except NoAnswer:
        raise
    except (TimeoutError, httpx2.TimeoutException):
        raise NoAnswer("timeout") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError) as error:
        raise NoAnswer(_reason(error)) from None
    except Exception as error:  # noqa: BLE001 - it is raised anew
        # Without its frames, which hold what was sent, and would show it in an error report.
        raise RuntimeError(f"Posting to {target.host} failed unexpectedly: {type(error).__name__}.") from None


def host_of(url: str) -> str:
    """The host that `post` would speak to, in small letters; "" for what is no address."""
    try:
        return httpx2.URL(url).host.lower()
    except httpx2.InvalidURL:
        return ""


def resolve(host: str, port: int, seconds: float, *, private: bool = False) -> list[str]:
    """The addresses of a name, all of them public. Raises NoAnswer.

    Runs in a thread of its own, because a name server may let one wait far beyond any deadline.
    """
    found: queue.Queue[list[str] | OSError] = queue.Queue()

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(info[4][0]) for info in infos)))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(str(error)))

    threading.Thread(target=look_up, daemon=True, name="resolve").start()
    try:
        addresses = found.get(timeout=seconds)
    except queue.Empty:
        raise NoAnswer("timeout") from None
    if isinstance(addresses, OSError) or not addresses:
        raise NoAnswer("name")
    if not private and not all(is_public(address) for address in addresses):
        raise NoAnswer("private")
    return addresses


def is_public(address: str) -> bool:
    """Whether an address is out in the world, looking through the forms that wrap an IPv4 address in IPv6."""
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
    """The certificate authorities of this machine, read once."""
    return new_trust()


def new_trust() -> ssl.SSLContext:
    """The same, for a caller that adds a client certificate of its own."""
    return httpx2.create_ssl_context(trust_env=False)


@sensitive_variables()
async def _send(
    target: httpx2.URL,
    places: list[tuple[str, int]],
    headers: dict[str, str],
    content: bytes,
    trust: ssl.SSLContext,
    deadline: float,
) -> Answer:
    """Try the addresses in turn until one lets us in; what was sent once is not sent again."""
    name = target.host
    headers["Host"] = target.netloc.decode("ascii")
    timeout = httpx2.Timeout(SECONDS, connect=_CONNECT_SECONDS if len(places) > 1 else SECONDS)
    async with (
        asyncio.timeout(max(deadline - time.monotonic(), 0)),
        httpx2.AsyncClient(verify=trust, trust_env=False, timeout=timeout, follow_redirects=False) as client,
    ):
        for number, (address, port) in enumerate(places, start=1):
            url = target.copy_with(host=address, port=port)
            request = client.build_request(
                "POST", url, headers=headers, content=content, extensions={"sni_hostname": name}
            )
            try:
                response = await client.send(request, stream=True)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if number == len(places):
                    raise
                continue
            try:
                return Answer(response.status_code, dict(response.headers), await _body(response))
            finally:
                await response.aclose()
    raise NoAnswer("connect")


async def _body(response: httpx2.Response) -> bytes:
    """The raw body, never unpacked: a packed one could be a bomb, and none was asked for."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NoAnswer("broken")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise NoAnswer("large")
    return bytes(body)


def _reason(error: BaseException) -> str:
    """Which of NoAnswer's reasons an error of the network is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return "certificate"
        if isinstance(seen, ssl.SSLError) and any(alert in str(seen).upper() for alert in _CERTIFICATE_ALERTS):
            return "own_certificate"
        seen = seen.__cause__ or seen.__context__
    return "connect" if isinstance(error, httpx2.ConnectError) else "broken"
