"""Sealing: encrypt a secret together with its owner's id, so that it opens only for that owner.

django-fernet-fields encrypts (AES-128-CBC with HMAC-SHA256, keys in FERNET_KEYS, newest first). This module adds two
things. The ciphertext contains the owner's id, so a ciphertext copied to another row does not open there. And a sealed
column reads as a closed `Sealed`, so lists never decrypt, and a wrong key breaks one operation instead of a page.
"""

import hmac
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from fernet_fields.hkdf import derive_fernet_key

SHORTEST_FOUND = 8
"""Characters of the shortest secret of which anything says that it equals another."""
_SEPARATOR = "\x00"
_SAMPLE = 5  # values at each end of a sealed column that the health check tries to open
_CANNOT_BE_OPENED = _(
    "This secret cannot be opened with the keys in FERNET_KEYS. Add the key it was sealed with, or replace the secret."
)


class SealError(Exception):
    """A sealed secret cannot be opened. The message is a sentence for people and contains nothing of the secret."""


class Sealed:
    """A ciphertext. It shows nothing of itself; only `open` and `open_bytes` decrypt it."""

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

    def can_be_opened(self) -> bool:
        """Whether one of the keys in FERNET_KEYS opens it, whoever the owner is."""
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
    """The cipher for FERNET_KEYS. Read the setting each time, because tests and key rotation change it."""
    return _fernet(tuple(settings.FERNET_KEYS[:1] if newest_only else settings.FERNET_KEYS))


def sealed_columns() -> list[tuple[type[models.Model], str]]:
    """Every column of sealed values, as (model, field name). Ask the models, so that no list can miss one."""
    return [
        (model, field.name)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, SealedTextField)
    ]


def keys_fit() -> bool:
    """Whether FERNET_KEYS opens stored values. True for a database without secrets, and if only some do not open."""
    opened, closed = sample()
    return opened > 0 or closed == 0


def sample() -> tuple[int, int]:
    """How many stored values FERNET_KEYS opens and how many not, among the oldest and newest of every sealed column."""
    opened = closed = 0
    for model, name in sealed_columns():
        rows = model._default_manager.filter(**{f"{name}__isnull": False})
        values = dict(rows.order_by("pk").values_list("pk", name)[:_SAMPLE])
        values |= dict(rows.order_by("-pk").values_list("pk", name)[:_SAMPLE])
        opens = sum(value.can_be_opened() for value in values.values())
        opened, closed = opened + opens, closed + len(values) - opens
    return opened, closed


def fingerprint(value: str, scope: str) -> str:
    """A keyed digest (64 hex digits), equal for equal secrets in one scope, such as a fleet, and telling no more."""
    message = f"{scope}{_SEPARATOR}{value}".encode()
    return hmac.digest(settings.FINGERPRINT_KEY.encode(), message, "sha256").hex()


def secret_fingerprint(value: str, scope: str) -> str:
    """The fingerprint of a secret, by which an equal one is found.

    A short secret could be guessed by asking whether it is known. So it gets random digits, equal to nothing.
    """
    return fingerprint(value, scope) if len(value) >= SHORTEST_FOUND else token_hex(32)


if TYPE_CHECKING:  # the library has no types
    from django.db.models import TextField

    EncryptedTextField = TextField[Sealed | None, Sealed | None]
else:
    from fernet_fields import EncryptedTextField


class SealedTextField(EncryptedTextField):
    """An encrypted column that reads and writes `Sealed` values and refuses any other."""

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
