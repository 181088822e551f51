"""Reading a client certificate and its private key from the PEM text that a person pastes."""

from __future__ import annotations

import secrets
import ssl
import tempfile
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
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The shortest RSA key that NIST and the browsers accept today.
_USUAL_RSA_BITS = 2048


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
        if self.starts_at > timezone.now():
            notes.append(_("The certificate is not good before %(day)s.") % {"day": self.starts_at.date().isoformat()})
        if self.weak_bits:
            notes.append(_("The key has only %(bits)d bits; 2048 are usual today.") % {"bits": self.weak_bits})
        return tuple(notes)


def read(certificate: str, key: str, passphrase: str = "") -> Certificate:
    """Read a certificate, which a chain may follow, together with its private key. Raises PemError."""
    if not certificate:
        raise PemError("certificate", _("A private key came without its certificate. Enter both."))
    if not key:
        raise PemError("key", _("A certificate came without its private key. Enter both."))
    leaf = _load_first_certificate(certificate)
    private_key = _load_private_key(key, passphrase)
    if leaf.not_valid_after_utc < timezone.now():
        raise PemError(
            "certificate",
            _("This certificate ended on %(day)s. Enter one that is still good."),
            day=leaf.not_valid_after_utc.date().isoformat(),
        )
    public_key = leaf.public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public_key.public_bytes(*form) != private_key.public_key().public_bytes(*form):
        raise PemError("key", _("This private key does not belong to the certificate."))
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
    """Make a TLS context show a client certificate. Raises PemError.

    The ssl module reads only from files, so the pair is on disk for a moment: only this account can read it, and a
    random passphrase protects the key.
    """
    private_key = _load_private_key(key, passphrase)
    file_passphrase = secrets.token_urlsafe(32)
    encryption = BestAvailableEncryption(file_passphrase.encode())
    protected = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    with tempfile.TemporaryDirectory(prefix="fleetcontrol-") as folder:  # mode 700
        file = Path(folder) / "pair.pem"
        file.write_bytes(protected + certificate.encode())
        context.load_cert_chain(file, password=file_passphrase)


def _load_first_certificate(certificate: str) -> x509.Certificate:
    if "PRIVATE KEY" in certificate:
        raise PemError("certificate", _("This is a private key. Enter the certificate here."))
    try:
        return x509.load_pem_x509_certificates(certificate.encode())[0]
    except (ValueError, UnsupportedAlgorithm):
        raise PemError(
            "certificate",
            _("This is not a certificate in PEM form. Copy it from BEGIN CERTIFICATE to END CERTIFICATE."),
        ) from None


def _load_private_key(key: str, passphrase: str) -> Any:
    """The key as an object. Its type depends on the algorithm; every one has public_key() and private_bytes()."""
    if "PRIVATE KEY" not in key:
        raise PemError(
            "key",
            _("This is not a private key in PEM form. Copy it from its BEGIN to its END line."),
        )
    is_protected = "ENCRYPTED" in key
    if is_protected and not passphrase:
        raise PemError("passphrase", _("This private key is protected. Enter its passphrase."))
    try:
        # Ignore a passphrase for a key that needs none: the slip does no harm.
        return load_pem_private_key(key.encode(), passphrase.encode() if is_protected else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if is_protected:
            raise PemError("passphrase", _("The passphrase does not open this private key.")) from None
        raise PemError(
            "key",
            _("This private key cannot be read. Copy it again, from its BEGIN to its END line."),
        ) from None
