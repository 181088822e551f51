"""What came of a sign-in, in words for people and without anything secret.

Reasons are stored as codes, because a later reader may use another language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from credentials.brands.schema import Brand

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Outcome(StrEnum):
    WORKS = "works"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    SCOPES_MISSING = "scopes_missing"
    CANNOT_CHECK = "cannot_check"


REASONS: Mapping[str, StrOrPromise] = {
    "works": _("The connection works."),
    "refused": _("%(brand)s refused these details. Check the client ID and secret for slips."),
    "not_approved": _(
        "%(brand)s knows these details but does not allow them to sign in. Ask %(brand)s to approve them."
    ),
    "own_certificate": _("%(brand)s did not accept the client certificate."),
    "unusable_certificate": _("The client certificate and its private key cannot be used to sign in. Replace them."),
    "scopes": _(
        "The details work, but this account may not read vehicle data yet. "
        "Ask %(brand)s to approve it, then check again."
    ),
    "timeout": _("%(brand)s did not answer within 10 seconds."),
    "connect": _("%(brand)s could not be reached."),
    "name": _("The address of %(brand)s could not be found. Check the network of this server."),
    "private": _("The address of %(brand)s leads into a private network. FleetControl does not go there."),
    "certificate": _("What answered could not prove to be %(brand)s: its certificate is not trusted."),
    "large": _("%(brand)s sent an answer that is far too large."),
    "broken": _("%(brand)s broke off the connection or sent an answer that cannot be read."),
    "redirect": _("%(brand)s pointed to another address. FleetControl does not follow; check the address."),
    "not_there": _("%(brand)s has no sign-in at this address. Check the address."),
    "busy": _("%(brand)s asks to wait before signing in again."),
    "trouble": _("%(brand)s has trouble of its own at the moment."),
    "unexpected": _("FleetControl could not finish signing in to %(brand)s: something failed here. Its log says more."),
    "no_public_sign_in": _("FleetControl cannot check %(brand)s credentials: how to sign in is not public."),
    "no_credential": _("%(brand)s has no shared credentials to check."),
    "setting_missing": _("FleetControl cannot check this credential without “%(setting)s”."),
    "sealed": _("The stored secret cannot be opened. Replace it."),
}
# The codes of CANNOT_CHECK: FleetControl did not ask the OEM.
NOT_ASKED = frozenset({"no_public_sign_in", "no_credential", "setting_missing", "sealed"})


class SecretToken:
    """An OEM's access token. It shows nothing of itself; only `reveal` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<SecretToken>"

    def __reduce__(self) -> str:
        raise TypeError("A token must not be pickled.")

    def reveal(self) -> str:
        return self._value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a sign-in.

    `code` is a key of REASONS. `details` may be shown to people: time (ISO 8601, UTC), host, http_status, error
    (OAuth's code), request_id, milliseconds, retry_after (seconds), setting (the key of a missing value), and demo if
    the demo OEM answered. `expires_in` is the token's life in seconds, None without a token.
    """

    outcome: Outcome
    brand: Brand
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    token: SecretToken | None = None
    expires_in: int | None = None

    @property
    def says_nothing_against_secret(self) -> bool:
        """Whether a secret that was not accepted may be right all the same."""
        return self.outcome in (Outcome.NO_ANSWER, Outcome.SCOPES_MISSING) or self.code == "not_approved"

    @property
    def reason(self) -> str:
        """One or two sentences in the reader's language."""
        return explain(self.code, self.brand, self.details)


def explain(code: str, brand: Brand, details: Mapping[str, Any]) -> str:
    """The sentence for a stored reason code, in the reader's language; "" for an unknown code."""
    sentence = REASONS.get(code)
    if sentence is None:
        return ""
    missing = details.get("setting", "")
    label = next((field.label for field in brand.fields if field.key == missing), missing)
    return str(sentence) % {"brand": brand.name, "setting": label}
