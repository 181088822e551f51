"""Signing in to OEMs: the form that each expects, and the ways in which it fails."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from django.utils import translation
from django.views.debug import ExceptionReporter
from pytest_django.fixtures import Settings

from credentials.brands import file as brand_file
from credentials.brands import find
from credentials.oem.demo import DemoOem
from credentials.oem.sign_in import sign_in
from credentials.oem.verdict import REASONS, Outcome, Verdict
from fleetcontrol import outbound
from tests.support.certificates import a_certificate
from tests.support.oem import play
from tests.support.project import KEYS, PROJECT, UNSET

SECRET = "right-Zx81-supersecret"
SETTINGS = {
    "MERCEDES_BENZ": {"token_url": "https://id.mercedes-benz.com/as/token.oauth2"},
    "SEGWAY": {"region": "eu"},
    "TESLA": {"region": "NA"},
    "FREE2MOVE": {},
    "HIGH_MOBILITY": {},
}


@pytest.mark.parametrize("brand", SETTINGS)
def test_a_right_secret_works_at_every_brand_with_a_public_sign_in(oem: DemoOem, brand: str) -> None:
    verdict = ask(brand)
    assert verdict.outcome is Outcome.WORKS
    assert verdict.reason == "The connection works."
    assert verdict.token is not None
    assert verdict.token.reveal().startswith("demo-")
    assert verdict.expires_in in (300, 86_400)


def test_tesla_is_asked_by_form_with_the_audience_of_the_region(oem: DemoOem) -> None:
    ask("TESLA")
    (received,) = oem.received
    assert (received.host, received.path) == ("fleet-auth.prd.vn.cloud.tesla.com", "/oauth2/v3/token")
    assert received.content_type == "application/x-www-form-urlencoded"
    assert received.values == {
        "grant_type": "client_credentials",
        "client_id": "client1",
        "client_secret": SECRET,
        "audience": "https://fleet-api.prd.na.vn.cloud.tesla.com",
    }


def test_high_mobility_is_asked_in_json(oem: DemoOem) -> None:
    ask("HIGH_MOBILITY")
    assert oem.received[0].content_type == "application/json"


def test_mercedes_is_asked_with_basic_and_special_characters_arrive(oem: DemoOem) -> None:
    ask("MERCEDES_BENZ", secret="a:b+c d%ü")
    assert oem.received[0].by_basic
    assert oem.received[0].values["client_secret"] == "a:b+c d%ü"
    assert oem.received[0].host == "id.mercedes-benz.com"


@pytest.mark.parametrize("region", ["apac", "eu", "us", "cn"])
def test_segways_region_decides_the_host(oem: DemoOem, region: str) -> None:
    assert ask("SEGWAY", {"region": region}).outcome is Outcome.WORKS
    assert oem.received[0].host == f"{region}-api.segwaydiscovery.com"


@pytest.mark.parametrize(
    ("word", "outcome", "code"),
    [
        ("wrong", Outcome.REFUSED, "refused"),
        ("unapproved", Outcome.REFUSED, "not_approved"),
        ("scopes", Outcome.SCOPES_MISSING, "scopes"),
        ("huge", Outcome.NO_ANSWER, "large"),
        ("redirect", Outcome.NO_ANSWER, "redirect"),
        ("garbage", Outcome.NO_ANSWER, "broken"),
        ("closing", Outcome.NO_ANSWER, "broken"),
        ("trouble", Outcome.NO_ANSWER, "trouble"),
        ("busy", Outcome.NO_ANSWER, "busy"),
        ("echo", Outcome.REFUSED, "refused"),
    ],
)
def test_what_the_oem_does_becomes_a_verdict_without_the_secret(
    oem: DemoOem, word: str, outcome: Outcome, code: str
) -> None:
    secret = f"{word}-Zx81supersecret"
    verdict = ask("TESLA", secret=secret)
    assert (verdict.outcome, verdict.code) == (outcome, code)
    assert verdict.token is None
    assert secret not in repr(verdict) + verdict.reason
    assert verdict.details["host"] == "fleet-auth.prd.vn.cloud.tesla.com"


def test_an_error_that_is_an_object_and_no_code_is_an_unreadable_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = outbound.Answer(400, {}, b'{"error": {"code": 400, "message": "invalid_client"}}')
    monkeypatch.setattr(outbound, "post", lambda *args, **kwargs: answer)
    verdict = ask("TESLA")
    assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "broken")
    assert "error" not in verdict.details


@pytest.mark.parametrize("word", ["slow", "drip"])
def test_the_deadline_holds_for_silence_and_for_drips(oem: DemoOem, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(outbound, "SECONDS", 1.0)
    started = time.monotonic()
    verdict = ask("TESLA", secret=word)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "timeout")
    assert 0.9 < time.monotonic() - started < 2


def test_a_wrong_certificate_is_not_trusted(settings: Settings, tmp_path: Path) -> None:
    for oem in play(settings, tmp_path, names=("another.example",)):
        verdict = ask("TESLA")
        assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "certificate")
        assert oem.received == []


def test_nobody_there_is_told(oem: DemoOem) -> None:
    oem.stop()
    assert ask("TESLA").code == "connect"


def test_details_help_to_ask_the_oem_and_hold_no_secret(oem: DemoOem) -> None:
    details = ask("TESLA", secret="wrong").details
    assert details["http_status"] == 401
    assert details["error"] == "invalid_client"
    assert len(details["request_id"]) == 16
    assert set(details) == {"time", "host", "http_status", "error", "request_id", "milliseconds", "demo"}


@pytest.mark.parametrize("brand", ["NIU", "STELLANTIS", "OKAI", "CLOUDBOXX"])
def test_a_brand_without_a_public_sign_in_cannot_be_checked(oem: DemoOem, brand: str) -> None:
    verdict = sign_in(find(brand), "client1", {}, {"client_secret": SECRET})
    assert verdict.outcome is Outcome.CANNOT_CHECK
    assert oem.received == []


def test_without_a_needed_setting_it_cannot_be_checked_and_says_which(oem: DemoOem) -> None:
    verdict = ask("MERCEDES_BENZ", {})
    assert verdict.outcome is Outcome.CANNOT_CHECK
    assert verdict.reason == "FleetControl cannot check this credential without “Token URL”."


def test_a_host_that_is_not_the_brands_is_not_asked_whatever_is_stored(oem: DemoOem) -> None:
    assert ask("MERCEDES_BENZ", {"token_url": "https://evil.example/"}).outcome is Outcome.NO_ANSWER
    assert oem.received == []


MUTUAL = """
[LOCKED]
name = "Locked"
kind = "shared"
hosts = ["fleet-auth.prd.vn.cloud.tesla.com"]
fields.client_id.kind = "identifier"
fields.certificate.kind = "pem_certificate"
fields.private_key.kind = "pem_key"
fields.passphrase = { kind = "passphrase", required = false }
sign_in = { url = "https://fleet-auth.prd.vn.cloud.tesla.com/oauth2/v3/token", mutual_tls = true }
"""


def test_mutual_tls_shows_the_client_certificate(settings: Settings, tmp_path: Path) -> None:
    certificate, key = a_certificate(passphrase="geheim")
    other_certificate, other_key = a_certificate()
    (tmp_path / "clients.pem").write_text(certificate)
    (tmp_path / "own.toml").write_text(MUTUAL)
    locked = brand_file.read(tmp_path / "own.toml")["LOCKED"]
    known = {"certificate": certificate, "private_key": key, "passphrase": "geheim"}
    unknown = {"certificate": other_certificate, "private_key": other_key}
    for oem in play(settings, tmp_path, client_ca=tmp_path / "clients.pem"):
        # The demo OEM requires what Tesla's entry declares. Of that, only the audience is missing here.
        assert sign_in(locked, "client1", {}, known).details["http_status"] == 400
        verdict = sign_in(locked, "client1", {}, unknown)
        assert (verdict.outcome, verdict.code) == (Outcome.REFUSED, "own_certificate")
        assert len(oem.received) == 1


def test_proxies_of_the_environment_are_ignored(oem: DemoOem, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask("TESLA").outcome is Outcome.WORKS


def test_every_reason_is_a_whole_sentence_in_the_readers_language() -> None:
    with translation.override("en"):
        for code in REASONS:
            reason = Verdict(Outcome.NO_ANSWER, find("TESLA"), code, {"setting": "region"}).reason
            assert reason.endswith(".")
            assert "%" not in reason


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"FLEETCONTROL_DEMO_OEM": "https://127.0.0.1:8443", "PUBLIC_URL": "https://fleet.example"}, "for a trial"),
        ({"FLEETCONTROL_DEMO_OEM": "https://127.0.0.1:8443", "DATABASE_URL": "postgres://a@b/c"}, "for a trial"),
        ({"FLEETCONTROL_DEMO_OEM": "https://10.0.0.1:8443"}, "must be what manage.py demo_oem prints"),
    ],
)
def test_the_demo_oem_cannot_be_left_on_in_production(variables: dict[str, str], sentence: str) -> None:
    run = subprocess.run(
        [sys.executable, "manage.py", "check"], env={**UNSET, **KEYS, **variables}, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert sentence in run.stdout + run.stderr


def ask(brand: str, settings: dict[str, str] | None = None, secret: str = SECRET) -> Verdict:
    return sign_in(find(brand), "client1", SETTINGS[brand] if settings is None else settings, {"client_secret": secret})


def test_an_error_of_our_own_shows_nothing_of_the_secret(
    oem: DemoOem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error report shows each frame with its variables, after Django's filter."""

    async def broken(*args: object, **kwargs: object) -> None:
        raise KeyError(args)

    monkeypatch.setattr(httpx2.AsyncClient, "send", broken)
    verdict = ask("TESLA")
    assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "unexpected")
    assert "failed unexpectedly: KeyError" in caplog.text
    assert SECRET not in caplog.text + repr(verdict)
    try:
        outbound.post("https://1.1.1.1/", headers={}, content=SECRET.encode(), trust=outbound.new_trust())
    except outbound.NoAnswer:
        report = ExceptionReporter(None, *sys.exc_info()).get_traceback_data()
    assert "unexpected" in str(report["exception_value"])
    ours = [frame for frame in report["frames"] if not frame["filename"].startswith(str(PROJECT / "tests"))]
    assert [frame["function"] for frame in ours][-1] == "post"
    assert SECRET not in str([frame["vars"] for frame in ours])


def test_before_the_demo_oem_has_started_nobody_is_trusted(settings: Settings, tmp_path: Path) -> None:
    settings.FLEETCONTROL_DEMO_OEM = "https://127.0.0.1:9"
    settings.FLEETCONTROL_DEMO_OEM_CA = str(tmp_path / "missing.pem")
    assert ask("TESLA").code == "connect"


def test_mutual_tls_without_a_certificate_cannot_be_checked(oem: DemoOem, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MUTUAL)
    verdict = sign_in(brand_file.read(tmp_path / "own.toml")["LOCKED"], "client1", {}, {})
    assert (verdict.outcome, verdict.code) == (Outcome.CANNOT_CHECK, "setting_missing")
