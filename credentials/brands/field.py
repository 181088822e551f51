"""One value an OEM issues: its kind, where it is stored, and the rules for cleaning it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from credentials.brands import pem
from fleetcontrol import outbound
from fleetcontrol.db.texts import odd_in_exact, tidied, trimmed, untypable
from fleetcontrol.tabular.dates import read_date
from fleetcontrol.tabular.words import folded, in_every_language, is_spreadsheet_number

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Kind(StrEnum):
    """How a field looks on a page, and which rules its value has to follow."""

    IDENTIFIER = "identifier"
    SECRET = "secret"  # noqa: S105  # a kind of field
    USER_NAME = "user_name"
    PEM_CERTIFICATE = "pem_certificate"
    PEM_KEY = "pem_key"
    PASSPHRASE = "passphrase"  # noqa: S105  # a kind of field
    CHOICE = "choice"
    URL = "url"
    DATE = "date"
    TEXT = "text"

    @property
    def is_secret(self) -> bool:
        return self in (Kind.SECRET, Kind.PASSPHRASE, Kind.PEM_KEY, Kind.PEM_CERTIFICATE)

    @property
    def is_exact(self) -> bool:
        """Whether each character counts, so that an odd one is refused and never mended."""
        return self in (Kind.IDENTIFIER, Kind.USER_NAME, Kind.SECRET, Kind.PASSPHRASE)

    @property
    def is_pem(self) -> bool:
        return self in (Kind.PEM_KEY, Kind.PEM_CERTIFICATE)


class StoredAs(StrEnum):
    """Where a field's value is stored.

    identifier: the credential's own column, what OEM and people call the account by; at most one field of a brand.
    secret: encrypted, together with the brand's other secret fields. A client certificate is replaced together with
    its key, so it is stored with it. setting: readable facts beside the identifier, such as a region, and a second
    name such as Stellantis' user name.
    """

    IDENTIFIER = "identifier"
    SECRET = "secret"  # noqa: S105  # a place to store a value
    SETTING = "setting"

    @classmethod
    def of(cls, kind: Kind) -> StoredAs:
        if kind is Kind.IDENTIFIER:
            return cls.IDENTIFIER
        return cls.SECRET if kind.is_secret else cls.SETTING


@dataclass(frozen=True, slots=True)
class Choice:
    """One option of a choice field. `value` replaces the field's placeholder in a URL or audience."""

    key: str
    label: StrOrPromise
    value: str


@dataclass(frozen=True, slots=True)
class Field:
    """One value an OEM issues.

    `missing` and `wrong` are the sentences for an empty value and for one that does not match `pattern`. `hosts` are
    the only ones that an address may have. `max_length` is in characters.
    """

    key: str
    kind: Kind
    stored_as: StoredAs
    label: StrOrPromise
    help: StrOrPromise = ""
    missing: StrOrPromise = ""
    required: bool = True
    pattern: str = ""
    wrong: StrOrPromise = ""
    example: str = ""
    choices: tuple[Choice, ...] = ()
    hosts: tuple[str, ...] = ()
    max_length: int = 200

    def clean(self, value: object) -> str:
        """The value as it is stored, without the marks that pasting adds; "" if it is empty and not required.

        Raises ValidationError with one sentence.
        """
        if value is None:
            value = ""
        if not isinstance(value, str):
            raise ValidationError(_("“%(label)s” must be a text."), params={"label": self.label})
        value = tidy(value) if self.kind.is_exact or self.kind.is_pem else tidied(value)
        if not value:
            if self.required:
                raise ValidationError(self.missing or _("Fill in “%(label)s”."), params={"label": self.label})
            return ""
        if self.kind.is_pem and len(value) <= 2 * self.max_length:  # lines that came as "\\n" make it longer
            value = pem.rewrapped(value)
        self._check_text(value)
        clean_kind = _CLEAN_KIND.get(self.kind)
        return clean_kind(self, value) if clean_kind else value

    def in_words(self, value: str) -> StrOrPromise:
        """A stored value as people read it: the label of a choice, any other value unchanged."""
        return next((choice.label for choice in self.choices if choice.key == value), value)

    def _check_text(self, value: str) -> None:
        """Check length, characters and pattern. Raises ValidationError."""
        if len(value) > self.max_length:
            raise ValidationError(
                _("“%(label)s” is too long: %(length)d characters, at most %(limit)d."),
                params={"label": self.label, "length": len(value), "limit": self.max_length},
            )
        if character := odd_in_exact(value) if self.kind.is_exact else untypable(value, lines=self.kind.is_pem):
            raise ValidationError(
                _("“%(label)s” holds the character %(character)s, which does not belong there. Copy it again."),
                params={"label": self.label, "character": character},
            )
        if self.kind.is_exact and is_spreadsheet_number(value):
            raise ValidationError(
                _(
                    "“%(label)s” is what a spreadsheet makes of a long number; its digits are lost. "
                    "Format the column as text and enter it again from its source."
                ),
                params={"label": self.label},
            )
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationError(self.wrong or self._expected_form(), params={"label": self.label})

    def _expected_form(self) -> StrOrPromise:
        if self.example:
            sentence = _("“%(label)s” does not have the expected form. It looks like %(example)s.")
            return sentence % {"label": self.label, "example": self.example}
        return _("“%(label)s” does not have the expected form. Copy it again.")


def tidy(value: str) -> str:
    """A pasted value without surrounding white space and invisible marks, its line breaks turned into \\n."""
    if value.isascii() and value.isprintable():
        return value.strip()
    return trimmed(value.replace("\r\n", "\n").replace("\r", "\n"))


def host_among(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether a host matches one of the names or "*.domain" patterns. A pattern does not cover the domain itself."""
    host = host.lower()
    return any(host.endswith(name[1:]) if name.startswith("*.") else host == name for name in hosts)


def _clean_choice(field: Field, value: str) -> str:
    for choice in field.choices:
        if folded(value) in (folded(choice.key), *in_every_language(choice.label)):
            return choice.key
    raise ValidationError(
        _("This is not a choice of “%(label)s”. Choose one of: %(choices)s."),
        params={
            "label": field.label,
            "choices": ", ".join(f"{choice.key} ({choice.label})" for choice in field.choices),
        },
    )


def _clean_url(field: Field, value: str) -> str:
    try:
        host = outbound.Address.parse(value).host
    except outbound.BadAddress:
        raise ValidationError(
            _("Enter an address that starts with https:// and has no user name or port in it.")
        ) from None
    if not host_among(host, field.hosts):
        raise ValidationError(
            _("This is not an address of this brand. Allowed: %(hosts)s."),
            params={"hosts": ", ".join(field.hosts)},
        )
    parts = urlsplit(value)
    return parts._replace(scheme="https", netloc=parts.netloc.lower()).geturl()


def _clean_date(field: Field, value: str) -> str:
    return read_date(value).isoformat()


_CLEAN_KIND: dict[Kind, Callable[[Field, str], str]] = {
    Kind.CHOICE: _clean_choice,
    Kind.URL: _clean_url,
    Kind.DATE: _clean_date,
}
