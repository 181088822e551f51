"""Access tokens: how a client gets them and what ends them."""

import base64
import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.forms.models import model_to_dict
from django.test import Client, RequestFactory
from django.utils import timezone
from joserfc import jwt

from fleetcontrol.api.models import ApiClient, Tally
from fleetcontrol.api.oauth import _keys, authenticate
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.db.clock import database_now
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, kind, post_form, token
from tests.support.factory import TEST


@pytest.fixture
def api(fleet: Fleet) -> Api:
    return Api(fleet)


def test_a_token_lasts_900_seconds_and_opens_the_api(api: Api) -> None:
    response = token(api.client.client_id, api.secret)
    body = response.json()
    assert (response.status_code, body["token_type"], body["expires_in"]) == (200, "bearer", 900)
    assert response["Cache-Control"] == "no-store"
    assert "refresh_token" not in body
    assert api.get("/vehicles", Authorization=f"Bearer {body['access_token']}").status_code == 200


def test_the_grant_type_may_stand_in_the_query_as_invers_documents(api: Api) -> None:
    basic = base64.b64encode(f"{api.client.client_id}:{api.secret}".encode()).decode()
    path = "/auth/oauth/token?grant_type=client_credentials"
    response = Client().generic("POST", path, headers={"Authorization": f"Basic {basic}"})
    assert response.status_code == 200


def test_id_and_secret_may_stand_in_the_body(api: Api) -> None:
    data = {"grant_type": "client_credentials", "client_id": api.client.client_id, "client_secret": api.secret}
    assert post_form("/auth/oauth/token", data).status_code == 200


def test_wrong_ids_and_wrong_secrets_get_the_same_answer(api: Api) -> None:
    wrong_id, wrong_secret = token("fc_none", api.secret), token(api.client.client_id, "fcs_none")
    assert wrong_id.status_code == wrong_secret.status_code == 401
    assert wrong_id.json() == wrong_secret.json()
    assert wrong_id.json()["error"] == "invalid_client"
    assert wrong_id["WWW-Authenticate"] == wrong_secret["WWW-Authenticate"]


def test_other_grants_and_unknown_scopes_are_refused(api: Api) -> None:
    answers = [
        token(api.client.client_id, api.secret, grant_type="password"),
        token(api.client.client_id, api.secret, scope="everything"),
        Client().generic("POST", "/auth/oauth/token"),
    ]
    assert [(one.status_code, one.json()["error"]) for one in answers] == [
        (400, "unsupported_grant_type"),
        (400, "invalid_scope"),
        (400, "invalid_request"),
    ]


def test_a_secret_in_the_address_is_refused(api: Api) -> None:
    path = f"/auth/oauth/token?client_id={api.client.client_id}&client_secret={api.secret}"
    assert post_form(path, {"grant_type": "client_credentials"}).json()["error"] == "invalid_request"


def test_a_narrower_scope_makes_a_narrower_token(api: Api) -> None:
    api.token = token(api.client.client_id, api.secret, scope="vehicles.ro").json()["access_token"]
    assert api.get("/vehicles").status_code == 200
    assert kind(api.get("/credentials")) == "missing-permissions"


def test_guessing_is_throttled_and_a_minute_later_forgiven(api: Api) -> None:
    for _attempt in range(10):
        assert token(api.client.client_id, "fcs_guess").status_code == 401
    refused = token(api.client.client_id, "fcs_guess")
    assert kind(refused) == "too-many-requests"
    assert 0 < int(refused["Retry-After"]) <= 61
    assert token(api.client.client_id, api.secret).status_code == 429
    Tally.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    assert token(api.client.client_id, api.secret).status_code == 200


def test_revoking_a_client_ends_its_tokens_at_once(api: Api) -> None:
    assert api.get("/vehicles").status_code == 200
    api.client.revoke(actor=TEST)
    assert kind(api.get("/vehicles")) == "invalid-credentials"
    assert token(api.client.client_id, api.secret).status_code == 401


def test_taking_a_permission_away_ends_it_in_tokens_at_once(api: Api) -> None:
    assert api.get("/vehicles").status_code == 200
    api.client.change(actor=TEST, permissions=["telematics-credentials.ro"], ends_on=None)
    assert kind(api.get("/vehicles")) == "missing-permissions"


def test_the_full_permission_implies_reading_and_not_the_reverse(fleet: Fleet) -> None:
    writer, reader = Api(fleet, ["telematics-credentials"], "Writer"), Api(fleet, ["telematics-credentials.ro"])
    assert writer.get("/credentials").status_code == 200
    assert kind(reader.post("/telematics-brands/NIU/credentials", {"name": "N"})) == "missing-permissions"


@pytest.mark.parametrize(("overlap", "works"), [("now", False), ("1h", True), ("24h", True), ("7d", True)])
def test_a_replaced_secret_works_on_for_the_chosen_time(api: Api, overlap: str, *, works: bool) -> None:
    api.sign_in()
    newest = api.client.replace_secret(actor=TEST, overlap=overlap)
    assert token(api.client.client_id, newest).status_code == 200
    assert token(api.client.client_id, api.secret).status_code == (200 if works else 401)
    assert api.get("/vehicles").status_code == (200 if works else 401)


def test_the_former_secret_and_its_tokens_can_be_stopped_at_once(api: Api) -> None:
    api.sign_in()
    api.client.replace_secret(actor=TEST, overlap="7d")
    assert api.get("/vehicles").status_code == 200
    api.client.stop_former(actor=TEST)
    assert kind(api.get("/vehicles")) == "invalid-credentials"


def test_the_former_secret_ends_by_itself(api: Api) -> None:
    api.sign_in()
    api.client.replace_secret(actor=TEST, overlap="1h")
    ApiClient.objects.update(former_secret_ends_at=timezone.now() - timedelta(seconds=1))
    assert api.get("/vehicles").status_code == 401
    assert token(api.client.client_id, api.secret).status_code == 401


def test_a_client_ends_after_its_last_day(api: Api) -> None:
    api.sign_in()
    ApiClient.objects.update(ends_on=timezone.localdate())
    assert api.get("/vehicles").status_code == 200
    ApiClient.objects.update(ends_on=timezone.localdate() - timedelta(days=1))
    assert api.get("/vehicles").status_code == 401
    assert token(api.client.client_id, api.secret).status_code == 401


def test_signing_keys_are_rotated_by_putting_a_new_one_in_front(api: Api, settings: Any) -> None:
    old = api.sign_in()
    settings.TOKEN_KEYS = ["a new key", *settings.TOKEN_KEYS]
    new = api.sign_in()
    assert api.get("/vehicles", Authorization=f"Bearer {old}").status_code == 200
    settings.TOKEN_KEYS = ["a new key"]
    assert api.get("/vehicles", Authorization=f"Bearer {new}").status_code == 200
    assert api.get("/vehicles", Authorization=f"Bearer {old}").status_code == 401


def test_damaged_foreign_and_old_tokens_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    good = api.sign_in()
    head, body, signature = good.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    for bad in ("x", "a.b.c", f"{head}.{body}.{signature[:-4]}AAAA", f"{unsigned}.{body}.", "\u00e4", "a b"):
        assert kind(api.get("/vehicles", Authorization=f"Bearer {bad}")) == "invalid-credentials", bad
    assert kind(api.get("/vehicles", Authorization="Basic abc")) == "invalid-credentials"
    assert kind(Client().get("/vehicles")) == "missing-credentials"
    ended = database_now() + timedelta(seconds=901)
    monkeypatch.setattr("fleetcontrol.api.oauth.database_now", lambda: ended)
    assert kind(api.get("/vehicles")) == "invalid-credentials"


def forged(api: Api, **changes: Any) -> str:
    """Return a token signed with the right key and with some claims changed; None takes a claim out."""
    keys = _keys(tuple(settings.TOKEN_KEYS))
    claims = jwt.decode(api.sign_in(), keys).claims | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "HS256", "typ": "at+jwt"}, claims, keys)


def test_a_token_is_made_here_and_for_here(api: Api) -> None:
    claims = jwt.decode(api.sign_in(), _keys(tuple(settings.TOKEN_KEYS))).claims
    assert claims["iss"] == claims["aud"] == settings.PUBLIC_URL
    assert claims["nbf"] == claims["iat"] == claims["exp"] - 900
    assert api.get("/vehicles", Authorization=f"Bearer {forged(api)}").status_code == 200
    both = forged(api, aud=["https://another.example", settings.PUBLIC_URL])
    assert api.get("/vehicles", Authorization=f"Bearer {both}").status_code == 200


@pytest.mark.parametrize("claim", ["iss", "aud", "nbf", "exp"])
@pytest.mark.parametrize("value", [None, "", "https://another.example", ["https://another.example"], {}, True, 2**40])
def test_a_token_of_elsewhere_or_another_time_is_refused(api: Api, claim: str, value: Any) -> None:
    if (claim, value) == ("exp", 2**40):
        value = 0
    answer = api.get("/vehicles", Authorization=f"Bearer {forged(api, **{claim: value})}")
    assert (answer.status_code, kind(answer)) == (401, "invalid-credentials")


def test_another_public_url_ends_all_tokens(api: Api, settings: Any) -> None:
    api.sign_in()
    settings.PUBLIC_URL = "https://new.example"
    assert api.get("/vehicles").status_code == 401
    api.sign_in()
    assert api.get("/vehicles").status_code == 200


def test_using_the_api_is_noted_with_the_address(api: Api) -> None:
    api.get("/vehicles")
    api.client.refresh_from_db()
    assert api.client.last_used_at is not None
    assert api.client.last_used_address == "127.0.0.1"


def test_secrets_are_kept_as_digests_only(api: Api) -> None:
    row = str(ApiClient.objects.values().get()) + str(list(AuditEvent.objects.values()))
    assert api.secret not in row
    assert api.client.secret_digest != api.secret


def test_the_check_of_a_token_is_one_query(api: Api, django_assert_num_queries: Any) -> None:
    api.get("/vehicles")
    with django_assert_num_queries(2):
        api.get("/vehicles")


def test_requests_are_limited_for_each_client(fleet: Fleet, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 2
    api, other = Api(fleet), Api(fleet, name="Other")
    assert [api.get("/vehicles")["X-Rate-Limit-Remaining"] for _request in range(2)] == ["1", "0"]
    refused = api.get("/vehicles")
    assert kind(refused) == "too-many-requests"
    assert (refused["X-Rate-Limit-Limit"], refused["X-Rate-Limit-Remaining"]) == ("2", "0")
    assert 0 < int(refused["X-Rate-Limit-Reset"]) - time.time() <= 61
    assert 0 < int(refused["Retry-After"]) <= 61
    assert other.get("/vehicles").status_code == 200


def test_the_caller_has_the_whole_fleet(api: Api, rf: RequestFactory) -> None:
    api.client.fleet.change(actor=TEST, require_second_factor=True)
    request = rf.get("/vehicles", headers={"Authorization": f"Bearer {api.sign_in()}"})
    assert model_to_dict(authenticate(request).fleet) == model_to_dict(Fleet.objects.get(pk=api.client.fleet_id))
    assert authenticate(request).fleet.require_second_factor
