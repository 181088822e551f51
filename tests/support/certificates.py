"""Certificates and keys for tests."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

type Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def stellantis(certificate: str, key: str, **more: str) -> dict[str, str]:
    values = {"client_id": "client1", "username": "fleet", "password": "secret"}
    return values | {"certificate": certificate, "private_key": key} | more


def a_certificate(*, days: int = 90, passphrase: str = "", key: Key | None = None) -> tuple[str, str]:
    """Return a self-signed certificate that ends after so many days, and its key, both as PEM text."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = _sign("client1", "client1", key, key, days)
    return _as_pem(certificate), _key_as_pem(key, passphrase)


def an_issued_certificate() -> tuple[str, str]:
    """Return a chain of a certificate, its issuer and the root, in this order, and the first one's key, as PEM text."""
    root, intermediate, leaf = (ec.generate_private_key(ec.SECP256R1()) for _each in range(3))
    chain = [
        _sign("leaf", "intermediate", leaf, intermediate),
        _sign("intermediate", "root", intermediate, root),
        _sign("root", "root", root, root),
    ]
    return "".join(_as_pem(one) for one in chain), _key_as_pem(leaf)


def _sign(subject: str, issuer: str, key: Key, issuer_key: Key, days: int = 90) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _as_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_as_pem(key: Key, passphrase: str = "") -> str:
    protection = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection).decode()
