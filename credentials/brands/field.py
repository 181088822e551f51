"""One value an OEM issues: which kind it is, where it is kept, and which rules it has."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# What pasting adds around a value and str.strip() leaves: zero-width marks and a byte-order mark.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
# Unicode's categories Cc and Cs: control characters and halves of characters.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Narrower than the standard: no user name, no other port, nothing that two parsers could read in
# two ways.
_URL = re.compile(r"https://[a-z0-9.-]+(:443)?([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?", re.IGNORECASE)


class Kind(StrEnum):
    """How a field looks and which rules it has; design/README.md section 5.2 tells what each
    becomes on a page.
    """

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
    def is_pem(self) -> bool:
        return self in (Kind.PEM_KEY, Kind.PEM_CERTIFICATE)


class Role(StrEnum):
    """Where a field's value is kept.

    identifier: the credential's own column, what OEM and people call the account by; at most one
    field of a brand. setting: readable facts beside it, such as a region. A brand's second name, as
    Stellantis' user name, is one of them. secret: sealed, together with the brand's other secret
    fields; a client certificate is replaced together with its key and so is kept with it.
    """

    IDENTIFIER = "identifier"
    SECRET = "secret"  # noqa: S105  # a place to keep a value
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a choice. `value` is what an address or audience gets in its place, the key if
    nothing else.
    """

    key: str
    label: StrOrPromise
    value: str


@dataclass(frozen=True, slots=True)
class Field:
    """One value an OEM issues. `hosts` limit an address; `max_length` is in characters."""

    key: str
    kind: Kind
    role: Role
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
        """The value as it is kept, without what pasting put around it; "" when there is none.

        Raises ValidationError with one sentence.
        """
        if value is None:
            value = ""
        if not isinstance(value, str):
            raise ValidationError(_("“%(label)s” must be a text."), params={"label": self.label})
        value = tidy(value)
        if not value:
            if self.required:
                raise ValidationError(self.missing or _("Fill in “%(label)s”."), params={"label": self.label})
            return ""
        self._refuse_unfit(value)
        check = _BY_KIND.get(self.kind)
        return check(self, value) if check else value

    def shown(self, value: str) -> StrOrPromise:
        """A kept value in words: the label of a choice, anything else as it is."""
        return next((c.label for c in self.choices if c.key == value), value)

    def _refuse_unfit(self, value: str) -> None:
        if len(value) > self.max_length:
            raise ValidationError(
                _("“%(label)s” is too long: %(length)d characters, at most %(limit)d."),
                params={"label": self.label, "length": len(value), "limit": self.max_length},
            )
        if not value.isprintable() and _UNFIT.search(value.replace("\n", "") if self.kind.is_pem else value):
            raise ValidationError(
                _("“%(label)s” holds a character that cannot be typed, such as a line break. Copy it again."),
                params={"label": self.label},
            )
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise ValidationError(self.wrong or self._form(), params={"label": self.label})

    def _form(self) -> StrOrPromise:
        if self.example:
            sentence = _("“%(label)s” does not have the expected form. It looks like %(example)s.")
            return sentence % {"label": self.label, "example": self.example}
        return _("“%(label)s” does not have the expected form. Copy it again.")


def tidy(value: str) -> str:
    """A pasted value without white space and invisible marks around it, and with line breaks as
    \\n.
    """
    if value.isascii() and value.isprintable():
        return value.strip()
    return value.replace("\r\n", "\n").replace("\r", "\n").strip().strip(_INVISIBLE).strip()


def host_among(host: str, hosts: tuple[str, ...]) -> bool:
    """Whether a host is on a list of names and "*.domain" patterns; the pattern does not cover the
    domain itself.
    """
    host = host.lower()
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in hosts)


def _clean_choice(one: Field, value: str) -> str:
    for choice in one.choices:
        if choice.key.casefold() == value.casefold():
            return choice.key
    raise ValidationError(
        _("“%(value)s” is not a choice of “%(label)s”. Choose one of: %(choices)s."),
        params={
            "value": value,
            "label": one.label,
            "choices": ", ".join(c.key for c in one.choices),
        },
    )


def _clean_url(one: Field, value: str) -> str:
    if not _URL.fullmatch(value):
        raise ValidationError(_("Enter an address that starts with https:// and has no user name or port in it."))
    parts = urlsplit(value)
    host = (parts.hostname or "").lower()
    if not host_among(host, one.hosts):
        raise ValidationError(
            _("“%(host)s” is not an address of this brand. Allowed: %(hosts)s."),
            params={"host": host, "hosts": ", ".join(one.hosts)},
        )
    return parts._replace(scheme="https", netloc=parts.netloc.lower()).geturl()


def _clean_date(one: Field, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValidationError(
            _("“%(value)s” is not a date. Write it as 2026-12-31."), params={"value": value}
        ) from None


_BY_KIND: dict[Kind, Callable[[Field, str], str]] = {
    Kind.CHOICE: _clean_choice,
    Kind.URL: _clean_url,
    Kind.DATE: _clean_date,
}
