"""Signing in to an OEM: ask for a token with what a person stored or typed, and say in plain words what came of it.

How is declared in the catalogue (`Brand.sign_in`). A verdict never holds the secret; the token it may hold shows
nothing of itself. Reasons are kept as codes, because who reads one later may read another language.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials import pem
from credentials.brand import Brand, SignIn
from credentials.field import Kind
from fleetcontrol import outbound

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# What may be kept of an OEM's own error code and request id: enough to quote to its support.
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-txid", "cf-ray")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_SCOPE_ERRORS = {"invalid_scope", "insufficient_scope"}
_TROUBLE_ERRORS = {"server_error", "temporarily_unavailable"}


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
    "no_public_sign_in": _("FleetControl cannot check %(brand)s credentials: how to sign in is not public."),
    "no_credential": _("%(brand)s has no shared credentials to check."),
    "setting_missing": _("FleetControl cannot check this credential without “%(setting)s”."),
    "sealed": _("The stored secret cannot be opened. Replace it."),
}


class SecretToken:
    """An OEM's access token: shows nothing of itself, only `reveal` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "<SecretToken>"

    def __reduce__(self) -> str:
        raise TypeError("A token is not pickled.")

    def reveal(self) -> str:
        return self._value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a sign-in.

    `code` is a key of REASONS. `details` may be shown: time (ISO 8601, UTC), host, http_status, error (OAuth's code),
    request_id, milliseconds, retry_after (seconds), and demo if the demo OEM answered. `expires_in` is the token's life
    in seconds, None if untold.
    """

    outcome: Outcome
    brand: Brand
    code: str
    details: Mapping[str, Any] = field(default_factory=dict)
    token: SecretToken | None = None
    expires_in: int | None = None

    @property
    def reason(self) -> str:
        """One or two sentences in the reader's language."""
        return explain(self.code, self.brand, self.details)


def explain(code: str, brand: Brand, details: Mapping[str, Any]) -> str:
    """The sentence of a kept reason code, in the reader's language; "" for none."""
    sentence = REASONS.get(code)
    if sentence is None:
        return ""
    missing = details.get("setting", "")
    label = next((f.label for f in brand.fields if f.key == missing), missing)
    return str(sentence) % {"brand": brand.name, "setting": label}


@sensitive_variables()
def sign_in(brand: Brand, identifier: str, settings: Mapping[str, str], secret: Mapping[str, str]) -> Verdict:
    """Ask the OEM for a token with these values, as `Brand.clean` gives them. Takes up to 10 s; never raises for what
    the OEM does.
    """
    how = brand.sign_in
    if how is None:
        return Verdict(Outcome.CANNOT_CHECK, brand, "no_public_sign_in" if brand.fields else "no_credential")
    for key in how.needs:
        if not settings.get(key):
            return Verdict(Outcome.CANNOT_CHECK, brand, "setting_missing", {"setting": key})
    url = how.filled(how.url, brand, settings)
    host = outbound.host_of(url)
    details: dict[str, Any] = {"time": timezone.now().isoformat(timespec="seconds"), "host": host}
    if not brand.allows(host):
        return Verdict(Outcome.NO_ANSWER, brand, "not_there", details)
    detour = demo_detour(brand, secret)
    if detour:
        details["demo"] = True
    headers, content = _request(brand, how, identifier, settings, secret)
    started = time.monotonic()
    try:
        answer = outbound.post(
            url,
            headers=headers,
            content=content,
            trust=_trust(brand, how, secret),
            detour=detour,
            seconds=outbound.SECONDS,
        )
    except outbound.NoAnswer as error:
        details["milliseconds"] = round((time.monotonic() - started) * 1000)
        refused = error.reason == "own_certificate" and how.mutual_tls
        code = "broken" if error.reason == "own_certificate" and not refused else error.reason
        return Verdict(Outcome.REFUSED if refused else Outcome.NO_ANSWER, brand, code, details)
    details["milliseconds"] = round((time.monotonic() - started) * 1000)
    return _verdict(brand, how, answer, details, secret)


@sensitive_variables()
def _request(
    brand: Brand, how: SignIn, identifier: str, settings: Mapping[str, str], secret: Mapping[str, str]
) -> tuple[dict[str, str], bytes]:
    """Headers and body of the token request (RFC 6749 sections 4.4 and 4.3, client authentication section 2.3.1).

    The client secret is the brand's first secret field, whatever the OEM calls it; a password grant sends its
    password apart.
    """
    key = next((f.key for f in brand.fields if f.kind is Kind.SECRET and (how.grant, f.key) != ("password",) * 2), "")
    client_secret = secret.get(key, "")
    audience = how.filled(how.audience, brand, settings)
    values = {"grant_type": how.grant}
    headers = {"Accept": "application/json", "User-Agent": "FleetControl"}
    if how.grant == "password":
        values |= {"username": settings.get("username", ""), "password": secret.get("password", "")}
    if how.client == "basic":
        pair = f"{quote_plus(identifier)}:{quote_plus(client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        values["client_id"] = identifier
        if client_secret:
            values["client_secret"] = client_secret
    if audience:
        values["audience"] = audience
    if how.scopes:
        values["scope"] = " ".join(how.scopes)
    if how.body == "json":
        return headers | {"Content-Type": "application/json"}, json.dumps(values).encode()
    return headers | {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(values).encode()


def _verdict(
    brand: Brand, how: SignIn, answer: outbound.Answer, details: dict[str, Any], secret: Mapping[str, str]
) -> Verdict:
    body = _json(answer)
    details["http_status"] = answer.status
    _quote(details, "error", body.get("error"), secret)
    for name in _REQUEST_IDS:
        _quote(details, "request_id", answer.headers.get(name), secret)
    if (wait := answer.headers.get("retry-after", "")).isdecimal():
        details["retry_after"] = min(int(wait[:9]), 24 * 3600)
    if answer.status == 200:
        return _granted(brand, how, body, details)
    outcome, code = _refusal(answer.status, body)
    return Verdict(outcome, brand, code, details)


def _granted(brand: Brand, how: SignIn, body: Mapping[str, Any], details: dict[str, Any]) -> Verdict:
    token = body.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return Verdict(Outcome.NO_ANSWER, brand, "broken", details)
    # Without a scope in the answer all that was asked for is granted (RFC 6749 section 5.1).
    granted = body.get("scope")
    if isinstance(granted, str) and set(how.scopes) - set(granted.split()):
        return Verdict(Outcome.SCOPES_MISSING, brand, "scopes", details)
    return Verdict(Outcome.WORKS, brand, "works", details, SecretToken(token), _life(body.get("expires_in")))


def _life(seconds: object) -> int | None:
    """A token's life; None for what is no such number. Some servers send it as text."""
    if isinstance(seconds, str) and seconds.isdecimal():
        seconds = int(seconds[:9])
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 10**9:
        return int(seconds)
    return None


def _refusal(status: int, body: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Outcome and reason code of an answer that is not 200."""
    error = body.get("error")
    if status in (400, 401, 403) and error in _SCOPE_ERRORS:
        return Outcome.SCOPES_MISSING, "scopes"
    if status in (400, 401, 403) and isinstance(error, str) and error and error not in _TROUBLE_ERRORS:
        return Outcome.REFUSED, "not_approved" if error in ("unauthorized_client", "access_denied") else "refused"
    if status == 401:
        return Outcome.REFUSED, "refused"
    if 300 <= status < 400:
        return Outcome.NO_ANSWER, "redirect"
    if status in (404, 405, 410):
        return Outcome.NO_ANSWER, "not_there"
    if status == 429:
        return Outcome.NO_ANSWER, "busy"
    if status >= 500 or error in _TROUBLE_ERRORS:
        return Outcome.NO_ANSWER, "trouble"
    return Outcome.NO_ANSWER, "broken"


def _json(answer: outbound.Answer) -> Mapping[str, Any]:
    """The answer's object; an empty one for anything that is not JSON or no object."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _quote(details: dict[str, Any], name: str, text: object, secret: Mapping[str, str]) -> None:
    """Keep a code of the OEM, unless it has another form or repeats something secret."""
    if isinstance(text, str) and _CODE.fullmatch(text) and not any(value in text for value in secret.values()):
        details.setdefault(name, text)


@sensitive_variables()
def _trust(brand: Brand, how: SignIn, secret: Mapping[str, str]) -> ssl.SSLContext | None:
    """What to trust and, for mutual TLS, what to show; None for what the machine trusts."""
    if not how.mutual_tls:
        return None
    context = outbound.new_trust()
    _show_certificate(context, brand, secret)
    return context


@sensitive_variables()
def _show_certificate(context: ssl.SSLContext, brand: Brand, secret: Mapping[str, str]) -> None:
    keys = {f.kind: f.key for f in brand.fields}
    passphrase = secret.get(keys.get(Kind.PASSPHRASE, ""), "")
    pem.load_into(context, secret[keys[Kind.PEM_CERTIFICATE]], secret[keys[Kind.PEM_KEY]], passphrase)


@sensitive_variables()
def demo_detour(brand: Brand, secret: Mapping[str, str]) -> outbound.Detour | None:
    """The way to `manage.py demo_oem`, if FLEETCONTROL_DEMO_OEM names it: it plays every OEM of the catalogue.

    settings.py refuses it outside a trial. Only the demo's own certificate authority is trusted on this way.
    """
    address = getattr(django_settings, "FLEETCONTROL_DEMO_OEM", "")
    if not address:
        return None
    parts = urlsplit(address)
    trust = ssl.create_default_context(cafile=django_settings.FLEETCONTROL_DEMO_OEM_CA)
    if brand.sign_in and brand.sign_in.mutual_tls:
        _show_certificate(trust, brand, secret)
    return outbound.Detour(parts.hostname or "127.0.0.1", parts.port or 443, trust)
