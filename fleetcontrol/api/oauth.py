"""Access tokens: the token endpoint, by Authlib, and the check of a token, one query a request.

A token is a signed JWT of 900 seconds (RFC 9068) and is kept nowhere. It names its client and the secret it was got
with; permissions are not read from it but from the client each time, so that whatever is revoked ends at once.

Signing keys are derived from TOKEN_KEYS, newest first, by default the keys of FERNET_KEYS: a key put in front signs
from then on, the others are still accepted until they are taken away. Nothing has to be stored or shared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from authlib.integrations.django_oauth2.requests import DjangoOAuth2Payload
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from fleetcontrol.api import limits
from fleetcontrol.api.models import MARK_LENGTH, PERMISSIONS, ApiClient, Tally, allows
from fleetcontrol.api.problems import INVALID_CREDENTIALS, MISSING_CREDENTIALS, MISSING_PERMISSIONS, ProblemError
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.models import Fleet

LIFETIME = 900  # seconds
ALGORITHM = "HS256"
GUESSES = 10  # wrong secrets a minute for one client id from one address
GUESSES_OF_ADDRESS = 100  # wrong secrets a minute from one address
_NOBODY = ApiClient(client_id="fc_nobody")

# Counts the request, notes the client's use and reads client and fleet: one query, which the migration check_token made
# a function, because planning its statements each time took longer than all the rest of a GET.
_CHECK = "SELECT * FROM api_check_token(%s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Caller:
    """The API client behind a valid token, with what it may do now."""

    id: int
    client_id: str
    permissions: frozenset[str]
    fleet: Fleet
    actor: Actor
    limit: limits.Limit

    def must_have(self, permission: str) -> None:
        """Raises ProblemError missing-permissions that names it."""
        if not allows(self.permissions, permission):
            words = _("The API client “%(client)s” has no permission “%(permission)s”.")
            raise ProblemError(MISSING_PERMISSIONS, words % {"client": self.actor.label, "permission": permission})

    def use_up(self, what: str, allowed: int) -> None:
        """Count one more of what is allowed only so often in a minute. Raises ProblemError too-many-requests."""
        limit = limits.count(f"{what}:{self.client_id}", allowed)
        if limit.exceeded:
            raise limit.problem()


def check(request: HttpRequest) -> Caller:
    """Who sent this request. Raises ProblemError: no token, a token that is not valid any more, too many requests."""
    token = _bearer(request)
    claims = _claims(token)
    client_id, mark, scope = claims["sub"], claims["mark"], claims["scope"]
    address = request.META.get("REMOTE_ADDR") or None
    with connection.cursor() as cursor:
        cursor.execute(_CHECK, [client_id, f"client:{client_id}", address])
        (
            pk, name, permissions, digest, revoked_at, former, ends_on,
            fleet_id, fleet_name, slug, created_at, used, ends_at,
        ) = cursor.fetchone()  # fmt: skip
    limit = limits.Limit(settings.API_REQUESTS_PER_MINUTE, used, ends_at)
    marks = [one[:MARK_LENGTH] for one in (digest, former) if one]
    if pk is None or revoked_at is not None or mark not in marks or (ends_on and ends_on < timezone.localdate()):
        raise _invalid(_("The API client of this token, or its secret, was revoked or has ended."))
    request.rate_limit = limit  # type: ignore[attr-defined]  # read where the answer gets its headers
    if limit.exceeded:
        raise limit.problem()
    granted = frozenset(one for one in scope.split() if allows(permissions, one))
    fleet = Fleet(id=fleet_id, name=fleet_name, slug=slug, created_at=created_at)
    fleet._state.adding, fleet._state.db = False, "default"
    actor = Actor("client", client_id, name, flow_id=getattr(request, "flow_id", ""), address=address)
    return Caller(pk, client_id, granted, fleet, actor, limit)


def token(request: HttpRequest) -> HttpResponse:
    """POST /auth/oauth/token. `grant_type` and `scope` in the form or the query, the secret in Basic or the form."""
    response: HttpResponse = _server.create_token_response(request)
    response["Cache-Control"] = "no-store"
    return response


def _bearer(request: HttpRequest) -> str:
    header: str = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        raise ProblemError(MISSING_CREDENTIALS, headers={"WWW-Authenticate": "Bearer"})
    scheme, _space, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _invalid(_("Send the token as “Authorization: Bearer …”."))
    return token.strip()


def _claims(token: str) -> Mapping[str, Any]:
    try:
        claims = _verified(token, tuple(settings.TOKEN_KEYS))
    except (JoseError, ValueError):
        raise _invalid(_("The access token cannot be read. Get a new one.")) from None
    if claims["exp"] <= time.time():
        raise _invalid(_("The access token has ended. Get a new one."))
    return claims


@lru_cache(maxsize=1024)
def _verified(token: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """What a token says, if its signature is right: the same token comes again and again. Raises ValueError."""
    decoded = jwt.decode(token, _keys(keys), algorithms=[ALGORITHM])
    if decoded.header.get("typ") != "at+jwt" or not isinstance(decoded.claims.get("mark"), str):
        raise ValueError("This is a JWT, but not an access token.")
    return decoded.claims


def _invalid(detail: str) -> ProblemError:
    return ProblemError(INVALID_CREDENTIALS, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


@lru_cache(maxsize=4)
def _keys(texts: tuple[str, ...]) -> KeySet:
    """The signing keys, the newest first."""

    def derived(text: str) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=b"fleetcontrol access token").derive(text.encode())

    return KeySet([OctKey.import_key(derived(text)) for text in texts])


class _Party:
    """An API client as Authlib wants it, authenticated with the secret of this mark."""

    def __init__(self, client: ApiClient, mark: str) -> None:
        self.client, self.mark = client, mark

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The asked permissions if the client has all of them, all of its own if none are asked; None refuses."""
        if not scope:
            return " ".join(self.client.permissions)
        wanted = scope.split()
        return scope if all(allows(self.client.permissions, one) for one in wanted) else None

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A token request. Whether it came over TLS is the matter of PUBLIC_URL and the proxy, not of Authlib."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.method, f"https://fleetcontrol.invalid{request.path}", headers=request.headers)
        self.payload = DjangoOAuth2Payload(request)
        self.django = request

    @property
    def args(self) -> Mapping[str, str]:
        return self.django.GET

    @property
    def form(self) -> Mapping[str, str]:
        return self.django.POST


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")


class _Tokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # Authlib has no types
    """Writes the token; `mark` names the secret that it was got with."""

    def __init__(self) -> None:
        super().__init__(settings.PUBLIC_URL, ALGORITHM, expires_generator=lambda client, grant_type: LIFETIME)

    def get_jwks(self) -> KeySet:
        return KeySet(_keys(tuple(settings.TOKEN_KEYS)).keys[:1])

    def get_audiences(self, client: _Party, user: None, scope: str) -> str:
        return str(settings.PUBLIC_URL)

    def get_extra_claims(self, client: _Party, grant_type: str, user: None, scope: str) -> dict[str, str]:
        return {"mark": client.mark}

    def generate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().generate(*args, **kwargs), "token_type": "bearer"}


class _Server(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    def __init__(self) -> None:
        super().__init__(scopes_supported=list(PERMISSIONS))
        self.register_grant(_Grant)
        self.register_token_generator("default", _Tokens())

    def authenticate_client(self, request: _Request, methods: tuple[str, ...], endpoint: str = "token") -> _Party:
        """The client of this request. Wrong ids and wrong secrets do the same work and get the same answer."""
        client_id, secret, method = _presented(request)
        address = request.django.META.get("REMOTE_ADDR") or ""
        allowances = {
            f"guess:{address}:{client_id[:60]}": GUESSES,
            f"guess:{address}": GUESSES_OF_ADDRESS,
        }
        for tally in Tally.objects.filter(key__in=allowances, ends_at__gt=timezone.now()):
            if tally.count >= allowances[tally.key]:
                raise limits.Limit(allowances[tally.key], tally.count, tally.ends_at.timestamp()).problem()
        found = ApiClient.objects.filter(client_id=client_id).first()
        mark = (found or _NOBODY).secret_mark(secret)
        if found is None or not mark:
            for key, allowed in allowances.items():
                limits.count(key, allowed)
            raise InvalidClientError(status_code=401, description="The client ID or the client secret is wrong.")
        request.auth_method = method
        return _Party(found, mark)

    def create_oauth2_request(self, request: HttpRequest) -> _Request:
        return _Request(request)

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        """A token is kept nowhere."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def handle_response(self, status: int, body: Mapping[str, Any], headers: list[tuple[str, str]]) -> HttpResponse:
        return HttpResponse(json.dumps(body), status=status, headers=dict(headers))


def _presented(request: _Request) -> tuple[str, str, str]:
    """Client id, secret and method of a token request. Raises Authlib's errors."""
    if "client_secret" in request.args:
        raise InvalidRequestError("Send the client secret in the body or with Basic, never in the address.")
    if any(request.form.get(name, value) != value for name, value in request.args.items()):
        raise InvalidRequestError("The address and the body say different things.")
    header = request.headers.get("Authorization", "")
    posted = request.form.get("client_secret")
    if header and posted:
        raise InvalidRequestError("Send the client secret in the header or in the body, not in both.")
    if header:
        try:
            client_id, secret = extract_basic_authorization(request.headers)
        except ValueError:
            client_id = secret = None
        method = "client_secret_basic"
    else:
        client_id, secret, method = request.form.get("client_id"), posted, "client_secret_post"
    if not client_id or not secret or "\x00" in client_id:
        raise InvalidClientError(status_code=401, description="The client ID or the client secret is wrong.")
    return client_id, secret, method


_server = _Server()
