"""Reading a client certificate and its private key from the PEM text that a person pastes.

Forms, spreadsheets and YAML take line breaks away or add blanks, and OpenSSL reads only PEM that is wrapped as the
standard has it. So `rewrapped` restores the lines before anything is checked or stored.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from fleetcontrol.db.clock import database_now

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The shortest RSA key that NIST and the browsers accept today.
_USUAL_RSA_BITS = 2048
# A block ends at the next five hyphens, so that many beginnings without an end take no longer than one.
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----((?:[^-]++|-(?!----))*+)-----END \1-----")
# What stands for a line break or was added beside one: white space, invisible marks, and the two characters \\n.
_BETWEEN_LINES = re.compile(r"(?:(?<!\\)\\++[rnt]|[\s\u200b\u200c\u200d\u2060\ufeff]++)++")
# The header of a protected key in OpenSSL's older form. The cipher's block size says how long its hex digits are.
_HEADER = re.compile(
    r"Proc-Type: ?4,ENCRYPTED ?DEK-Info: ?"
    r"(AES-(?:128|192|256)-CBC,[0-9A-F]{32}|DES(?:-EDE3)?-CBC,[0-9A-F]{16})",
    re.IGNORECASE,
)
_LINE = 64  # characters, as RFC 7468 wants them
_LONGEST_KEY = 7_500  # characters; RSA with 8,192 bits has 6,500, and to check one takes seconds already
# How much work a key may ask for before its passphrase is tried: seconds, and 256 MB for scrypt.
_MOST_ROUNDS = 10_000_000
_MOST_SCRYPT = 2**21
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # its object identifier in DER
_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_UNUSABLE = _("This private key cannot be used to sign in. Ask for a certificate with another key.")


class PemError(Exception):
    """Certificate, key and passphrase do not belong together, or one of them cannot be read.

    `part` says which: certificate, key or passphrase. `sentence` is for people.
    """

    def __init__(self, part: str, sentence: StrOrPromise, **params: Any) -> None:
        self.part, self.sentence, self.params = part, sentence, params
        super().__init__(part)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What pages may show of a client certificate.

    `fingerprint` is the certificate's SHA-256 in hex pairs. `weak_bits` is the length of an RSA key that is too short.
    """

    subject: str
    fingerprint: str
    starts_at: datetime
    ends_at: datetime
    weak_bits: int | None = None

    @property
    def ends_on(self) -> date:
        """The day in UTC on which the certificate ends."""
        return self.ends_at.date()

    def facts(self) -> dict[str, str]:
        """Subject, fingerprint and end, as stored beside the sealed secret."""
        return {
            "certificate_subject": self.subject,
            "certificate_fingerprint": self.fingerprint,
            "certificate_ends_on": self.ends_on.isoformat(),
        }

    def notes(self) -> tuple[StrOrPromise, ...]:
        """What a person should know about a certificate that is accepted all the same."""
        notes: list[StrOrPromise] = []
        if self.starts_at > database_now():
            notes.append(_("The certificate is not good before %(day)s.") % {"day": self.starts_at.date().isoformat()})
        if self.weak_bits:
            notes.append(_("The key has only %(bits)d bits; 2048 are usual today.") % {"bits": self.weak_bits})
        return tuple(notes)


@sensitive_variables()
def rewrapped(text: str) -> str:
    """The PEM blocks of a text in lines of 64 characters, without anything around them.

    The line breaks may have become blanks, "\\n" or nothing. A text without a whole block is returned as it is, and a
    block that is not base64 keeps its content, so that `read` says what is wrong.
    """
    blocks = [_rewrapped_block(label, content) for label, content in _BLOCK.findall(text)]
    return "\n".join(blocks) if blocks else text


@sensitive_variables()
def _rewrapped_block(label: str, content: str) -> str:
    joined = _BETWEEN_LINES.sub(" ", content).strip()
    header = _HEADER.match(joined)
    encoded = (joined[header.end() :] if header else joined).replace(" ", "").replace("\\/", "/")
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return f"-----BEGIN {label}-----{content}-----END {label}-----"
    lines = [encoded[start : start + _LINE] for start in range(0, len(encoded), _LINE)]
    headers = ["Proc-Type: 4,ENCRYPTED", f"DEK-Info: {header[1]}", ""] if header else []
    return "\n".join([f"-----BEGIN {label}-----", *headers, *lines, f"-----END {label}-----"])


@sensitive_variables()
def read(certificate: str, key: str, passphrase: str = "") -> Certificate:
    """Read a certificate, or the chain that it is part of, together with its private key. Raises PemError."""
    if not certificate:
        raise PemError("certificate", _("A private key came without its certificate. Enter both."))
    if not key:
        raise PemError("key", _("A certificate came without its private key. Enter both."))
    chain = _load_certificates(certificate)
    leaf = _certificate_of_key(chain, _load_private_key(key, passphrase))
    if leaf.not_valid_after_utc < database_now():
        raise PemError(
            "certificate",
            _("This certificate ended on %(day)s. Enter one that is still good."),
            day=leaf.not_valid_after_utc.date().isoformat(),
        )
    public_key = leaf.public_key()
    rsa_bits = public_key.key_size if isinstance(public_key, rsa.RSAPublicKey) else None
    return Certificate(
        subject=leaf.subject.rfc4514_string()[:200] or str(_("(no name)")),
        fingerprint=leaf.fingerprint(SHA256()).hex(":").upper(),
        starts_at=leaf.not_valid_before_utc.astimezone(UTC),
        ends_at=leaf.not_valid_after_utc.astimezone(UTC),
        weak_bits=rsa_bits if rsa_bits and rsa_bits < _USUAL_RSA_BITS else None,
    )


@sensitive_variables()
def load_into(context: ssl.SSLContext, certificate: str, key: str, passphrase: str = "") -> None:
    """Make a TLS context show a client certificate and, after it, those that issued it.

    Raises PemError, also for a pair that the ssl module refuses, such as one with a key that is too short for it.
    The ssl module reads only from files, so the pair is on disk for a moment: only this account can read it, and a
    random passphrase protects the key.
    """
    private_key = _load_private_key(rewrapped(key), passphrase)
    chain = _load_certificates(rewrapped(certificate))
    ordered = _leaf_first(_certificate_of_key(chain, private_key), chain)
    file_passphrase = secrets.token_urlsafe(32)
    encryption = BestAvailableEncryption(file_passphrase.encode())
    try:
        protected = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        with tempfile.TemporaryDirectory(prefix="fleetcontrol-") as folder:  # mode 700
            file = Path(folder) / "pair.pem"
            file.write_bytes(protected + b"".join(one.public_bytes(Encoding.PEM) for one in ordered))
            context.load_cert_chain(file, password=file_passphrase)
    except (ssl.SSLError, ValueError, UnsupportedAlgorithm):
        raise PemError("key", _UNUSABLE) from None


@sensitive_variables()
def _load_certificates(certificate: str) -> list[x509.Certificate]:
    if "PRIVATE KEY" in certificate:
        raise PemError("certificate", _("This is a private key. Enter the certificate here."))
    try:
        return x509.load_pem_x509_certificates(certificate.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PemError(
            "certificate",
            _("This is not a certificate in PEM form. Copy it from BEGIN CERTIFICATE to END CERTIFICATE."),
        ) from None


@sensitive_variables()
def _certificate_of_key(chain: list[x509.Certificate], private_key: Any) -> x509.Certificate:
    """The certificate of a chain that belongs to the key, wherever it stands. Raises PemError."""
    try:
        wanted = private_key.public_key().public_bytes(*_SPKI)
    except (ValueError, UnsupportedAlgorithm):
        raise PemError("key", _UNUSABLE) from None
    found = next((one for one in chain if _public_bytes(one) == wanted), None)
    if found is None:
        raise PemError("key", _("This private key does not belong to the certificate."))
    return found


def _public_bytes(certificate: x509.Certificate) -> bytes:
    """The certificate's public key; b"" for an algorithm that is not known, as a chain may have higher up."""
    try:
        return certificate.public_key().public_bytes(*_SPKI)
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _leaf_first(leaf: x509.Certificate, chain: list[x509.Certificate]) -> list[x509.Certificate]:
    """The chain in the order that TLS wants: each certificate before its issuer. Those without a place come last."""
    ordered, left = [leaf], [one for one in chain if one != leaf]
    while issuer := next((one for one in left if one.subject == ordered[-1].issuer), None):
        ordered.append(issuer)
        left.remove(issuer)
    return ordered + left


@sensitive_variables()
def _load_private_key(key: str, passphrase: str) -> Any:
    """The key as an object. Its type depends on the algorithm; every one has public_key() and private_bytes()."""
    # The field may hold more than the key: the certificate, or the parameters of its curve.
    blocks = [block for block in _BLOCK.finditer(key) if block[1].endswith("PRIVATE KEY")]
    if "PRIVATE KEY" not in key:
        raise PemError(
            "key",
            _("This is not a private key in PEM form. Copy it from its BEGIN to its END line."),
        )
    key = blocks[0][0] if blocks else key
    is_protected = "ENCRYPTED" in key
    if is_protected and not passphrase:
        raise PemError("passphrase", _("This private key is protected. Enter its passphrase."))
    if len(key) > _LONGEST_KEY:
        raise PemError("key", _("This private key is too long. Ask for a certificate with a key of up to 8,192 bits."))
    if blocks and _takes_long(blocks[0][2]):
        raise PemError(
            "key",
            _("Opening this private key takes too long. Protect it again, with fewer rounds, and enter it then."),
        )
    try:
        if not blocks:
            raise ValueError("no whole block")
        # Ignore a passphrase for a key that needs none: the slip does no harm.
        return load_pem_private_key(key.encode(), passphrase.encode() if is_protected else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_protected:
            raise PemError("passphrase", _("The passphrase does not open this private key.")) from None
        raise PemError(
            "key",
            _("This private key cannot be read. Copy it again, from its BEGIN to its END line."),
        ) from None


def _takes_long(content: str) -> bool:
    """Whether a key that is protected as PKCS #8 has it, asks for more rounds than anybody needs.

    The numbers in its first part, the algorithm, are the rounds, or scrypt's N, r and p. What is no DER is not opened.
    """
    try:
        algorithm = next(_parts_of(next(_parts_of(base64.b64decode(content)))[1]))[1]
        numbers = list(_integers(algorithm))
    except (ValueError, IndexError, StopIteration, RecursionError):
        return False
    if _SCRYPT in algorithm:
        return math.prod(numbers) > _MOST_SCRYPT
    return max(numbers, default=0) > _MOST_ROUNDS


def _integers(der: bytes) -> Iterator[int]:
    """All integers of a sequence in DER and of the sequences in it."""
    for tag, content in _parts_of(der):
        if tag == 0x02:
            yield int.from_bytes(content)
        elif tag == 0x30:
            yield from _integers(content)


def _parts_of(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element. Raises IndexError for what breaks off."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start])
        yield tag, der[start : start + length]
        der = der[start + length :]
