"""An OpenID Connect provider on loopback with real HTTP, real signatures and PKCE. It knows one person at a time."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "fleetcontrol", "secret-of-the-tests"


class Provider:
    """A provider. `person` holds the claims about the person who signs in next."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"kid": "test"})
        self.person: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.prompts: list[str] = []
        self.signed_in_at = time.time() - 3600  # when the person last entered a password here
        self.says_when = True  # whether auth_time is in the ID token when the client asks for it

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return the URL that the browser is sent back to."""
        assert query["client_id"] == CLIENT_ID
        assert query["code_challenge_method"] == "S256"
        self.prompts.append(query.get("prompt", ""))
        if query.get("prompt") == "login" or query.get("max_age") == "0":
            self.signed_in_at = time.time()
        code = secrets.token_urlsafe()
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        query = self.codes.pop(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]
        assert form["client_secret"] == CLIENT_SECRET
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 60, **self.person}
        if "max_age" in query and self.says_when:
            claims["auth_time"] = int(self.signed_in_at)
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.key)
        return {"access_token": "access", "token_type": "Bearer", "id_token": token, "expires_in": 60}


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = _Handler.providers[server.server_port] = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    providers: dict[int, Provider] = {}

    def do_GET(self) -> None:
        found = self.providers[self.server.server_port]  # type: ignore[attr-defined]  # an HTTPServer
        path, query = urlsplit(self.path).path, {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        if path == "/authorize":
            self.send_response(302)
            self.send_header("Location", found.authorize(query))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        keys = {"keys": [found.key.as_dict(private=False)]}
        answers = {"/.well-known/openid-configuration": found.configuration(), "/jwks": keys, "/userinfo": found.person}
        self._send(answers[path])

    def do_POST(self) -> None:
        found = self.providers[self.server.server_port]  # type: ignore[attr-defined]  # an HTTPServer
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send(found.token({key: values[0] for key, values in parse_qs(body).items()}))

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        """Log nothing."""
