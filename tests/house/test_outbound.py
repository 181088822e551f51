"""FleetControl connects neither to internal addresses nor by anything but HTTPS."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pytest_django.fixtures import Settings

from credentials import brands
from credentials.oem.demo import DemoOem
from credentials.oem.verdict import Outcome
from fleetcontrol import outbound
from tests.credentials.test_sign_in import ask


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "fec0::1", "192.0.2.1", "2001:db8::1",
    ],
)  # fmt: skip
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not outbound.is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_out_in_the_world_is_public(address: str) -> None:
    assert outbound.is_public(address)


def test_a_name_that_leads_inside_is_refused_after_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    with names({"fleet-auth.prd.vn.cloud.tesla.com": ["1.1.1.1", "127.0.0.1"]}, monkeypatch):
        verdict = ask("TESLA")
    assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "private")


def test_a_name_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with names({}, monkeypatch):
        assert ask("TESLA").code == "name"


def test_the_name_is_resolved_once_and_the_checked_address_is_used(
    oem: DemoOem, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server gains nothing by a different second answer, because FleetControl never asks twice."""
    monkeypatch.setattr(outbound, "is_public", lambda address: ipaddress.ip_address(address).is_loopback)
    port = int(oem.address.rsplit(":", 1)[1])
    with names({"fleet-auth.prd.vn.cloud.tesla.com": ["127.0.0.1"]}, monkeypatch) as asked:
        trust = outbound.new_trust()
        trust.load_verify_locations(oem.ca_file)
        answer = outbound.post(
            f"https://fleet-auth.prd.vn.cloud.tesla.com:{port}/", headers={}, content=b"", trust=trust, ports=[port]
        )
    assert answer.status == 404
    assert asked == ["fleet-auth.prd.vn.cloud.tesla.com"]


def test_only_https_leaves_the_house() -> None:
    with pytest.raises(outbound.NoAnswer, match="address"):
        outbound.post("http://fleet-auth.prd.vn.cloud.tesla.com/", headers={}, content=b"")


@contextmanager
def names(known: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replace the name server by one that knows these names. Yields the list of names that it was asked for."""
    asked = []

    def getaddrinfo(host: str, port: int, **_kwargs: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host not in known:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in known[host]]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield asked
    assert brands.catalogue()
