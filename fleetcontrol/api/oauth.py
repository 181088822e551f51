"""Access tokens: the token endpoint, built on Authlib, and the authentication of a request with one query.

A token is a signed JWT that works for 900 seconds (RFC 9068). FleetControl does not store it. It names its client and
marks the secret that the client signed in with. Permissions are read from the client on every request, so what is
revoked ends at once.

Signing keys are derived from TOKEN_KEYS, newest first, which default to FERNET_KEYS. A key put in front signs from
then on; the others are accepted until they are removed. No key has to be stored or shared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from math import ceil
from typing import Annotated, Any, NamedTuple, TypedDict

from authlib.integrations.django_oauth2.requests import DjangoOAuth2Payload
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from joserfc import jwt
from joserfc.errors import ExpiredTokenError
from joserfc.jwk import KeySet, OctKey
from joserfc.jwt import ClaimsOption
from pydantic import ConfigDict, StringConstraints, TypeAdapter

from fleetcontrol.api import limits
from fleetcontrol.api.models import MARK_LENGTH, PERMISSIONS, ApiClient, Tally, allows
from fleetcontrol.api.problems import INVALID_CREDENTIALS, MISSING_CREDENTIALS, MISSING_PERMISSIONS, ProblemError
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.clock import database_now
from fleetcontrol.people.models import Fleet

LIFETIME = 900  # seconds
ALGORITHM = "HS256"
GUESSES = 10  # wrong secrets a minute for one client id from one address
GUESSES_OF_ADDRESS = 100  # wrong secrets a minute from one address
_NOBODY = ApiClient(client_id="fc_nobody")


@dataclass(frozen=True, slots=True)
class Caller:
    """The API client behind a valid token, its fleet, and the permissions that token and client have in common."""

    id: int
    client_id: str
    permissions: frozenset[str]
    fleet: Fleet
    actor: Actor
    limit: limits.Limit

    def must_have(self, permission: str) -> None:
        """Raise ProblemError missing-permissions, which names the permission, unless the caller has it."""
        if not allows(self.permissions, permission):
            words = _("The API client “%(client)s” has no permission “%(permission)s”.")
            challenge = f'Bearer error="insufficient_scope", scope="{permission}"'  # RFC 6750
            raise ProblemError(
                MISSING_PERMISSIONS,
                words % {"client": self.actor.label, "permission": permission},
                headers={"WWW-Authenticate": challenge},
            )

    def use_up(self, what: str, allowed: int) -> None:
        """Count one use of what is allowed `allowed` times a minute. Raises ProblemError too-many-requests."""
        limit = limits.count(f"{what}:{self.client_id}", allowed)
        if limit.exceeded:
            raise limit.problem()


class _TakenRequest(NamedTuple):
    """What the database function `api_take_request` returns of the client, by the names of its columns.

    Only the count is set when there is no such client.
    """

    client_pk: int | None
    client_name: str
    permissions: Sequence[str]
    secret_digest: str
    former_secret_digest: str | None  # None as soon as the former secret has stopped
    revoked_at: datetime | None
    ends_on: date | None
    used: int
    window_ends: float

    def works_with(self, mark: str) -> bool:
        """Whether a token works that the client got with the secret of this mark."""
        marks = [digest[:MARK_LENGTH] for digest in (self.secret_digest, self.former_secret_digest) if digest]
        has_ended = self.ends_on is not None and self.ends_on < timezone.localdate(database_now())
        return mark in marks and self.revoked_at is None and not has_ended


class _Claims(TypedDict):
    """The claims that every access token has. A JWT that another program signed with our key may have any."""

    __pydantic_config__ = ConfigDict(strict=True)  # type: ignore[misc]  # how pydantic reads it
    sub: Annotated[str, StringConstraints(pattern="^[!-~]{1,40}$")]
    mark: Annotated[str, StringConstraints(pattern="^[!-~]{1,64}$")]
    scope: Annotated[str, StringConstraints(pattern="^[ -~]*$")]
    exp: int


_CLAIMS = TypeAdapter(_Claims)
# Every column of the fleet follows, so that no rule reads a default in place of what the fleet has.
_FLEET_FIELDS = tuple(field.attname for field in Fleet._meta.concrete_fields)
_COLUMNS = ", ".join([*_TakenRequest._fields, *(f"fleet_{name}" for name in _FLEET_FIELDS)])
_TAKE_REQUEST = f"SELECT {_COLUMNS} FROM api_take_request(%s, %s, %s)"  # noqa: S608 - texts of this code


def authenticate(request: HttpRequest) -> Caller:
    """The API client that sent this request, which is counted against the client's limit.

    Raises ProblemError when there is no token, when the token does not work any more, and when the limit is exceeded.
    """
    claims = _claims(_bearer(request))
    client_id: str = claims["sub"]
    address = request.META.get("REMOTE_ADDR") or None
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_REQUEST, [client_id, f"client:{client_id}", address])
        values = cursor.fetchone()
    taken = _TakenRequest._make(values[: len(_TakenRequest._fields)])
    if taken.client_pk is None or not taken.works_with(claims["mark"]):
        raise _invalid(_("The API client of this token, or its secret, was revoked or has ended."))
    limit = limits.Limit(settings.API_REQUESTS_PER_MINUTE, taken.used, taken.window_ends)
    request.rate_limit = limit  # type: ignore[attr-defined]  # ApiMiddleware writes the answer's headers from it
    if limit.exceeded:
        raise limit.problem()
    granted = frozenset(one for one in claims["scope"].split() if allows(taken.permissions, one))
    fleet = Fleet.from_db(DEFAULT_DB_ALIAS, _FLEET_FIELDS, values[len(_TakenRequest._fields) :])
    actor = Actor("client", client_id, taken.client_name, flow_id=getattr(request, "flow_id", ""), address=address)
    return Caller(taken.client_pk, client_id, granted, fleet, actor, limit)


def token_endpoint(request: HttpRequest) -> HttpResponse:
    """POST /auth/oauth/token, which takes `grant_type` and `scope` from the form or the query.

    Id and secret of the client come by HTTP Basic or in the form.
    """
    response: HttpResponse
    if words := _unreadable(request):
        response = JsonResponse({"error": "invalid_request", "error_description": words}, status=400)
    else:
        response = _server.create_token_response(request)
    response["Cache-Control"] = "no-store"
    return response


def _unreadable(request: HttpRequest) -> str:
    """What keeps a token request from being read, for programmers; "" if nothing does."""
    charset = (request.content_params or {}).get("charset", "utf-8")
    if not _reads_as_utf_8(request.body, charset):
        return f"Send the form in UTF-8: in {charset[:40]!r} its bytes mean something else."
    request.encoding = "utf-8"
    return "" if request.POST.get("grant_type") or request.GET.get("grant_type") else "grant_type is missing."


def _reads_as_utf_8(body: bytes, charset: str) -> bool:
    """Whether a body means the same in UTF-8. Apache's HttpClient names ISO-8859-1 for forms, which are ASCII."""
    try:
        return charset.lower() in ("utf-8", "utf8") or (body.isascii() and body.decode(charset).encode() == body)
    except (LookupError, ValueError):
        return False


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
        _claims_registry().validate(claims)
    except ExpiredTokenError:
        raise _invalid(_("The access token has ended. Get a new one.")) from None
    except Exception:  # noqa: BLE001 - whatever the library makes of a foreign text, it is no token
        raise _invalid(_("The access token cannot be read. Get a new one.")) from None
    return claims


def _claims_registry() -> jwt.JWTClaimsRegistry:
    """What the claims of an access token must be now: made here and for here, begun and not ended.

    PUBLIC_URL names both sides, so another one ends all tokens: clients get new ones. The time is rounded up, because
    the process that made the token may have measured the database's time a moment differently.
    """
    here: ClaimsOption = {"essential": True, "value": settings.PUBLIC_URL}
    needed: ClaimsOption = {"essential": True}
    now = ceil(database_now().timestamp())
    return jwt.JWTClaimsRegistry(now=now, iss=here, aud=here, exp=needed, nbf=needed)


@lru_cache(maxsize=1024)
def _verified(token: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """The claims of a token with a valid signature, cached because a client sends the same token many times.

    Raises JoseError, ValueError, or what the library raises for a header that it does not foresee.
    """
    decoded = jwt.decode(token, _keys(keys), algorithms=[ALGORITHM])
    if decoded.header.get("typ") != "at+jwt":
        raise ValueError("This is a JWT, but not an access token.")
    _CLAIMS.validate_python(decoded.claims)
    return decoded.claims


def _invalid(detail: str) -> ProblemError:
    return ProblemError(INVALID_CREDENTIALS, detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


@lru_cache(maxsize=4)
def _keys(texts: tuple[str, ...]) -> KeySet:
    """The signing keys, newest first."""

    def derived(text: str) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=b"fleetcontrol access token").derive(text.encode())

    return KeySet([OctKey.import_key(derived(text)) for text in texts])


class _AuthlibClient:
    """Authlib's view of an API client that signed in with the secret of this mark."""

    def __init__(self, client: ApiClient, mark: str) -> None:
        self.client, self.mark = client, mark

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The requested permissions if the client has all of them, all of its own if it requests none.

        None makes Authlib answer `invalid_scope`.
        """
        if not scope:
            return " ".join(self.client.permissions)
        wanted = scope.split()
        return scope if all(allows(self.client.permissions, one) for one in wanted) else None

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == ClientCredentialsGrant.GRANT_TYPE)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return True


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    """A token request. Its address is https for Authlib; PUBLIC_URL and the proxy decide whether TLS is needed."""

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


class _TokenGenerator(JWTBearerTokenGenerator):  # type: ignore[misc]  # Authlib has no types
    """Writes access tokens. The claim `mark` names the secret that the client signed in with."""

    def __init__(self) -> None:
        super().__init__(None, ALGORITHM, expires_generator=lambda client, grant_type: LIFETIME)

    def get_jwks(self) -> KeySet:
        return KeySet(_keys(tuple(settings.TOKEN_KEYS)).keys[:1])

    def get_audiences(self, client: _AuthlibClient, user: None, scope: str) -> str:
        return str(settings.PUBLIC_URL)

    def get_extra_claims(self, client: _AuthlibClient, grant_type: str, user: None, scope: str) -> dict[str, str | int]:
        now = int(database_now().timestamp())
        return {"iss": settings.PUBLIC_URL, "mark": client.mark, "iat": now, "nbf": now, "exp": now + LIFETIME}

    def generate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().generate(*args, **kwargs), "token_type": "bearer"}


class _AuthorizationServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's server with the client-credentials grant, our clients, and Django's requests and responses."""

    def __init__(self) -> None:
        super().__init__(scopes_supported=list(PERMISSIONS))
        self.register_grant(_Grant)
        self.register_token_generator("default", _TokenGenerator())

    def authenticate_client(
        self, request: _Request, methods: tuple[str, ...], endpoint: str = "token"
    ) -> _AuthlibClient:
        """The client of a token request. A wrong id takes the same work and gets the same answer as a wrong secret."""
        client_id, secret, method = _id_and_secret(request)
        address = request.django.META.get("REMOTE_ADDR") or ""
        allowances = {
            f"guess:{address}:{client_id[:60]}": GUESSES,
            f"guess:{address}": GUESSES_OF_ADDRESS,
        }
        for tally in Tally.objects.filter(key__in=allowances, ends_at__gt=Now()):
            if tally.count >= allowances[tally.key]:
                raise limits.Limit(allowances[tally.key], tally.count, tally.ends_at.timestamp()).problem()
        client = ApiClient.objects.filter(client_id=client_id).first()
        mark = (client or _NOBODY).secret_mark(secret)
        if client is None or not mark:
            for key, allowed in allowances.items():
                limits.count(key, allowed)
            raise InvalidClientError(status_code=401, description="The client ID or the client secret is wrong.")
        client.record_use(address or None)
        request.auth_method = method
        return _AuthlibClient(client, mark)

    def create_oauth2_request(self, request: HttpRequest) -> _Request:
        return _Request(request)

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        """Store nothing: a token is checked by its signature."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Send nothing: FleetControl has no receiver of Authlib's signals."""

    def handle_response(self, status: int, body: Mapping[str, Any], headers: list[tuple[str, str]]) -> HttpResponse:
        return HttpResponse(json.dumps(body), status=status, headers=dict(headers))


def _id_and_secret(request: _Request) -> tuple[str, str, str]:
    """Client id, secret and the method of sending them. Raises Authlib's errors."""
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


_server = _AuthorizationServer()
