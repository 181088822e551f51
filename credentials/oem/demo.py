"""A stand-in for every OEM of the catalogue, for tests and for trying by hand: a small HTTPS server on this machine.

It accepts a brand's request only as the catalogue declares it (host, path, form or JSON, Basic or body, audience,
client certificate). A client secret that starts with one of BEHAVIOURS gets it; any other secret is right.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from credentials import brands
from credentials.brands.schema import Brand

BEHAVIOURS: Mapping[str, str] = {
    "wrong": "refuses the client: 401 invalid_client",
    "unapproved": "refuses the client: 400 unauthorized_client",
    "scopes": "grants nothing: 400 invalid_scope",
    "slow": "answers after a minute",
    "drip": "sends its answer a byte at a time",
    "huge": "sends a megabyte",
    "redirect": "points to another address",
    "garbage": "answers 200 with something that is not JSON",
    "closing": "closes the connection without an answer",
    "trouble": "answers 500",
    "busy": "answers 429 with Retry-After",
    "echo": "refuses and repeats the secret in its answer",
}
# Those that are no more than an answer: its status and error code.
_ERRORS: Mapping[str, tuple[int, str]] = {
    "wrong": (401, "invalid_client"),
    "unapproved": (400, "unauthorized_client"),
    "scopes": (400, "invalid_scope"),
    "trouble": (500, "server_error"),
}

_CERTIFICATE_MESSAGE = 11  # of the handshake, in every version of TLS


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came in: its host and path, and its values by name, including the client's own."""

    host: str
    path: str
    content_type: str
    values: Mapping[str, str]
    by_basic: bool


@dataclass
class DemoOem:
    """The server, from `start` to `stop`.

    `folder` keeps the certificate authority (ca.pem), which a second demo OEM on another port uses as well. The server
    shows a certificate for each host of the catalogue that is asked for, or one for `names` alone. `client_ca` is a PEM
    file with the client certificates to accept, by default any. `log` gets a line for each request.
    """

    folder: Path
    port: int = 0
    names: tuple[str, ...] = ()
    client_ca: Path | None = None
    log: Callable[[str], None] | None = None
    received: list[Received] = field(default_factory=list)

    def start(self) -> None:
        """Listen on 127.0.0.1 in background threads; `address` is known afterwards. Raises OSError for a taken port."""
        self.stopping = threading.Event()
        # Take the port first: a demo OEM that listens there already goes on with the certificates it has.
        self.server = _Server(("127.0.0.1", self.port), partial(_Handler, self))
        try:
            self.server.tls = _Tls(Authority.of(self.folder), self.names, self.client_ca)
        except OSError:
            self.server.server_close()
            raise
        serve = partial(self.server.serve_forever, poll_interval=0.05)
        threading.Thread(target=serve, daemon=True, name="demo_oem").start()

    def stop(self) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        """The value for FLEETCONTROL_DEMO_OEM, such as https://127.0.0.1:8443."""
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    @property
    def ca_file(self) -> Path:
        """The value for FLEETCONTROL_DEMO_OEM_CA."""
        return self.folder / "ca.pem"


class _Tls:
    """What the server shows of itself, and which client certificates it accepts."""

    def __init__(self, authority: Authority, names: tuple[str, ...], client_ca: Path | None) -> None:
        self.authority, self.client_ca = authority, client_ca
        self.contexts: dict[str, ssl.SSLContext] = {}
        self.context = self._new_context(names or ("localhost",))
        if not names:
            self.context.sni_callback = self._show_certificate_of_host

    def _show_certificate_of_host(self, connection: ssl.SSLObject, host: str | None, _context: object) -> None:
        """Make the certificate for a host of the catalogue when it is asked for: many hosts are patterns."""
        if host and any(brand.allows(host) for brand in brands.catalogue().values()):
            if host not in self.contexts:
                self.contexts[host] = self._new_context((host,))
            connection.context = self.contexts[host]

    def _new_context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="fleetcontrol-") as folder:  # mode 700
            context.load_cert_chain(self.authority.issue(Path(folder) / "pair.pem", names))
        context.verify_mode = ssl.CERT_OPTIONAL
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
        else:
            _trust_any_client(context)
        return context


def _trust_any_client(context: ssl.SSLContext) -> None:
    """Trust each client certificate in the moment it comes, whoever issued it.

    The ssl module has no setting for that, so the context's hook for debugging reads the certificate out of the
    handshake before OpenSSL verifies it. That the client has the key is proved all the same.
    """
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

    def trust(
        _connection: object, direction: str, version: ssl.TLSVersion, _type: object, message: object, data: bytes
    ) -> None:
        if direction == "read" and message == _CERTIFICATE_MESSAGE:
            for certificate in _certificates_in(data, version):
                context.load_verify_locations(cadata=certificate)

    context._msg_callback = trust  # type: ignore[attr-defined]  # private, see above


def _certificates_in(message: bytes, version: ssl.TLSVersion) -> list[bytes]:
    """The certificates, in DER, of a Certificate message (RFC 5246 section 7.4.2, RFC 8446 section 4.4.2)."""
    is_newest = version == ssl.TLSVersion.TLSv1_3
    at = 4  # after type and length
    if is_newest:
        at += 1 + message[at]  # the request's context
    at += 3  # the length of the list
    found = []
    while at + 3 <= len(message):
        end = at + 3 + int.from_bytes(message[at : at + 3])
        found.append(message[at + 3 : end])
        at = end + 2 + int.from_bytes(message[end : end + 2]) if is_newest else end  # after the extensions
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: _Tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the request's own thread, so that a client that never finishes holds up no other."""
        request.settimeout(90)
        tls_socket = self.tls.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with contextlib.suppress(OSError), tls_socket as tls:
            try:
                tls.do_handshake()
            except OSError:
                # Let the client hang up first, so that it can read the alert.
                tls.shutdown(socket.SHUT_WR)
                while tls.recv(4096):
                    pass
                return
            super().finish_request(tls, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up: they are part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, oem: DemoOem, *args: Any) -> None:
        self.oem = oem
        super().__init__(*args)  # handles the request

    def do_POST(self) -> None:
        received = self._receive()
        self.oem.received.append(received)
        brand = _brand_at(received.host, received.path)
        client_secret = received.values.get("client_secret") or received.values.get("password", "")
        word = next((word for word in BEHAVIOURS if client_secret.lower().startswith(word)), "")
        if self.oem.log:
            self.oem.log(f"{received.host}{received.path} {brand.id if brand else '?'}: {word or 'right'}")
        self.close_connection = True
        if brand is None:
            self._answer(404, {"error": "not_found"})
        elif not self._is_as_declared(brand, received):
            self._answer(400, {"error": "invalid_request"})
        elif word:
            self._misbehave(word, client_secret)
        else:
            self._grant(brand)

    def _receive(self) -> Received:
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 65_536)).decode()
        content_type = self.headers.get("Content-Type", "")
        values = json.loads(body) if "json" in content_type else dict(parse_qsl(body))
        scheme, _space, pair = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            identifier, _colon, client_secret = base64.b64decode(pair).decode().partition(":")
            values |= {"client_id": unquote_plus(identifier), "client_secret": unquote_plus(client_secret)}
        host = self.headers.get("Host", "").split(":")[0]
        return Received(host, urlsplit(self.path).path, content_type, values, scheme == "Basic")

    def _is_as_declared(self, brand: Brand, received: Received) -> bool:
        declared = brand.sign_in
        assert declared is not None  # noqa: S101  # _brand_at finds only brands with a sign-in
        audiences = {declared.audience}
        for addresses in declared.by_choice.values():
            audiences |= {address.audience for address in addresses.values()}
        audience = received.values.get("audience", "")
        return (
            ("json" in received.content_type) == (declared.body == "json")
            and received.by_basic == (declared.client == "basic")
            and received.values.get("grant_type") == declared.grant
            and bool(received.values.get("client_id"))
            and any(audience.startswith(one.partition("{")[0]) for one in audiences)
            and set(declared.scopes) <= set(received.values.get("scope", "").split())
            and (not declared.mutual_tls or bool(self.connection.getpeercert()))
        )

    def _grant(self, brand: Brand) -> None:
        seconds = 86_400 if brand.id == "SEGWAY" else 300
        token = f"demo-{secrets.token_urlsafe(24)}"
        self._answer(200, {"access_token": token, "token_type": "bearer", "expires_in": seconds})

    def _misbehave(self, word: str, client_secret: str) -> None:
        match word:
            case "slow":
                self.oem.stopping.wait(60)
                self._answer(200, {"access_token": "late"})
            case "drip":
                self._drip()
            case "huge":
                self._answer(200, {"access_token": "a", "padding": "x" * 2**20})
            case "redirect":
                self._answer(302, {}, Location="https://127.0.0.1/elsewhere")
            case "garbage":
                self._send(200, b"<html>\xff\x00 It works!</html>")
            case "closing":
                self.connection.close()
            case "busy":
                self._answer(429, {}, **{"Retry-After": "60"})
            case "echo":
                body = {"error": client_secret, "error_description": client_secret}
                self._answer(401, body, **{"X-Request-ID": client_secret})
            case _:
                status, error = _ERRORS[word]
                self._answer(status, {"error": error})

    def _drip(self) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000:
            self.wfile.write(bytes([byte]))
            if self.oem.stopping.wait(0.2):
                return

    def _answer(self, status: int, body: Mapping[str, Any], **headers: str) -> None:
        self._send(status, json.dumps(body).encode(), **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"X-Request-ID": secrets.token_hex(8), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Drop the server's own log lines: `DemoOem.log` gets one that names the brand."""


@dataclass(frozen=True)
class Authority:
    """The demo's own certificate authority, and the folder where it keeps its certificates."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, folder: Path) -> Authority:
        """The authority of a folder, made if there is none or it ends soon."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca_file, key_file = folder / "ca.pem", folder / "ca.key"
        with contextlib.suppress(FileNotFoundError, ValueError):
            certificate = x509.load_pem_x509_certificate(ca_file.read_bytes())
            key = load_pem_private_key(key_file.read_bytes(), None)
            lasts = certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=3)
            if lasts and isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key():
                return cls(folder, certificate, key)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("FleetControl demo OEM")
        certificate = _certificate(name, name, key.public_key(), key, is_ca=True).sign(key, hashes.SHA256())
        _write_private(key_file, _key_as_pem(key))
        ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder, certificate, key)

    def issue(self, pair: Path, names: tuple[str, ...]) -> Path:
        """Write a server certificate for these hosts, with its key, into a file; returns its path."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(_name(names[0][:64]), self.certificate.subject, key.public_key(), self.key, is_ca=False)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        signed = leaf.add_extension(alternatives, critical=False).sign(self.key, hashes.SHA256())
        _write_private(pair, _key_as_pem(key) + signed.public_bytes(Encoding.PEM))
        return pair


def make_certificates(folder: Path, names: tuple[str, ...]) -> Path:
    """Make a certificate authority, folder/ca.pem, and a server certificate for `names`.

    Returns the path of the server certificate with its key.
    """
    return Authority.of(folder).issue(folder / "server.pem", names)


def _key_as_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    with contextlib.closing(os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")) as file:
        os.fchmod(file.fileno(), 0o600)  # also of a file that was there
        file.write(content)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    ca_key: ec.EllipticCurvePrivateKey,
    *,
    is_ca: bool,
) -> x509.CertificateBuilder:
    """A certificate with every extension that Python's strict verification asks for."""
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=7))
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _brand_at(host: str, path: str) -> Brand | None:
    """The brand that signs in at this address, whatever setting stands in it.

    Any path will do where people type the address themselves.
    """
    for brand in brands.catalogue().values():
        addresses = {(urlsplit(url).hostname, urlsplit(url).path) for url in brand.sign_in_urls}
        if (host, path) in addresses or (brand.sign_in and not addresses and brand.allows(host)):
            return brand
    return None
