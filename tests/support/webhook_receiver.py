"""The receiver of a fleet's webhook: a local HTTPS server that records its requests."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from credentials.oem.demo import make_certificates
from fleetcontrol import outbound


class Receiver(BaseHTTPRequestHandler):
    status: ClassVar[int] = 204
    answered_headers: ClassVar[dict[str, str]] = {}
    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.got.append((headers, self.rfile.read(int(headers["content-length"]))))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        for name, value in self.answered_headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Log nothing."""

    @classmethod
    def bodies(cls) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in cls.got]


def receive(settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Receiver]]]:
    """Run a receiver that FleetControl trusts and may connect to until the test ends. Yields its URL and its class."""
    handler = type("OneReceiver", (Receiver,), {"got": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificates(folder / "hook", ("localhost",)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    trust = ssl.create_default_context(cafile=folder / "hook" / "ca.pem")
    monkeypatch.setattr(outbound, "system_trust", lambda: trust)
    settings.FLEETCONTROL_WEBHOOK_HOSTS = ["localhost"]
    settings.FLEETCONTROL_WEBHOOK_PORTS = [server.server_address[1]]
    try:
        yield f"https://localhost:{server.server_address[1]}/hook", handler
    finally:
        server.shutdown()
        server.server_close()
