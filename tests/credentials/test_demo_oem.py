"""The demo OEM plays every brand, also one of the operator's own, and stands in nobody's way."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from credentials import brands
from credentials.brands import file as brand_file
from credentials.oem.demo import BEHAVIOURS, DemoOem
from credentials.oem.sign_in import sign_in
from credentials.oem.verdict import Outcome, Verdict
from tests.support.certificates import a_certificate
from tests.support.oem import play
from tests.support.project import PROJECT, UNSET, a_folder


def use_brands(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add brands to the catalogue, as FLEETCONTROL_BRANDS does."""
    (folder / "own.toml").write_text(text)
    catalogue = brand_file.read(folder / "own.toml", brands.catalogue())
    monkeypatch.setattr(brands, "catalogue", lambda: catalogue)


def ask(brand: str, settings: dict[str, str], **secret: str) -> Verdict:
    return sign_in(brands.find(brand), "client1", settings, secret or {"client_secret": "right"})


@pytest.mark.parametrize("region", ["eu", "us"])
def test_the_readmes_own_brand_is_answered(
    oem: DemoOem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    readme = (PROJECT / "README.md").read_text()
    example = re.search(r"```toml\n(\[BOLIDE\].*?)```", readme, re.S)
    assert example is not None
    use_brands(example[1], tmp_path, monkeypatch)
    assert ask("BOLIDE", {"region": region}).outcome is Outcome.WORKS
    assert (oem.received[0].host, oem.received[0].path) == ("auth.bolide.example", f"/{region}/token")
    assert ask("BOLIDE", {"region": region}, client_secret="wrong1").outcome is Outcome.REFUSED


EVERY_BRAND: dict[str, list[dict[str, str]]] = {
    "MERCEDES_BENZ": [
        {"token_url": f"https://{host}/v1/token"}
        for host in (
            "ssoalpha.dvb.corpinter.net", "ssoalpha.am.dvb.corpinter.net", "ssoalpha.dvb.corpinter.net.cn",
            "id.mercedes-benz.com", "a.b.mercedes-benz.com",
        )
    ],
    "SEGWAY": [{"region": region} for region in ("apac", "eu", "us", "cn")],
    "TESLA": [{"region": region} for region in ("EU", "NA", "CN")],
    "FREE2MOVE": [{}],
    "HIGH_MOBILITY": [{}],
}  # fmt: skip


def test_every_address_of_every_brand_is_answered(oem: DemoOem) -> None:
    assert {brand.id for brand in brands.catalogue().values() if brand.sign_in} == set(EVERY_BRAND)
    for brand, choices in EVERY_BRAND.items():
        for settings in choices:
            assert ask(brand, settings).outcome is Outcome.WORKS, (brand, settings)


OF_EVERY_KIND = """
[WILD]
name = "Wild"
kind = "shared"
hosts = ["*.wild.example"]
fields.client_id.kind = "identifier"
fields.client_secret.kind = "secret"
fields.region = { kind = "choice", choices = { eu = "Europe", us = "America" } }
[WILD.sign_in]
url = "https://{region}.auth.wild.example/v1/{region}/token"
audience = "https://api.wild.example"
by_choice.region.us = { url = "https://us.wild.example/token", audience = "https://api.us.wild.example" }
[SECOND]
name = "Second"
kind = "shared"
hosts = ["eu.auth.wild.example"]
fields.client_id.kind = "identifier"
fields.client_secret.kind = "secret"
sign_in = { url = "https://eu.auth.wild.example/second", body = "json" }
[MUTUAL]
name = "Mutual"
kind = "shared"
hosts = ["auth.mutual.example"]
fields.client_id.kind = "identifier"
fields.client_secret.kind = "secret"
fields.certificate.kind = "pem_certificate"
fields.private_key.kind = "pem_key"
sign_in = { url = "https://auth.mutual.example/token", mutual_tls = true }
"""


def test_patterns_placeholders_and_two_brands_of_one_host(
    oem: DemoOem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_brands(OF_EVERY_KIND, tmp_path, monkeypatch)
    assert ask("WILD", {"region": "eu"}).outcome is Outcome.WORKS
    assert ask("WILD", {"region": "us"}).outcome is Outcome.WORKS
    assert ask("SECOND", {}).outcome is Outcome.WORKS
    assert [one.host for one in oem.received] == ["eu.auth.wild.example", "us.wild.example", "eu.auth.wild.example"]
    assert oem.received[1].values["audience"] == "https://api.us.wild.example"


def test_mutual_tls_is_answered_for_any_certificate_and_only_with_one(
    oem: DemoOem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_brands(OF_EVERY_KIND + OF_EVERY_KIND[OF_EVERY_KIND.index("[MUTUAL]") :].replace("MUTUAL", "OPEN").replace(
        "mutual_tls = true", "mutual_tls = false"
    ), tmp_path, monkeypatch)  # fmt: skip
    for _time in range(2):
        certificate, key = a_certificate()
        secret = {"client_secret": "right", "certificate": certificate, "private_key": key}
        assert ask("MUTUAL", {}, **secret).outcome is Outcome.WORKS
        assert ask("MUTUAL", {}, **secret | {"client_secret": "wrong1"}).code == "refused"
    without = ask("OPEN", {}, **secret)  # the same address, asked without showing the certificate
    assert (without.code, without.details["error"]) == ("refused", "invalid_request")


@pytest.mark.parametrize("rest", ["", "1", "-1", " secret", "password", "_x", "-Zx81"])
@pytest.mark.parametrize("write", [str, str.capitalize, str.upper])
def test_a_secret_that_starts_with_the_word_behaves_so(oem: DemoOem, rest: str, write: Any) -> None:
    assert ask("TESLA", {"region": "EU"}, client_secret=write("wrong") + rest).code == "refused"
    assert ask("TESLA", {"region": "EU"}, client_secret=write("unapproved") + rest).code == "not_approved"


def test_any_other_secret_works(oem: DemoOem) -> None:
    for secret in ("right", "my-wrong", "w", "wron", "xwrong", "Zx81 busy", "secret-slow"):
        assert ask("TESLA", {"region": "EU"}, client_secret=secret).outcome is Outcome.WORKS
    assert not any(one.startswith(other) for one in BEHAVIOURS for other in BEHAVIOURS if one != other)


def test_a_second_demo_oem_leaves_the_first_ones_certificates(settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    for first in play(settings, tmp_path):
        settings.VAR_DIR = first.folder.parent
        (tmp_path / "demo_oem").symlink_to(first.folder)
        port = first.server.server_address[1]
        with pytest.raises(CommandError, match=f"Port {port} cannot be used: Address already in use"):
            call_command("demo_oem", port=port)
        assert ask("TESLA", {"region": "EU"}).outcome is Outcome.WORKS


def test_two_demo_oems_on_two_ports_both_work(settings: Settings, tmp_path: Path) -> None:
    for first in play(settings, tmp_path):
        for _second in play(settings, tmp_path):
            assert ask("TESLA", {"region": "EU"}).outcome is Outcome.WORKS
        settings.FLEETCONTROL_DEMO_OEM = first.address
        assert ask("FREE2MOVE", {}).outcome is Outcome.WORKS
        assert len(first.received) == 1


@pytest.mark.parametrize("content", [b"", b"garbage", a_certificate()[0].encode()])
def test_a_broken_or_foreign_authority_is_made_anew(settings: Settings, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "oem").mkdir()
    (tmp_path / "oem" / "ca.pem").write_bytes(content)
    (tmp_path / "oem" / "ca.key").write_text(a_certificate()[1])
    for _oem in play(settings, tmp_path):
        assert ask("TESLA", {"region": "EU"}).outcome is Outcome.WORKS
    assert (tmp_path / "oem" / "ca.key").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_used_is_named_and_not_the_port(settings: Settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "demo_oem").write_text("")
    with pytest.raises(CommandError, match=r"demo_oem: File exists"):
        call_command("demo_oem", port=0)
    with pytest.raises(CommandError, match="Port 99999 cannot be used"):
        call_command("demo_oem", port=99_999)


def test_it_uses_no_database_and_so_keeps_none_running() -> None:
    """The embedded server lives as long as anybody uses it, also when quickstart beside it has ended."""
    with a_folder() as folder:
        not_copied = shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "benchmarks")
        shutil.copytree(PROJECT, folder, ignore=not_copied, dirs_exist_ok=True)
        command = [sys.executable, "manage.py", "demo_oem", "--port", "0"]
        environment = {**UNSET, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "FLEETCONTROL_DEMO_OEM=https://127.0.0.1:" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        assert (folder / "var" / "demo_oem" / "ca.pem").exists()
        assert not (folder / "var" / "postgres").exists()
