"""Values as people write them: with blanks, dollar signs, another scheme or port."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django import Settings

from fleetcontrol.api.models import ApiClient
from fleetcontrol.environment import Environment, mailer
from fleetcontrol.people.models import Fleet
from fleetcontrol.web.address import plain_address
from tests.support.api import Api
from tests.support.factory import a_fleet


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    yield Environment()


@pytest.mark.parametrize("value", ["a.example,b.example", "a.example, b.example", " a.example ,b.example, "])
def test_blanks_around_commas_are_no_part_of_a_name(
    env: Environment, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", value)
    assert env.list("ALLOWED_HOSTS", default=[]) == ["a.example", "b.example"]


@pytest.mark.parametrize("value", ["$x", "$", "$PATH", "$$", r"\$x", "a$b"])
def test_a_value_may_contain_a_dollar_sign(env: Environment, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OIDC_CLIENT_SECRET", value)
    assert env.str("OIDC_CLIENT_SECRET", default="") == value
    assert env.list("OIDC_CLIENT_SECRET", default=[]) == [value]


@pytest.mark.parametrize("value", ["$x", "many"])
def test_a_number_is_a_number(env: Environment, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MAX_UPLOAD_MB", value)
    with pytest.raises(ImproperlyConfigured, match=r"^MAX_UPLOAD_MB must be a whole number, not "):
        env.int("MAX_UPLOAD_MB", default=200)


@pytest.mark.parametrize(
    ("url", "use_tls", "use_ssl", "port"),
    [
        ("smtps://a:b@mail.example.com:465", False, True, 465),
        ("smtp+ssl://a:b@mail.example.com:465", False, True, 465),
        ("smtp+tls://a:b@mail.example.com:587", True, False, 587),
        ("smtp://mail.example.com:25", False, False, 25),
    ],
)
def test_the_scheme_of_a_mail_server_says_when_tls_begins(
    env: Environment, monkeypatch: pytest.MonkeyPatch, url: str, use_tls: Any, use_ssl: Any, port: int
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    options = mailer(env)["OPTIONS"]
    assert (options["use_tls"], options["use_ssl"], options["port"]) == (use_tls, use_ssl, port)


def test_a_scheme_that_the_port_does_not_speak_is_refused(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMAIL_URL", "smtps://a:b@mail.example.com:587")
    with pytest.raises(ImproperlyConfigured, match=r"write smtp\+tls:// for port 587"):
        mailer(env)


ADDRESSES = [
    ("1.2.3.4", "1.2.3.4"),
    ("1.2.3.4:5678", "1.2.3.4"),
    ("[::1]:80", "::1"),
    ("[2001:db8::7]", "2001:db8::7"),
    ('"[2001:db8::7]:4711"', "2001:db8::7"),
    ("2001:db8::7", "2001:db8::7"),
    ("fe80::1%eth0", "fe80::1"),
    ("[fe80::1%eth0]:443", "fe80::1"),
    ("unknown", ""),
    ("", ""),
    ("[", ""),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_an_address_loses_its_port_and_its_zone(text: str, address: str) -> None:
    assert plain_address(text) == address


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_the_api_answers_whatever_address_the_proxy_saw(
    fleet: Fleet, settings: Settings, text: str, address: str
) -> None:
    settings.BEHIND_PROXY = True
    api = Api(fleet)
    api.sign_in()
    ApiClient.objects.update(last_used_at=None)  # a use within a minute of the last one is not noted
    answer = api.get("/credentials", X_Forwarded_For=f"10.0.0.1, {text}")
    assert answer.status_code == 200
    api.client.refresh_from_db()
    assert api.client.last_used_address == (address or "127.0.0.1")


@pytest.mark.django_db
def test_a_zone_of_the_connection_itself_is_no_error(client: Client) -> None:
    form = {"login": "nobody@example.com", "password": "wrong"}
    assert client.post("/accounts/login/", form, REMOTE_ADDR="fe80::1%eth0").status_code == 200
    token = {"Authorization": f"Bearer {Api(a_fleet()).sign_in()}"}
    assert client.get("/credentials", REMOTE_ADDR="fe80::1%eth0", headers=token).status_code == 200
