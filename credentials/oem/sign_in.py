"""Signing in to an OEM: ask for a token with the values a person stored or typed, and say plainly what came of it.

The catalogue declares how each OEM wants to be asked (`Brand.sign_in`). A verdict never holds the secret. It may hold
the token, which shows nothing of itself.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import ssl
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from django.conf import settings as django_settings
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from credentials.brands import pem
from credentials.brands.field import Kind
from credentials.brands.schema import Brand, SignIn
from credentials.oem.verdict import Outcome, SecretToken, Verdict
from fleetcontrol import outbound

# The form of an OEM's error codes and request ids that details may hold: enough to name them to its support.
_QUOTABLE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-txid", "cf-ray")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_SCOPE_ERRORS = {"invalid_scope", "insufficient_scope"}
_TROUBLE_ERRORS = {"server_error", "temporarily_unavailable"}
_LONGEST_WAIT_SECONDS = 24 * 3600
_SECONDS_AS_TEXT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
LIFE_IF_NOT_UNDERSTOOD = 60  # seconds

logger = logging.getLogger(__name__)


@sensitive_variables()
def sign_in(brand: Brand, identifier: str, settings: Mapping[str, str], secret: Mapping[str, str]) -> Verdict:
    """Ask the OEM for a token with these values, as `Brand.clean` gives them.

    Takes up to 10 seconds. Never raises: whatever the OEM does or the values are, there is a verdict.
    """
    try:
        return _ask(brand, identifier, settings, secret)
    except Exception as error:  # noqa: BLE001 - a verdict of its own; the log names the place
        # Log neither the error's text nor its frames: both may hold the secret.
        place = traceback.extract_tb(error.__traceback__)[-1]
        logger.error(
            "Signing in to %s failed unexpectedly: %s in %s, line %s.",
            brand.id,
            type(error).__name__,
            place.filename,
            place.lineno,
        )
        details = {"time": timezone.now().isoformat(timespec="seconds")}
        return Verdict(Outcome.NO_ANSWER, brand, "unexpected", details)


@sensitive_variables()
def _ask(brand: Brand, identifier: str, settings: Mapping[str, str], secret: Mapping[str, str]) -> Verdict:
    declared = brand.sign_in
    if declared is None:
        return Verdict(Outcome.CANNOT_CHECK, brand, "no_public_sign_in" if brand.fields else "no_credential")
    missing = next(
        (one.key for one in brand.needed_to_sign_in if not (settings.get(one.key) or secret.get(one.key))), ""
    )
    if missing:
        return Verdict(Outcome.CANNOT_CHECK, brand, "setting_missing", {"setting": missing})
    declared = declared.chosen(settings)
    url = declared.filled(declared.url, brand, settings)
    host = outbound.host_of(url)
    details: dict[str, Any] = {"time": timezone.now().isoformat(timespec="seconds"), "host": host}
    if not brand.allows(host):
        return Verdict(Outcome.NO_ANSWER, brand, "not_there", details)
    headers, content = _token_request(brand, declared, identifier, settings, secret)
    try:
        detour = _demo_detour(brand, declared, secret)
        trust = _tls_context_with_client_certificate(brand, secret) if declared.mutual_tls else None
    except pem.PemError:
        return Verdict(Outcome.REFUSED, brand, "unusable_certificate", details)
    if detour:
        details["demo"] = True
    try:
        with _timed(details):
            answer = outbound.post(
                url, headers=headers, content=content, trust=trust, detour=detour, seconds=outbound.SECONDS
            )
    except outbound.NoAnswer as error:
        return _verdict_on_silence(brand, declared, error.reason, details)
    details |= _quotable_details(answer, secret)
    return _verdict_on_answer(brand, declared, answer, details)


@contextmanager
def _timed(details: dict[str, Any]) -> Iterator[None]:
    """Add the milliseconds that the block takes, also if it fails."""
    started = time.monotonic()
    try:
        yield
    finally:
        details["milliseconds"] = round((time.monotonic() - started) * 1000)


# The request


@sensitive_variables()
def _token_request(
    brand: Brand, declared: SignIn, identifier: str, settings: Mapping[str, str], secret: Mapping[str, str]
) -> tuple[dict[str, str], bytes]:
    """Headers and body of the token request (RFC 6749 sections 4.4 and 4.3, client authentication section 2.3.1)."""
    client_secret = secret.get(_client_secret_key(brand, declared), "")
    values = {"grant_type": declared.grant}
    headers = {"Accept": "application/json", "User-Agent": "FleetControl"}
    if declared.grant == "password":
        values |= {"username": settings.get("username", ""), "password": secret.get("password", "")}
    if declared.client == "basic":
        headers["Authorization"] = _basic_authorization(identifier, client_secret)
    else:
        values["client_id"] = identifier
        if client_secret:
            values["client_secret"] = client_secret
    if declared.audience:
        values["audience"] = declared.filled(declared.audience, brand, settings)
    if declared.scopes:
        values["scope"] = " ".join(declared.scopes)
    if declared.body == "json":
        return headers | {"Content-Type": "application/json"}, json.dumps(values).encode()
    return headers | {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(values).encode()


def _client_secret_key(brand: Brand, declared: SignIn) -> str:
    """The key of the brand's first secret field, whatever the OEM calls it. A password grant sends `password` apart."""
    sent_apart = "password" if declared.grant == "password" else None
    return next((field.key for field in brand.fields if field.kind is Kind.SECRET and field.key != sent_apart), "")


@sensitive_variables()
def _basic_authorization(identifier: str, client_secret: str) -> str:
    pair = f"{quote_plus(identifier)}:{quote_plus(client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@sensitive_variables()
def _tls_context_with_client_certificate(brand: Brand, secret: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts what this machine trusts, and shows the credential's client certificate."""
    context = outbound.new_trust()
    _add_client_certificate(context, brand, secret)
    return context


@sensitive_variables()
def _demo_detour(brand: Brand, declared: SignIn, secret: Mapping[str, str]) -> outbound.Detour | None:
    """The way to `manage.py demo_oem`, which plays every OEM of the catalogue, if FLEETCONTROL_DEMO_OEM names it.

    settings.py refuses that variable outside a trial. The detour trusts only the demo's own certificate authority.
    """
    address = getattr(django_settings, "FLEETCONTROL_DEMO_OEM", "")
    if not address:
        return None
    parts = urlsplit(address)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(OSError):  # the demo OEM makes its certificates when it starts; until then, trust nobody
        trust.load_verify_locations(django_settings.FLEETCONTROL_DEMO_OEM_CA)
    if declared.mutual_tls:
        _add_client_certificate(trust, brand, secret)
    return outbound.Detour(parts.hostname or "127.0.0.1", parts.port or 443, trust)


@sensitive_variables()
def _add_client_certificate(context: ssl.SSLContext, brand: Brand, secret: Mapping[str, str]) -> None:
    keys = {field.kind: field.key for field in brand.fields}
    passphrase = secret.get(keys.get(Kind.PASSPHRASE, ""), "")
    pem.load_into(context, secret[keys[Kind.PEM_CERTIFICATE]], secret[keys[Kind.PEM_KEY]], passphrase)


# What came of it


def _verdict_on_silence(brand: Brand, declared: SignIn, reason: str, details: Mapping[str, Any]) -> Verdict:
    """The verdict when no answer came; `reason` is that of `outbound.NoAnswer`."""
    if reason != "own_certificate":
        return Verdict(Outcome.NO_ANSWER, brand, reason, details)
    if declared.mutual_tls:
        return Verdict(Outcome.REFUSED, brand, reason, details)
    return Verdict(Outcome.NO_ANSWER, brand, "broken", details)  # it wants a certificate that none was declared for


@sensitive_variables()
def _quotable_details(answer: outbound.Answer, secret: Mapping[str, str]) -> dict[str, Any]:
    """What an answer says about itself: status, error code, request id and the seconds to wait."""
    details: dict[str, Any] = {"http_status": answer.status}
    error = _error_code(_json_object(answer))
    if _is_quotable(error, secret):
        details["error"] = error
    request_ids = (answer.headers.get(name, "") for name in _REQUEST_ID_HEADERS)
    request_id = next((found for found in request_ids if _is_quotable(found, secret)), "")
    if request_id:
        details["request_id"] = request_id
    wait = answer.headers.get("retry-after", "")
    if wait.isdecimal():
        details["retry_after"] = min(int(wait[:15]), _LONGEST_WAIT_SECONDS)
    return details


@sensitive_variables()
def _is_quotable(text: str, secret: Mapping[str, str]) -> bool:
    """Whether a text has the form of a code and repeats nothing secret."""
    return bool(_QUOTABLE.fullmatch(text)) and not any(value in text for value in secret.values())


@sensitive_variables()
def _verdict_on_answer(brand: Brand, declared: SignIn, answer: outbound.Answer, details: Mapping[str, Any]) -> Verdict:
    body = _json_object(answer)
    if answer.status != 200:
        outcome, code = _outcome_of_error(answer.status, _error_code(body))
        return Verdict(outcome, brand, code, details)
    token = body.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return Verdict(Outcome.NO_ANSWER, brand, "broken", details)
    # An answer without a scope grants all that the request asked for (RFC 6749 section 5.1). `openid` allows nothing
    # by itself: it asks for an ID token, and a server that gives none to programs need not name it.
    granted = body.get("scope")
    if isinstance(granted, str) and set(declared.scopes) - {"openid", *granted.split()}:
        return Verdict(Outcome.SCOPES_MISSING, brand, "scopes", details)
    life = _life(body.get("expires_in"), declared.longest_life)
    return Verdict(Outcome.WORKS, brand, "works", details, SecretToken(token), life)


def _outcome_of_error(status: int, error: str) -> tuple[Outcome, str]:
    """Outcome and reason code of an answer other than 200; `error` is the code in its body."""
    if status in (400, 401, 403) and error in _SCOPE_ERRORS:
        return Outcome.SCOPES_MISSING, "scopes"
    if status in (400, 401, 403) and error and error not in _TROUBLE_ERRORS:
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


def _json_object(answer: outbound.Answer) -> Mapping[str, Any]:
    """The body as an object, empty for anything else."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _error_code(body: Mapping[str, Any]) -> str:
    """OAuth's error code; "" where a server sends none, or an object in its place."""
    error = body.get("error")
    return error if isinstance(error, str) else ""


def _life(value: object, longest: int) -> int:
    """How many seconds a token lives. Some servers send the number as text.

    A server may also name the point in time at which the token ends, or milliseconds, and a token kept by such a number
    is handed out long after its end. So believe no life above `longest`, and take what is not believed for a minute.
    """
    if isinstance(value, str) and _SECONDS_AS_TEXT.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= longest:
        return int(value)
    if value is not None:
        logger.warning("A token's life is not understood or longer than %d seconds, and counts as 60 seconds.", longest)
    return LIFE_IF_NOT_UNDERSTOOD
