"""Whatever stands where an address is expected: one of our own errors, when it is entered and when it is used."""

import socket
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from credentials.brands import file as brand_file
from credentials.brands import find
from credentials.models import Credential, Webhook
from credentials.models.webhook import clean_address
from credentials.oem.sign_in import sign_in
from credentials.oem.verdict import Outcome
from fleetcontrol import outbound
from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import seal
from tests.support import factory
from tests.support.api import Api
from tests.support.credential_pages import at
from tests.support.forms import version_shown
from tests.support.webhook_receiver import Receiver

BAD = [
    "https://(a)-xn--.example/hook", "https://--xn--80ak6aa92e.mercedes-benz.com/t", "https://xn--.-xn--/",
    "https://a..b/", "https://.a/", "https://a./", "https://-a.example/", "https://a-.example/",
    f"https://{'a' * 64}.example/", f"https://{'.'.join(['a' * 60] * 6)}/", "https://[::1/", "https://::1]/",
    "https://[v1.a]/", "https://[::1%25eth0]/", "https://[]/", "https://[1.2.3.4]/", "https://a:99999/",
    "https://a:70000/", "https://a:0/", "https://a:-1/", "https://a:x/", "https://a:٣/", "https://a:443443443/",
    "https://a@b/", "https://a:b@c/", "https://a\\@b/", "https://a#b", "https://a b/", "https://a\n/", "https://a\x00/",
    "https://\u0131.example/", "https://ſ.example/", "https://ａ.example/", "https://a。b/", "https://\ud800/",
    "https://%41.example/", "https:///a", "https://", "https:a", "//a", "http://a/", "HTTP://a/", "", "https://?a",
    f"https://a/{'a' * 3000}",
]  # fmt: skip
PIECES = st.sampled_from(
    ["https://", "http://", "xn--", "-", ".", "[", "]", ":", "::1", "@", "%", "/", "\\", "?", "#", "a", "0", "443",
     "99999", "example", "mercedes-benz.com", "ß", "İ", "\u0131", "。", "\u200d", "\x00", "\ud800", " ", "1.2.3.4"]
)  # fmt: skip
ADDRESSES = (
    st.builds("".join, st.lists(PIECES, max_size=10))
    | st.builds(lambda parts: f"https://{''.join(parts)}/t", st.lists(PIECES, max_size=8))
    | st.builds(lambda text: f"https://{text}", st.text(max_size=40))
)
few = hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = hypothesis_settings(few, max_examples=1000)


@pytest.fixture(autouse=True)
def no_name_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no name server. Read a name as the operating system's library does, with its own errors."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        if host == "localhost":
            return look_up(host, port, **options)
        return look_up(host, port, **options, flags=socket.AI_NUMERICHOST)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused_when_it_is_entered_and_when_it_is_used(text: str) -> None:
    with pytest.raises(outbound.BadAddress):
        outbound.Address.parse(text)
    assert outbound.host_of(text) == ""
    with pytest.raises(outbound.NoAnswer, match=r"address|port"):
        outbound.post(text, headers={}, content=b"")


@many
@given(ADDRESSES)
def test_an_address_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        address = outbound.Address.parse(text)
    except outbound.BadAddress:
        return
    assert address.host.isascii() and address.port == 443
    assert text.casefold().startswith("https://")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://a.example", "a.example", 443),
        ("HTTPS://A.Example:443/x?y=z", "a.example", 443),
        ("https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com", 443),
        ("https://my_host:8443/@/x%20y", "my_host", 8443),
        ("https://[2001:DB8:0::1]/", "2001:db8::1", 443),
        ("https://10.0.0.1:8443", "10.0.0.1", 8443),
    ],
)
def test_a_good_address_is_read(text: str, host: str, port: int) -> None:
    assert outbound.Address.parse(text, ports=[443, 8443]) == outbound.Address(text, host, port)


@many
@given(ADDRESSES | st.sampled_from(BAD))
def test_a_webhook_and_a_token_url_take_an_address_or_say_what_is_wrong(text: str) -> None:
    for clean in (clean_address, find("MERCEDES_BENZ").field("token_url").clean):
        try:
            clean(text)
        except ValidationError as error:
            assert error.messages


@few
@given(ADDRESSES | st.sampled_from(BAD))
def test_a_brand_file_takes_an_address_or_stops_with_a_sentence(text: str) -> None:
    table = {
        "name": "Own", "kind": "shared", "hosts": ["a.example"], "sign_in": {"url": text},
        "fields": {"client_id": {"kind": "identifier"}, "client_secret": {"kind": "secret"}},
    }  # fmt: skip
    try:
        brand_file._brand("OWN", table, None)
    except brand_file.Mistake as mistake:
        assert mistake.key == "sign_in.url" and mistake.what


@few
@given(ADDRESSES | st.sampled_from(BAD))
def test_a_stored_token_url_that_is_no_address_is_a_verdict(text: str) -> None:
    """The row may hold anything: an older version of FleetControl may have taken it."""
    verdict = sign_in(find("MERCEDES_BENZ"), "client1", {"token_url": text}, {"client_secret": "s"})
    assert verdict.outcome in (Outcome.NO_ANSWER, Outcome.CANNOT_CHECK)
    assert verdict.code in ("not_there", "setting_missing", "name", "private", "connect")


@pytest.mark.django_db
@few
@given(ADDRESSES)
@example(BAD[0])
@example(BAD[1])
def test_the_form_of_a_webhook_answers_whatever_is_typed(fleet: Fleet, as_alice: Client, text: str) -> None:
    page = at("webhook", fleet)
    answer = as_alice.post(page, {"what": "set_up", "url": _sendable(text)} | version_shown(as_alice, page))
    assert answer.status_code in (200, 422)


@pytest.mark.django_db
@few
@given(ADDRESSES)
@example(BAD[0])
@example(BAD[1])
def test_pages_and_api_answer_whatever_token_url_is_sent(fleet: Fleet, as_bob: Client, text: str) -> None:
    values = {"client_id": "c", "client_secret": "s", "token_url": _sendable(text)}
    api, name = Api(fleet, name=str(ApiClient.objects.count())), f"M{Credential.objects.count()}"
    page = at("add", fleet, brand="MERCEDES_BENZ")
    for more in ({}, {"unchecked": "1"}):
        assert as_bob.post(page, {"name": name, **values, **more}).status_code in (302, 422)
    assert api.post("/credentials", {"brand": "MERCEDES_BENZ", "name": f"{name}a", "values": values}).status_code < 500


@pytest.mark.django_db
@few
@given(ADDRESSES | st.sampled_from(BAD))
def test_a_stored_webhook_that_is_no_address_is_a_result(fleet: Fleet, text: str) -> None:
    webhook = Webhook(fleet=fleet, host="x")
    webhook.address = seal(_sendable(text), webhook.address_owner)
    webhook.signing_key = seal("fcw_key", webhook.seal_owner)
    assert not webhook.post("1", "test", {})
    assert webhook.last_result in ("address", "port", "name", "private", "connect")
    assert webhook.result


def _sendable(text: str) -> str:
    """The text without halves of surrogate pairs, which no client can send."""
    return text.encode(errors="replace").decode()


@pytest.mark.django_db
def test_a_port_that_the_operator_does_not_allow_is_told_when_entered_and_when_used(
    fleet: Fleet, settings: Settings
) -> None:
    settings.FLEETCONTROL_WEBHOOK_PORTS = [443, 8443]
    webhook, _key = Webhook.set_up(fleet=fleet, url="https://a.example:8443/", actor=factory.TEST)
    settings.FLEETCONTROL_WEBHOOK_PORTS = [443]
    assert not webhook.post("1", "test", {})
    assert "FLEETCONTROL_WEBHOOK_PORTS" in str(webhook.result)
    with pytest.raises(ValidationError, match="FLEETCONTROL_WEBHOOK_PORTS"):
        Webhook.set_up(fleet=fleet, url="https://a.example:8443/", actor=factory.TEST)


def test_an_answer_that_points_to_no_address_is_a_result(hook: tuple[str, type[Receiver]], settings: Settings) -> None:
    """httpx reads the address that a redirect names even though it does not follow it."""
    address, receiver = hook
    for place in BAD:
        if place.isascii() and place.isprintable():
            receiver.answered_headers = {"Location": place}
            receiver.status = 302
            try:
                answer = outbound.post(
                    address, headers={}, content=b"", private_hosts=["localhost"],
                    ports=settings.FLEETCONTROL_WEBHOOK_PORTS,
                )  # fmt: skip
                assert answer.status == 302
            except outbound.NoAnswer as silence:
                assert silence.reason in ("broken", "unexpected")
