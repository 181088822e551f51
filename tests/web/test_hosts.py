"""Which Host a request may name, port included."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from fleetcontrol.environment import host_and_port
from tests.web.test_headers import production

pytestmark = pytest.mark.django_db
PAGES = ("/accounts/login/", "/health/", "/vehicles", "/static/x.css", "/admin/")


@pytest.fixture
def hosts(settings: Settings) -> None:
    """Behave as outside a trial, with two names: one of PUBLIC_URL and one that is listed with a port."""
    settings.HTTPS = True
    settings.HOSTS_ON_ANY_PORT = []
    settings.KNOWN_HOST_PORTS = [("fleet.example.com", ""), ("other.example.com", "8443"), (".wide.example", "")]
    settings.ALLOWED_HOSTS = ["fleet.example.com", "other.example.com", ".wide.example"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("fleet.example.com", True),
        ("FLEET.example.com.", True),
        ("fleet.example.com:443", True),
        ("fleet.example.com:1234", False),
        ("fleet.example.com:80", False),
        ("fleet.example.com:0443", False),
        ("fleet.example.com:8443", False),
        ("other.example.com:8443", True),
        ("other.example.com", True),
        ("other.example.com:8444", False),
        ("a.wide.example", True),
        ("a.wide.example:81", False),
        ("localhost", False),
        ("localhost:8000", False),
        ("evil.example", False),
    ],
)
def test_a_host_is_known_with_its_port_only(client: Client, hosts: None, path: str, host: str, known: int) -> None:
    assert (client.get(path, headers={"host": host}).status_code != 400) == known


def test_an_answer_of_the_api_to_an_unknown_port_is_a_problem(client: Client, hosts: None) -> None:
    answer = client.get("/vehicles", headers={"host": "fleet.example.com:1234"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/validation-error")


def test_the_redirect_to_https_goes_to_no_unknown_port(client: Client, hosts: None, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/", headers={"host": "fleet.example.com:1234"}).status_code == 400
    assert client.get("/", headers={"host": "fleet.example.com"})["Location"] == "https://fleet.example.com/"


def test_a_forwarded_host_is_not_looked_at(client: Client, hosts: None, settings: Settings) -> None:
    settings.BEHIND_PROXY = True
    forwarded = {"host": "evil.example", "x-forwarded-host": "fleet.example.com"}
    assert client.get("/accounts/login/", headers=forwarded).status_code == 400
    answer = client.get("/", headers={"host": "fleet.example.com", "x-forwarded-host": "evil.example"})
    assert "evil" not in f"{answer.headers}{answer.content!r}"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:65535", "[::1]:8000", "localhost"])
def test_a_trial_works_on_any_port_of_this_machine(client: Client, host: str) -> None:
    assert client.get("/accounts/login/", headers={"host": host}).status_code == 200


def hosts_of(**changes: str) -> list[object]:
    code = (
        "import django, json; django.setup(); from django.conf import settings as s;"
        "print(json.dumps([s.KNOWN_HOST_PORTS, s.HOSTS_ON_ANY_PORT, s.ALLOWED_HOSTS]))"
    )
    environment = production(DJANGO_SETTINGS_MODULE="fleetcontrol.settings", **changes)
    command, folder = [sys.executable, "-c", code], Path(django_settings.BASE_DIR)
    found = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    assert found.stdout, found.stderr
    return list(json.loads(found.stdout))


def test_the_settings_name_the_ports() -> None:
    listed = {"PUBLIC_URL": "https://Fleet.example.com:8443", "ALLOWED_HOSTS": "b.example, b.example:81"}
    known = [["fleet.example.com", "8443"], ["b.example", ""], ["b.example", "81"]]
    assert hosts_of(**listed) == [known, [], ["fleet.example.com", "b.example", "b.example"]]


def test_plain_http_is_no_trial() -> None:
    assert hosts_of(PUBLIC_URL="http://fleet.lan")[1] == []


@pytest.mark.parametrize("text", ["a:b", "https://a.example", "a.example:", "a.example:0", "a b", "*:x"])
def test_a_bad_host_stops_the_start(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^ALLOWED_HOSTS must be names"):
        host_and_port(text)
