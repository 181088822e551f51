"""A token that is not quite one gets 401 with WWW-Authenticate, whatever is odd about it."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from django.conf import settings

from fleetcontrol.api import oauth
from fleetcontrol.people.models import Fleet
from tests.support.api import Answer, Api

pytestmark = pytest.mark.django_db
LEFT_OUT = object()
ODD: list[Any] = [
    LEFT_OUT, None, True, False, 0, -1, 1.5, 10**400, float("nan"), float("inf"), "", "x", "x\x00", "\ud800", "ı",
    "x" * 5000, [], ["x"], {}, {"x": 1}, [[[]]],
]  # fmt: skip
ALGORITHMS = ["none", "None", "HS512", "RS256", "ES256", "dir", *ODD]
HEADERS = ["typ", "alg", "kid", "crit", "b64", "zip", "jwk", "jku", "x5c", "cty", "enc", "epk"]


@pytest.fixture
def api(fleet: Fleet) -> Api:
    api = Api(fleet)
    api.sign_in()
    return api


def part(value: Any) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header: Any, claims: Any) -> str:
    """A JWT with a signature of our own key."""
    key: Any = oauth._keys(tuple(settings.TOKEN_KEYS)).keys[0].raw_value
    text = part(header) + b"." + part(claims)
    signature = HMAC(key, SHA256())
    signature.update(text)
    return (text + b"." + part(signature.finalize())).decode()


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(one + "==")) for one in token.split(".")[:2])
    return header, claims


def with_value(of: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {key: one for key, one in of.items() if key != name} | ({} if value is LEFT_OUT else {name: value})


def is_refused(answer: Answer) -> bool:
    return bool(answer.status_code == 401 and answer["WWW-Authenticate"].startswith("Bearer"))


def test_a_token_that_we_sign_again_unchanged_works(api: Api) -> None:
    assert api.get("/vehicles", Authorization=f"Bearer {signed(*opened(api.token))}").status_code == 200


@pytest.mark.parametrize("claim", ["exp", "sub", "scope", "mark", "iat", "iss", "aud", "nbf", "jti"])
def test_every_claim_with_every_odd_value(api: Api, claim: str) -> None:
    header, claims = opened(api.token)
    for value in ODD:
        answer = api.get("/vehicles", Authorization=f"Bearer {signed(header, with_value(claims, claim, value))}")
        if claim in ("exp", "sub", "mark"):
            # A number of seconds in the far future is a time all the same.
            assert is_refused(answer) or (claim == "exp" and value == 10**400), value
        elif claim == "scope":
            assert is_refused(answer) or (isinstance(value, str) and answer.status_code == 403), value
        else:
            assert is_refused(answer) or answer.status_code == 200, value


@pytest.mark.parametrize("name", HEADERS)
def test_every_header_with_every_odd_value(api: Api, name: str) -> None:
    header, claims = opened(api.token)
    for value in ALGORITHMS:
        wrong = with_value(header, name, value)
        answer = api.get("/vehicles", Authorization=f"Bearer {signed(wrong, claims)}")
        assert is_refused(answer) or answer.status_code == 200, value
        replaced = part(wrong).decode() + api.token[api.token.index(".") :]
        assert wrong == header or is_refused(api.get("/vehicles", Authorization=f"Bearer {replaced}")), value


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b"1", b"{}", b"", b"\xff", b"[" * 3000, b'{"exp":' + b"9" * 3000 + b"}", b'{"exp":NaN}']
)
def test_a_payload_that_holds_no_claims(api: Api, payload: bytes) -> None:
    header, _claims = opened(api.token)
    assert is_refused(api.get("/vehicles", Authorization=f"Bearer {signed(header, payload)}"))
    assert is_refused(api.get("/vehicles", Authorization=f"Bearer {signed(payload, {})}"))


@pytest.mark.parametrize(
    "value",
    [
        "", "Bearer", "Bearer ", "Bearer .", "Bearer ..", "Bearer a.b.c", "Bearer a.b.c.d.e", "Bearer \xff.\xff.\xff",
        "Bearer \x00", "bearer null", "Basic eDp5", "Basic =", "Digest x", f"Bearer {'a' * 9000}",
        f"Bearer {'.' * 9000}", "Bearer eyJhbGciOiJIUzI1NiIsImNyaXQiOm51bGx9.e30.AA", "\xff", "Bearer a b",
        "Bearer\ta.b.c", ",", "Bearer a,b",
    ],
)  # fmt: skip
def test_a_header_that_holds_no_token(api: Api, value: str) -> None:
    assert is_refused(api.get("/vehicles", Authorization=value))
