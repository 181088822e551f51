"""The headers of every response, requests that are refused unread, and a deployment without warnings."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from fleetcontrol.people.models import Fleet
from tests.support.project import KEYS

pytestmark = pytest.mark.django_db


def test_a_page_carries_the_headers_that_protect_it(as_bob: Client, fleet: Fleet) -> None:
    answer = as_bob.get(reverse("vehicles:index", args=[fleet.slug]))
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "data:" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert "no-store" in answer["Cache-Control"]


def test_an_answer_of_the_api_is_for_no_page_and_no_cache(client: Client) -> None:
    answer = client.get("/vehicles")
    assert answer["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Cache-Control"] == "no-store"


def test_cookies_are_closed_to_scripts_and_other_sites(client: Client) -> None:
    cookie = client.get("/accounts/login/").cookies["csrftoken"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_an_unknown_host_is_refused(client: Client) -> None:
    assert client.get("/accounts/login/", headers={"host": "evil.example"}).status_code == 400


def test_a_post_without_its_token_is_refused(fleet: Fleet) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/accounts/login/", {"login": "a@b.example", "password": "x"}).status_code == 403


@pytest.mark.parametrize("length", [str(10**12), "-1", "many"])
def test_a_body_that_is_too_large_is_not_read(client: Client, length: str) -> None:
    assert client.post("/accounts/login/", CONTENT_LENGTH=length).status_code == 413
    problem = client.post("/vehicles", CONTENT_LENGTH=length)
    assert (problem.status_code, problem.json()["type"]) == (413, "/problems/payload-too-large")


def production(**changes: str) -> dict[str, str]:
    """Return the environment of a production process. It never connects to its database."""
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        **KEYS,
        "DATABASE_URL": "postgres://fleet:x@127.0.0.1:1/fleet",
        "PUBLIC_URL": "https://fleet.example.com",
        "EMAIL_URL": "smtp+tls://u:p@mail.example.com:587",
        **changes,
    }


def run(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=Path(settings.BASE_DIR), env=production(**changes), text=True, capture_output=True
    )


def test_the_check_of_a_deployment_is_clean() -> None:
    database = settings.DATABASES["default"]
    address = f"postgres://{database['USER']}@/{database['NAME']}?host={database['HOST']}"
    found = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", DATABASE_URL=address)
    assert found.returncode == 0, found.stderr
    assert "no issues" in found.stdout


def test_production_has_host_cookies_and_sends_to_its_provider_only() -> None:
    code = (
        "import django, json; django.setup(); from django.conf import settings as s;"
        "print(json.dumps([s.SESSION_COOKIE_NAME, s.BROWSER_COOKIE_NAME, s.SESSION_COOKIE_SECURE,"
        "s.SECURE_CSP['form-action'], s.DEBUG]))"
    )
    oidc = {"OIDC_ISSUER": "https://sso.example.com/realms/x", "OIDC_CLIENT_ID": "x", "OIDC_CLIENT_SECRET": "y"}
    found = run("-c", code, DJANGO_SETTINGS_MODULE="fleetcontrol.settings", **oidc)
    assert json.loads(found.stdout) == [
        "__Host-session",
        "__Host-browser",
        True,
        ["'self'", "https://sso.example.com"],
        False,
    ]


def test_half_a_provider_stops_the_start() -> None:
    found = run("manage.py", "check", OIDC_ISSUER="https://sso.example.com")
    assert "OIDC_CLIENT_ID is not set" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("path", ["/accounts/login/", "/health/", "/vehicles", "/nowhere/", "/static/css/nowhere.css"])
def test_every_answer_is_kept_from_other_sites(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_whom_to_tell_of_a_weakness(client: Client, settings: Settings) -> None:
    path = "/.well-known/security.txt"
    assert client.get(path).status_code == 404
    settings.SECURITY_CONTACT = "mailto:security@example.com"
    settings.PUBLIC_URL = "https://fleet.example.com"
    answer = client.get(path, headers={"host": "localhost:1234"})
    lines = dict(line.split(": ", 1) for line in answer.content.decode().splitlines())
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert lines["Contact"] == "mailto:security@example.com"
    assert lines["Canonical"] == f"https://fleet.example.com{path}"
    assert timedelta() < datetime.fromisoformat(lines["Expires"]) - timezone.now() < timedelta(days=365)


@pytest.mark.parametrize("contact", ["security@example.com", "mailto:a b", "http://x", "https://x\nContact: https://y"])
def test_a_contact_that_is_no_address_stops_the_start(contact: str) -> None:
    found = run("manage.py", "check", SECURITY_CONTACT=contact)
    assert "SECURITY_CONTACT must be an address such as" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_headers_of_whole_files(client: Client, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("p {}")
    settings.STATIC_ROOT, settings.WHITENOISE_AUTOREFRESH = tmp_path, True
    with closing(client.get("/static/x.css")) as answer:
        assert b"".join(answer) == b"p {}"
    assert answer["Cross-Origin-Opener-Policy"] == answer["Cross-Origin-Resource-Policy"] == "same-origin"
