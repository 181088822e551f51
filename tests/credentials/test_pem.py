"""PEM as it really comes: without its line breaks, indented, as a chain in any order. And no sign-in that raises."""

import base64
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.exceptions import ValidationError
from pytest_django.fixtures import Settings

from credentials import brands, duties
from credentials.brands import Brand, find, pem
from credentials.brands import file as brand_file
from credentials.models import Credential, CredentialSecret
from credentials.oem.demo import DemoOem
from credentials.oem.sign_in import sign_in
from credentials.oem.verdict import Outcome, Verdict
from fleetcontrol import outbound
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.certificates import a_certificate, an_issued_certificate, stellantis
from tests.support.factory import TEST
from tests.support.oem import play

LOCKED = """
[LOCKED]
name = "Locked"
kind = "shared"
hosts = ["auth.locked.example"]
fields.client_id.kind = "identifier"
fields.certificate.kind = "pem_certificate"
fields.private_key.kind = "pem_key"
fields.passphrase = { kind = "passphrase", required = false }
fields.region = { kind = "choice", required = false, choices = { eu = "Europe", us = "America" } }
sign_in = { url = "https://auth.locked.example/{region}/token", client = "basic", mutual_tls = true }
"""
MANGLED: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "blanks": lambda text: text.replace("\n", " "),
    "two blanks": lambda text: text.replace("\n", "  "),
    "nothing": lambda text: text.replace("\n", ""),
    "backslash n": lambda text: text.replace("\n", "\\n"),
    "backslash r n": lambda text: text.replace("\n", "\\r\\n"),
    "backslashes twice": lambda text: text.replace("\n", "\\\\n"),
    "indented": lambda text: re.sub("^", "    ", text, flags=re.M),
    "tabs": lambda text: re.sub("^", "\t", text, flags=re.M),
    "empty lines": lambda text: text.replace("\n", "\n\n"),
    "windows": lambda text: text.replace("\n", "\r\n"),
    "no-break spaces": lambda text: text.replace("\n", "\u00a0"),
    "zero width": lambda text: text.replace("\n", "\u200b\n"),
    "words around": lambda text: f"Bag Attributes\n  friendlyName: fleet\n{text}\nKind regards",
    "quotes around": lambda text: f'"{text}"',
}


@pytest.mark.parametrize("how", MANGLED)
@pytest.mark.parametrize("passphrase", ["", "geheim"])
def test_flattened_pem_is_rewrapped_when_it_is_entered(how: str, passphrase: str) -> None:
    certificate, key = a_certificate(passphrase=passphrase)
    entered = stellantis(MANGLED[how](certificate), MANGLED[how](key))
    cleaned = find("STELLANTIS").clean(entered | ({"passphrase": passphrase} if passphrase else {}))
    assert cleaned.secret["certificate"] == certificate.strip()
    assert cleaned.secret["private_key"] == key.strip()
    assert cleaned.facts["certificate_subject"] == "CN=client1"


@pytest.mark.parametrize("how", MANGLED)
def test_an_older_protected_key_keeps_its_header(how: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    older = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"geheim"),
    ).decode()
    assert "DEK-Info" in older
    assert pem.rewrapped(MANGLED[how](older)) == older.strip()


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda key: key.replace("-----END PRIVATE KEY-----", ""), "This private key cannot be read."),
        (lambda key: key[:80] + "!" + key[81:], "This private key cannot be read."),
        (lambda key: key[:80] + key[90:], "This private key cannot be read."),
        (lambda key: key.replace("-----", "——"), "This private key cannot be read."),
        (lambda key: "-----BEGIN PRIVATE KEY----- -----END PRIVATE KEY-----", "This private key cannot be read."),
        (lambda key: "MIGH" + "A" * 200, "This is not a private key in PEM form."),
    ],
)
def test_what_cannot_be_rewrapped_is_refused_with_a_sentence(broken: object, sentence: str) -> None:
    certificate, key = a_certificate()
    assert callable(broken)
    with pytest.raises(ValidationError) as refused:
        find("STELLANTIS").clean(stellantis(certificate, broken(key)))
    assert refused.value.message_dict["private_key"][0].startswith(sentence)


def test_a_key_beside_its_certificate_or_its_curve_is_found() -> None:
    certificate, key = a_certificate()
    curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    for entered in (certificate + key, curve + key, key + certificate):
        assert find("STELLANTIS").clean(stellantis(certificate, entered)).facts["certificate_subject"] == "CN=client1"


def test_the_certificate_that_fits_the_key_is_found_in_a_chain() -> None:
    chain, key = an_issued_certificate()
    blocks = re.findall("-----BEGIN.*?-----END CERTIFICATE-----\n", chain, re.S)
    assert len(blocks) == 3
    for ordered in (blocks, blocks[::-1], [blocks[1], blocks[0], blocks[2]]):
        cleaned = find("STELLANTIS").clean(stellantis("".join(ordered), key))
        assert cleaned.facts["certificate_subject"] == "CN=leaf"
        shown = Shown()
        pem.load_into(shown, "".join(ordered), key)  # type: ignore[arg-type]
        assert shown.subjects == ["CN=leaf", "CN=intermediate", "CN=root"]


def test_a_chain_without_the_keys_certificate_is_refused() -> None:
    chain, _key = an_issued_certificate()
    _certificate, key = a_certificate()
    with pytest.raises(ValidationError, match="does not belong to the certificate"):
        find("STELLANTIS").clean(stellantis(chain, key))


def test_what_was_pasted_is_found_again_as_a_leaked_secret(fleet: Fleet) -> None:
    certificate, key = a_certificate()
    values = stellantis(certificate, key.replace("\n", " "))
    Credential.add(fleet=fleet, actor=TEST, brand="STELLANTIS", name="Stellantis", values=values)
    for pasted in (key, key.strip(), key.replace("\n", " "), key.replace("\n", "\\n")):
        assert CredentialSecret.objects.holding(pasted, fleet.pk).exists()


def test_what_was_entered_flat_is_usable_by_a_sign_in(locked: tuple[Brand, DemoOem]) -> None:
    brand, oem = locked
    certificate, key = a_certificate()
    for how in MANGLED.values():
        typed = {"client_id": "c", "certificate": how(certificate), "private_key": how(key), "region": "eu"}
        cleaned = brand.clean(typed)
        assert sign_in(brand, cleaned.identifier, cleaned.settings, cleaned.secret).outcome is Outcome.WORKS
    assert len(oem.received) == len(MANGLED)


def test_pem_that_was_stored_flat_before_is_usable_too(locked: tuple[Brand, DemoOem]) -> None:
    brand, _oem = locked
    certificate, key = a_certificate()
    secret = {"certificate": certificate.replace("\n", " "), "private_key": key.replace("\n", " ")}
    assert sign_in(brand, "c", {"region": "eu"}, secret).outcome is Outcome.WORKS


def test_a_key_that_the_ssl_module_refuses_is_a_verdict(locked: tuple[Brand, DemoOem]) -> None:
    brand, oem = locked
    certificate, key = a_certificate(key=rsa.generate_private_key(65537, 1024))
    verdict = sign_in(brand, "c", {"region": "eu"}, {"certificate": certificate, "private_key": key})
    assert (verdict.outcome, verdict.code) == (Outcome.REFUSED, "unusable_certificate")
    assert oem.received == []


GOOD_CERTIFICATE, GOOD_KEY = a_certificate()
GOOD = {"certificate": GOOD_CERTIFICATE, "private_key": GOOD_KEY}
ODD_TEXTS = ["\ud800", "\x00", "a\r\nX-Injected: b", "ü\u200b", "%", "{region}", "x" * 100_000, "", " ", None, 7, ["a"]]
ODD = [
    *(("LOCKED", {"identifier": odd}) for odd in ODD_TEXTS),
    *(("LOCKED", {"region": odd}) for odd in ODD_TEXTS),
    *(("LOCKED", {key: odd}) for key in (*GOOD, "passphrase") for odd in ODD_TEXTS),
    *(("LOCKED", {"private_key": odd}) for odd in (GOOD_CERTIFICATE, GOOD_KEY[:60], a_certificate()[1], "-----BEGIN ")),
    *(("LOCKED", {"certificate": odd}) for odd in (GOOD_KEY, GOOD_CERTIFICATE[:60], "-----BEGIN CERTIFICATE-----")),
    *((brand, {"identifier": odd}) for brand in ("TESLA", "MERCEDES_BENZ", "HIGH_MOBILITY") for odd in ODD_TEXTS),
    *((brand, {"client_secret": odd}) for brand in ("TESLA", "MERCEDES_BENZ", "HIGH_MOBILITY") for odd in ODD_TEXTS),
    *(("TESLA", {"region": odd}) for odd in ODD_TEXTS),
    *(("MERCEDES_BENZ", {"token_url": odd}) for odd in ODD_TEXTS),
    *(
        ("MERCEDES_BENZ", {"token_url": f"https://id.mercedes-benz.com{rest}"})
        for rest in ("/\r\nX: y", ":99999/", ":abc/", "/\ud800", "/" + "a" * 70_000, "@evil.example/", "/ü ü")
    ),
    ("MERCEDES_BENZ", {"token_url": "https://[::1/"}),
    ("MERCEDES_BENZ", {"token_url": "http://id.mercedes-benz.com/"}),
]


@pytest.mark.parametrize(("brand", "odd"), ODD, ids=[f"{number}" for number in range(len(ODD))])
def test_every_sign_in_ends_in_a_verdict_whatever_the_values_are(
    locked: tuple[Brand, DemoOem], caplog: pytest.LogCaptureFixture, brand: str, odd: dict[str, str]
) -> None:
    settings = {"region": "eu" if brand == "LOCKED" else "EU", "token_url": "https://id.mercedes-benz.com/as/token"}
    secret = {**GOOD} if brand == "LOCKED" else {"client_secret": "right-Zx81"}
    oem = locked[0] if brand == "LOCKED" else find(brand)
    for key, value in odd.items():
        (secret if key in (*GOOD, "passphrase", "client_secret") else settings)[key] = value
    verdict = sign_in(oem, settings.pop("identifier", "client1"), settings, secret)
    assert isinstance(verdict, Verdict)
    assert verdict.reason
    assert "right-Zx81" not in caplog.text + repr(verdict)
    assert "Error: " not in caplog.text


ANSWERS = [
    outbound.Answer(200, {}, body)
    for body in (b"", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 60_000, b'{"access_token": {}}', b'{"access_token": 7}')
] + [
    outbound.Answer(400, {"retry-after": wait, "x-request-id": "a\nb"}, b'{"error": ["invalid_client"]}')
    for wait in ("", "-1", "9" * 400, "٣", "1.5", "Fri, 27 Nov 2026 05:00:00 GMT", "NaN")
]


@pytest.mark.parametrize("answer", [*ANSWERS, outbound.Answer(0, {}, b""), outbound.Answer(999, {}, b"{}")])
def test_every_sign_in_ends_in_a_verdict_whatever_the_answer_is(
    monkeypatch: pytest.MonkeyPatch, answer: outbound.Answer
) -> None:
    monkeypatch.setattr(outbound, "post", lambda *args, **kwargs: answer)
    verdict = sign_in(find("TESLA"), "client1", {"region": "EU"}, {"client_secret": "x"})
    assert verdict.outcome in (Outcome.NO_ANSWER, Outcome.REFUSED)
    assert 0 <= verdict.details.get("retry_after", 0) <= 24 * 3600


@pytest.mark.parametrize(
    "error", [UnicodeEncodeError("ascii", "ü", 0, 1, "no"), ssl.SSLError("no"), OSError("no"), ValueError("right-Zx81")]
)
def test_an_error_on_the_way_is_a_verdict_and_its_text_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(outbound, "post", fail)
    verdict = sign_in(find("TESLA"), "client1", {"region": "EU"}, {"client_secret": "right-Zx81"})
    assert (verdict.outcome, verdict.code) == (Outcome.NO_ANSWER, "unexpected")
    assert type(error).__name__ in caplog.text
    assert "right-Zx81" not in caplog.text


def test_tend_goes_on_with_the_others_when_one_fails(
    fleet: Fleet, oem: DemoOem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []
    for number in range(3):
        values = {"client_secret": f"right-{number}", "region": "EU"}
        credential = factory.a_credential(fleet, name=f"Tesla {number}", brand="TESLA", values=values)
        factory.a_vehicle(fleet, credential)
    verify = Credential.verify

    def fail_once(credential: Credential, **options: object) -> Verdict:
        tried.append(credential.pk)
        if len(tried) == 1:
            raise RuntimeError("nobody expected this")
        if len(tried) == 2:
            raise CredentialSecret.DoesNotExist
        return verify(credential, actor=TEST)

    monkeypatch.setattr(Credential, "verify", fail_once)
    assert duties.verify_due() == 1
    assert len(set(tried)) == 3
    assert f"Credential {tried[0]} failed" in caplog.text
    assert f"Credential {tried[1]} failed" in caplog.text
    assert duties.verify_due() == 0  # what failed waits for its turn, too


@pytest.fixture
def locked(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Brand, DemoOem]]:
    """A brand with mutual TLS, and the OEM that plays it."""
    (tmp_path / "own.toml").write_text(LOCKED)
    catalogue = brand_file.read(tmp_path / "own.toml", brands.catalogue())
    monkeypatch.setattr(brands, "catalogue", lambda: catalogue)
    for oem in play(settings, tmp_path):
        yield catalogue["LOCKED"], oem


class Shown:
    """In the place of a TLS context: the subjects of the certificates that it was given, in their order."""

    def load_cert_chain(self, file: Path, password: str) -> None:
        self.subjects = [one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(file.read_bytes())]


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = bytes([len(content)]) if len(content) < 128 else b"\x82" + len(content).to_bytes(2)
    return bytes([tag]) + length + content


def integer(number: int) -> bytes:
    return der(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def protected(derivation: bytes) -> str:
    """A private key as PKCS #8 protects it, whose passphrase nobody knows."""
    cipher = der(0x30, bytes.fromhex("060960864801650304012a"), der(0x04, b"\1" * 16))
    algorithm = der(0x30, bytes.fromhex("06092a864886f70d01050d"), der(0x30, derivation, cipher))
    content = base64.encodebytes(der(0x30, algorithm, der(0x04, b"\1" * 160))).decode()
    return f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{content}-----END ENCRYPTED PRIVATE KEY-----\n"


def pbkdf2(rounds: int) -> bytes:
    function = der(0x30, bytes.fromhex("06082a864886f70d02090500"))
    parameters = der(0x30, der(0x04, b"12345678"), integer(rounds), function)
    return der(0x30, bytes.fromhex("06092a864886f70d01050c"), parameters)


def scrypt(n: int, r: int, p: int) -> bytes:
    parameters = der(0x30, der(0x04, b"12345678"), integer(n), integer(r), integer(p))
    return der(0x30, bytes.fromhex("06092b06010401da47040b"), parameters)


@pytest.mark.parametrize(
    ("derivation", "words"),
    [
        (pbkdf2(2_000), "passphrase does not open"),
        (pbkdf2(600_000), "passphrase does not open"),
        (pbkdf2(2**31 - 1), "takes too long"),
        (pbkdf2(2**62), "takes too long"),
        (scrypt(2**14, 8, 1), "passphrase does not open"),
        (scrypt(2**30, 8, 1), "takes too long"),
        (scrypt(2**14, 8, 2**20), "takes too long"),
    ],
)
def test_a_key_that_would_take_hours_to_open_is_refused(derivation: bytes, words: str) -> None:
    certificate, _key = a_certificate()
    with pytest.raises(pem.PemError) as caught:
        pem.read(certificate, protected(derivation), "a passphrase")
    assert words in str(caught.value.sentence)


def test_a_key_that_would_take_minutes_to_check_is_refused() -> None:
    certificate, _key = a_certificate()
    content = "\n".join(["A" * 64] * 200)
    with pytest.raises(pem.PemError) as caught:
        pem.read(certificate, f"-----BEGIN RSA PRIVATE KEY-----\n{content}\n-----END RSA PRIVATE KEY-----")
    assert "too long" in str(caught.value.sentence)
