"""An API client for tests. It requests its token like any other program and speaks JSON."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from json import dumps
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from fleetcontrol.api.models import PERMISSIONS, ApiClient
from fleetcontrol.people.models import Fleet
from tests.support.factory import TEST

type Answer = Any  # the test client's HttpResponse, which has json()


class Api:
    """An API client of the fleet. `api.get("/vehicles")` and the like send its token."""

    def __init__(self, fleet: Fleet, permissions: Collection[str] = tuple(PERMISSIONS), name: str = "ERP") -> None:
        self.client, self.secret = ApiClient.add(fleet=fleet, actor=TEST, name=name, permissions=permissions)
        self.web = Client()
        self.token = ""

    def sign_in(self) -> str:
        response = token(self.client.client_id, self.secret)
        assert response.status_code == 200, response.content
        self.token = response.json()["access_token"]
        return self.token

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request and return the response. Spell headers with underscores, such as `If_Match`."""
        headers.setdefault("Authorization", f"Bearer {self.token or self.sign_in()}")
        content_type = headers.pop("Content_Type", "application/json")
        return self.web.generic(
            method,
            path,
            body if isinstance(body, bytes) else b"" if body is None else dumps(body).encode(),
            content_type=content_type,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.send("DELETE", path, **headers)


def token(client_id: str, secret: str, path: str = "/auth/oauth/token", **form: str) -> Answer:
    """Request a token with Basic authentication and return the response."""
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    data = {"grant_type": "client_credentials"} | form
    return post_form(path, data, Authorization=f"Basic {basic}")


def post_form(path: str, data: Mapping[str, str], **headers: str) -> Answer:
    """Post a URL-encoded form, as OAuth requires, and return the response. The test client would send multipart."""
    return Client().post(path, urlencode(data), content_type="application/x-www-form-urlencoded", headers=headers)


def kind(response: Answer) -> str:
    """Assert that the response is a complete problem and return the problem's name."""
    assert response["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body.keys() >= {"type", "title", "status", "detail", "flow_id"}
    assert body["status"] == response.status_code
    assert body["flow_id"] == response["X-INVERS-Flow-ID"] == response["X-Flow-ID"]
    return str(body["type"]).removeprefix("/problems/")
