"""Signing in: second factors, throttles, what FleetControl does not disclose, and the audit events."""

import re
import time
from threading import Thread
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.accounts import MfaAdapter
from fleetcontrol.people.models import Fleet, User
from tests.support.browsers import is_signed_in
from tests.support.sent_mail import sent_mail

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


def try_password(client: Client, email: str, password: str = "pw-of-tests", address: str = "192.0.2.1") -> Any:
    return client.post(LOGIN, {"login": email, "password": password}, REMOTE_ADDR=address)


def visible(answer: Any) -> str:
    """Return the page without the parts that differ between requests."""
    return re.sub(r'value="[^"]*"|X-CSRFToken": "[^"]*"', "", answer.content.decode())


def test_a_person_signs_in_and_out(client: Client, bob: User, fleet: Fleet) -> None:
    try_password(client, "Bob@Example.com")
    assert is_signed_in(client)
    client.post("/accounts/logout/")
    assert not is_signed_in(client)
    events = AuditEvent.objects.filter(fleet_id=fleet.pk, target_label="Bob", action__startswith="user.").order_by("id")
    assert [(e.action, e.address) for e in events] == [("user.sign_in", "192.0.2.1"), ("user.sign_out", "127.0.0.1")]


def test_a_wrong_password_is_an_event_in_the_persons_fleets(client: Client, bob: User, fleet: Fleet) -> None:
    try_password(client, bob.email, "wrong")
    event = AuditEvent.objects.get(action="user.sign_in_failed")
    assert (event.fleet_id, event.actor_kind, event.target_label) == (fleet.pk, "visitor", "Bob")


def test_what_was_typed_as_an_unknown_address_is_not_kept(client: Client, db: None) -> None:
    try_password(client, "my-secret-password@example.com", "wrong")
    event = AuditEvent.objects.get(action="user.sign_in_failed")
    assert (event.fleet_id, event.target_label, event.changes) == (None, "", {})


def test_an_account_is_not_told_from_a_missing_one(client: Client, bob: User) -> None:
    known, unknown = try_password(client, bob.email, "wrong"), try_password(Client(), "nobody@example.com", "wrong")
    assert (known.status_code, visible(known)) == (unknown.status_code, visible(unknown))
    reset = reverse("account_reset_password")
    known, unknown = client.post(reset, {"email": bob.email}), Client().post(reset, {"email": "nobody@example.com"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert [message.to for message in sent_mail()] == [[bob.email]]


def test_guessing_the_password_of_one_account_is_stopped_from_anywhere(bob: User) -> None:
    for number in range(5):
        try_password(Client(), bob.email, "wrong", address=f"192.0.2.{number}")
    client = Client()
    assert "Too many" in try_password(client, bob.email, address="192.0.2.99").content.decode()
    assert not is_signed_in(client), "not even with the right password"


def test_guessing_from_one_address_is_stopped_for_any_account(bob: User) -> None:
    for number in range(10):
        try_password(Client(), f"person{number}@example.com", "wrong")
    client = Client()
    try_password(client, bob.email)
    assert not is_signed_in(client)
    try_password(client, bob.email, address="198.51.100.1")
    assert is_signed_in(client), "others are not kept out"


@pytest.mark.django_db(transaction=True)
def test_the_throttle_counts_over_all_processes() -> None:
    """Threads stand for processes: each has its own connection, and all count in the same table."""

    def count() -> None:
        for _number in range(10):
            while not cache.add("lock", 1, 10):
                time.sleep(0.001)
            cache.set("count", cache.get("count", 0) + 1, 60)
            cache.delete("lock")
        connection.close()

    threads = [Thread(target=count) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("count") == 40


def test_a_cached_value_ends(db: None) -> None:
    cache.set("short", [1.5], 0.01)
    time.sleep(0.02)
    assert cache.get("short") is None
    assert cache.add("short", 1, 60)
    assert not cache.add("short", 2, 60)
    assert cache.touch("short", 60)
    cache.clear()
    assert cache.get("short", "gone") == "gone"


@pytest.mark.parametrize("key", ["x" * 10_000, "a\x00b", "line\r\nline", "\ud800"])
def test_a_key_may_be_anything_a_visitor_sends(db: None, key: str) -> None:
    cache.set(key, 1)
    assert cache.get(key) == 1


def code_of(user: User) -> str:
    secret = TOTP(Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)).instance.data["secret"]
    counter = next(iter(yield_hotp_counters_from_time()))
    return str(format_hotp_value(hotp_value(MfaAdapter().decrypt(secret), counter)))


def test_a_second_factor_is_asked_for(client: Client, bob: User) -> None:
    TOTP.activate(bob, generate_totp_secret())
    assert try_password(client, bob.email)["Location"] == reverse("mfa_authenticate")
    assert not is_signed_in(client)
    client.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert not is_signed_in(client)
    assert AuditEvent.objects.filter(action="user.sign_in_failed", changes={"method": [None, ["totp"]]}).exists()
    client.post(reverse("mfa_authenticate"), {"code": code_of(bob)})
    assert is_signed_in(client)


def test_a_recovery_code_works_once(client: Client, bob: User) -> None:
    TOTP.activate(bob, generate_totp_secret())
    code = RecoveryCodes.activate(bob).get_unused_codes()[0]
    for browser, works in ((client, True), (Client(), False)):
        try_password(browser, bob.email)
        browser.post(reverse("mfa_authenticate"), {"code": code})
        assert is_signed_in(browser) is works


def test_the_seeds_of_second_factors_are_sealed(bob: User) -> None:
    secret = generate_totp_secret()
    TOTP.activate(bob, secret)
    RecoveryCodes.activate(bob)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(data::text, ' ') FROM mfa_authenticator")
        (kept,) = cursor.fetchone()
    assert secret not in kept
    assert kept.count("gAAAA") == 2


def test_a_person_signs_out_elsewhere(as_bob: Client, bob: User) -> None:
    elsewhere = Client()
    try_password(elsewhere, bob.email)
    as_bob.get(reverse("usersessions_list"))
    assert UserSession.objects.filter(user=bob).count() == 2
    as_bob.post(reverse("usersessions_list"))
    assert is_signed_in(as_bob)
    assert elsewhere.get("/preferences/").status_code == 302, "back to sign-in"


def test_a_changed_password_ends_other_sign_ins(client: Client, bob: User, as_bob: Client) -> None:
    try_password(client, bob.email)
    new = "another-long-one-8"
    data = {"oldpassword": "pw-of-tests", "password1": new, "password2": new}
    as_bob.post(reverse("account_change_password"), data)
    assert client.get("/profile/")["Location"].startswith(LOGIN)
    assert AuditEvent.objects.filter(action="user.change", changes={"password": ["replaced", "replaced"]}).exists()


@pytest.mark.parametrize(
    "name", ["account_signup", "account_email", "socialaccount_connections", "socialaccount_signup"]
)
def test_doors_that_stay_shut(client: Client, as_bob: Client, name: str) -> None:
    assert client.get(reverse(name)).status_code == as_bob.get(reverse(name)).status_code == 404


def test_the_django_admin_has_no_other_door(client: Client, as_bob: Client, bob: User) -> None:
    for path in ("/admin/", "/admin/login/"):
        answer = client.get(path, follow=True)
        assert answer.redirect_chain[-1][0].startswith(LOGIN)
    posted = client.post("/admin/login/", {"username": bob.email, "password": "pw-of-tests"})
    assert posted["Location"].startswith(LOGIN)
    assert not is_signed_in(client)
    assert as_bob.get("/admin/").status_code in (302, 403, 404)


def test_where_to_go_after_signing_in_stays_on_this_site(client: Client, bob: User) -> None:
    answer = client.post(LOGIN, {"login": bob.email, "password": "pw-of-tests", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_the_session_changes_at_sign_in(client: Client, bob: User) -> None:
    client.get(LOGIN)
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    try_password(client, bob.email)
    assert client.session.session_key != before


def test_a_key_out_of_the_session_table_opens_no_session(as_bob: Client) -> None:
    key = as_bob.session.session_key
    thief = Client()
    for cookie in (key, f"{key}:", f"{key}:{'x' * 43}"):
        thief.cookies["sessionid"] = str(cookie)
        assert thief.get("/profile/").status_code == 302, "the sign-in page"
    thief.cookies["sessionid"] = as_bob.cookies["sessionid"].value
    assert thief.get("/profile/").status_code == 200


def test_another_persons_sign_ins_are_not_listed(as_bob: Client, alice: User) -> None:
    try_password(Client(), alice.email, address="203.0.113.77")
    assert "203.0.113.77" not in as_bob.get(reverse("usersessions_list")).content.decode()
