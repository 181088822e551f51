"""A form sent twice acts once, a refused form may be sent again, and a sign-in loses no input but secrets."""

import re
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from fleetcontrol.pages.resubmission import LONGEST_ACT, act_once
from fleetcontrol.people.models import Fleet, User

PREFERENCES = "/preferences/"


def post(client: Client, address: str, typed: dict[str, str], **options: Any) -> Any:
    """Submit a form URL-encoded, as a browser does."""
    return client.post(address, urlencode(typed), content_type="application/x-www-form-urlencoded", **options)


def test_a_form_sent_twice_is_done_once(as_alice: Client, alice: User) -> None:
    post(as_alice, PREFERENCES, {"theme": "dark", "once": "token-1"})
    answer = post(as_alice, PREFERENCES, {"theme": "light", "once": "token-1"}, follow=True)
    alice.refresh_from_db()
    assert alice.theme == "dark"
    assert "sent twice" in answer.content.decode()


def test_what_was_begun_and_has_no_end_yet_is_not_called_done(
    as_alice: Client, alice: User, rf: RequestFactory
) -> None:
    """The process may have died, before or after it acted. The form may be sent again soon."""
    lives: list[float] = []

    def die(_request: HttpRequest) -> HttpResponse:
        lives.append(seconds_left())
        second = post(as_alice, PREFERENCES, {"theme": "light", "once": "token-1"}, follow=True)
        assert "has no answer yet" in second.content.decode()
        assert "sent twice" not in second.content.decode()
        return HttpResponse()

    request = rf.post(PREFERENCES, "once=token-1", content_type="application/x-www-form-urlencoded")
    request.user = alice
    act_once(request, die)
    assert 0 < lives[0] <= LONGEST_ACT.total_seconds() < seconds_left()
    alice.refresh_from_db()
    assert alice.theme == ""


def seconds_left() -> float:
    """How long the last mark of a form still holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM max(expires) - clock_timestamp())::float FROM fleetcontrol_cache")
        return float(cursor.fetchone()[0])


def test_two_people_may_have_the_same_token(as_alice: Client, as_bob: Client, bob: User) -> None:
    post(as_alice, PREFERENCES, {"theme": "dark", "once": "token-1"})
    post(as_bob, PREFERENCES, {"theme": "light", "once": "token-1"})
    bob.refresh_from_db()
    assert bob.theme == "light"


def test_each_form_on_a_page_has_a_token_of_its_own(as_alice: Client, fleet: Fleet) -> None:
    pages = [as_alice.get(f"/f/{fleet.slug}/credentials/add/mercedes-benz/").content.decode() for _ in range(2)]
    tokens = [re.findall(r'name="once" value="([^"]{16})"', page) for page in pages]
    assert tokens[0]
    assert tokens[0] != tokens[1]


def test_a_refused_form_may_be_sent_again(as_alice: Client, fleet: Fleet) -> None:
    address = f"/f/{fleet.slug}/credentials/add/mercedes-benz/"
    refused = post(as_alice, address, {"name": "", "once": "token-2"})
    assert refused.status_code == 422
    again = post(as_alice, address, {"name": "", "once": "token-2"})
    assert again.status_code == 422


def test_input_survives_a_sign_in_but_secrets_do_not(as_alice: Client, alice: User, fleet: Fleet) -> None:
    address = f"/f/{fleet.slug}/credentials/add/mercedes-benz/"
    page = as_alice.get(address).content.decode()
    names = re.search(r'name="keep" value="([^"]*)"', page)
    assert names
    assert "name" in names[1].split()
    assert "client_secret" not in names[1].split()
    as_alice.logout()
    typed = {"name": "Meine Flotte", "client_secret": "hunter2-secret", "keep": names[1]}
    answer = post(as_alice, address, typed)
    assert answer.status_code == 302
    assert "hunter2" not in str(as_alice.cookies["kept"])
    as_alice.force_login(alice)
    page = as_alice.get(address).content.decode()
    assert 'value="Meine Flotte"' in page
    assert "hunter2" not in page
    assert 'value="Meine Flotte"' not in as_alice.get(address).content.decode()
