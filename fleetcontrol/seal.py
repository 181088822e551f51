"""Sealing: a secret goes in encrypted together with its owner's id, and opens only for that owner.

Encryption is django-fernet-fields' (AES-128-CBC with HMAC-SHA256, keys in FERNET_KEYS, newest first). Two things are
added: the owner's id inside the ciphertext, so that one copied to another row is refused; and a column that is read
as a closed `Sealed`, so that a list never decrypts and a wrong key breaks one operation and not a page.
"""

import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from fernet_fields.hkdf import derive_fernet_key

_SEPARATOR = "\x00"
_CANNOT_BE_OPENED = _(
    "This secret cannot be opened with the keys in FERNET_KEYS. Add the key it was sealed with, or replace the secret."
)


class SealError(Exception):
    """A sealed secret cannot be opened; the message is a sentence for people and holds nothing of the secret."""


class Sealed:
    """A ciphertext. Shows nothing of itself; `open` is the only way in."""

    __slots__ = ("token",)

    def __init__(self, token: bytes) -> None:
        self.token = token

    def __repr__(self) -> str:
        return "<Sealed>"

    __str__ = __repr__

    def open(self, owner: str) -> str:
        """The text that was sealed for this owner.

        Raises SealError when no key of FERNET_KEYS opens it, or when it was sealed for another owner.
        """
        try:
            return self.open_bytes(owner).decode()
        except UnicodeDecodeError:
            raise SealError(_CANNOT_BE_OPENED) from None

    def open_bytes(self, owner: str) -> bytes:
        """The bytes that were sealed for this owner. Raises SealError as `open` does."""
        try:
            plain = fernet().decrypt(self.token)
        except InvalidToken:
            raise SealError(_CANNOT_BE_OPENED) from None
        found, _separator, data = plain.partition(_SEPARATOR.encode())
        if not hmac.compare_digest(found, owner.encode()):
            raise SealError(_("This secret was sealed for something else and was copied here. Replace the secret."))
        return data

    def fits(self) -> bool:
        """Whether one of today's keys opens it, whoever the owner is."""
        try:
            fernet().decrypt(self.token)
        except InvalidToken:
            return False
        return True


def seal(text: str, owner: str) -> Sealed:
    """Encrypt a text for one owner, such as "vehicle:01F62857KMPG2NE2GK1W2N3QYS"."""
    return seal_bytes(text.encode(), owner)


def seal_bytes(data: bytes, owner: str) -> Sealed:
    """Encrypt bytes for one owner, such as a piece of a file."""
    return Sealed(fernet().encrypt(f"{owner}{_SEPARATOR}".encode() + data))


def fernet(*, newest_only: bool = False) -> MultiFernet:
    """The cipher of today's FERNET_KEYS; looked up each time, because tests and key rotation change them."""
    return _fernet(tuple(settings.FERNET_KEYS[:1] if newest_only else settings.FERNET_KEYS))


def sealed_columns() -> list[tuple[type[models.Model], str]]:
    """Every column that holds sealed values, as (model, field name): found by looking, so that none is forgotten."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, SealedTextField)
    ]


def keys_fit() -> bool:
    """Whether FERNET_KEYS opens what was sealed last in every column; true for a database without secrets."""
    for model, name in sealed_columns():
        newest = (
            model._default_manager.filter(**{f"{name}__isnull": False}).order_by("-pk").values_list(name, flat=True)
        )
        sealed = newest.first()
        if sealed is not None and not sealed.fits():
            return False
    return True


def fingerprint(value: str, scope: str) -> str:
    """A keyed digest (64 hex digits) that is equal for equal secrets of one scope, a fleet, and tells nothing else."""
    message = f"{scope}{_SEPARATOR}{value}".encode()
    return hmac.digest(settings.FINGERPRINT_KEY.encode(), message, "sha256").hex()


if TYPE_CHECKING:  # the library has no types
    from django.db.models import TextField

    EncryptedTextField = TextField[Sealed | None, Sealed | None]
else:
    from fernet_fields import EncryptedTextField


class SealedTextField(EncryptedTextField):
    """An encrypted column that is read and written as `Sealed`; what is not sealed is refused."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError(f"{self.model.__name__}.{self.name} takes what seal() gives, not a plain text")
        return connection.Database.Binary(value.token)

    def from_db_value(self, value: Any, expression: Any, connection: Any, *args: Any) -> Sealed | None:
        return None if value is None else Sealed(bytes(value))

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: Any) -> str:
        return "<Sealed>"


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(derive_fernet_key(key)) for key in keys])
