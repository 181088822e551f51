"""Signing in to an OEM: ask for a token with what a person stored or typed, and say in plain words what came of it.

How is declared in the catalogue (`Brand.sign_in`). A verdict never holds the secret; the token it may hold shows
nothing of itself.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from django.conf import settings as django_settings
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from credentials.brands import pem
from credentials.brands.field import Kind
from credentials.brands.schema import Brand, SignIn
from credentials.oem.verdict import REASONS, Outcome, SecretToken, Verdict, explain
from fleetcontrol import outbound

__all__ = ["REASONS", "Outcome", "SecretToken", "Verdict", "demo_detour", "explain", "sign_in"]

# What may be kept of an OEM's own error code and request id: enough to quote to its support.
_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-txid", "cf-ray")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_SCOPE_ERRORS = {"invalid_scope", "insufficient_scope"}
_TROUBLE_ERRORS = {"server_error", "temporarily_unavailable"}


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
    pair = [f.key for f in brand.fields if f.kind.is_pem] if how.mutual_tls else []
    for key in pair:
        if not secret.get(key):
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
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(OSError):  # it makes its certificates when it starts; before, nobody is trusted
        trust.load_verify_locations(django_settings.FLEETCONTROL_DEMO_OEM_CA)
    if brand.sign_in and brand.sign_in.mutual_tls:
        _show_certificate(trust, brand, secret)
    return outbound.Detour(parts.hostname or "127.0.0.1", parts.port or 443, trust)
