"""Mail leaves by the worker, with links that are made then, and never holds a request or another mail."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from allauth.account.adapter import get_adapter
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from fleetcontrol.people import mails
from fleetcontrol.people.accounts import new_person
from fleetcontrol.people.models import Fleet, Invitation, Mail, MailKind, Role, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.mail_server import MailServer, mail_server
from tests.support.project import PROJECT
from tests.support.sent_mail import forget_the_rule_of_addresses, sent_mail

pytestmark = pytest.mark.django_db
RESET = "/accounts/password/reset/"
NINA = {"emails": "nina@example.com", "role": "manager"}


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.MAILERS = server.mailers
        yield server


def invite(client: Client, fleet: Fleet, emails: str = "nina@example.com", **headers: Any) -> Any:
    answer = client.post(reverse("members:invite", args=[fleet.slug]), {**NINA, "emails": emails}, **headers)
    assert answer.status_code == 302, answer.content.decode()
    return answer


def everything_in_the_database() -> str:
    """Every row of every table as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        rows = []
        for table in tables:
            cursor.execute(f"SELECT string_agg(t::text, chr(10)) FROM {table} t")
            rows.append(cursor.fetchone()[0] or "")
    return "\n".join(rows)


def links_in(texts: list[str]) -> list[str]:
    return [link for text in texts for link in re.findall(r"https?://\S+", text)]


@contextmanager
def a_mail_server_that_hangs() -> Iterator[dict[str, Any]]:
    """Listen and never say a word. Gives the setting MAILERS that leads there."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        options = {"host": "127.0.0.1", "port": listener.getsockname()[1], "timeout": 1}
        yield {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}


def cause_invitation(fleet: Fleet, alice: User, bob: User, **host: Any) -> None:
    invite(signed_in(alice), fleet, **host)


def cause_reset(fleet: Fleet, alice: User, bob: User, **host: Any) -> None:
    assert Client().post(RESET, {"email": bob.email}, **host).status_code == 302


def cause_password_changed(fleet: Fleet, alice: User, bob: User, **host: Any) -> None:
    new = "another-long-one-8"
    form = {"oldpassword": "pw-of-tests", "password1": new, "password2": new}
    assert signed_in(bob).post(reverse("account_change_password"), form, **host).status_code == 302


def cause_new_browser(fleet: Fleet, alice: User, bob: User, **host: Any) -> None:
    for browser in (Client(), Client()):
        browser.post("/accounts/login/", {"login": bob.email, "password": "pw-of-tests"}, **host)


CAUSES: dict[MailKind, Callable[..., None]] = {
    MailKind.INVITATION: cause_invitation,
    MailKind.PASSWORD_RESET: cause_reset,
    MailKind.PASSWORD_CHANGED: cause_password_changed,
    MailKind.NEW_BROWSER: cause_new_browser,
}


@pytest.mark.parametrize("host", ["other.example.com", "other.example.com:8443", "localhost:1234"])
@pytest.mark.parametrize("kind", CAUSES)
def test_no_mail_takes_an_address_from_the_host_that_a_visitor_names(
    fleet: Fleet, alice: User, bob: User, kind: MailKind, host: str, settings: Settings
) -> None:
    settings.KNOWN_HOST_PORTS = [*settings.KNOWN_HOST_PORTS, ("other.example.com", "8443")]
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "other.example.com"]
    settings.PUBLIC_URL = "https://fleet.example.com"
    CAUSES[kind](fleet, alice, bob, headers={"host": host})
    (message,) = sent_mail()
    text = str(message.message())
    assert host not in text
    assert "other.example.com" not in text
    assert all(link.startswith("https://fleet.example.com") for link in links_in([message.body]))
    assert links_in([message.body])


@pytest.mark.parametrize("path", [RESET, "/accounts/login/"])
def test_a_foreign_host_causes_no_mail(client: Client, bob: User, path: str) -> None:
    form = {"email": bob.email, "login": bob.email, "password": "pw-of-tests"}
    assert client.post(path, form, headers={"host": "evil.example"}).status_code == 400
    assert sent_mail() == []


@pytest.mark.parametrize("kind", MailKind)
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_kind_of_mail_can_be_written(
    fleet: Fleet, bob: User, kind: MailKind, language: str, settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://fleet.example.com"
    bob.language = language
    bob.save()
    request = RequestFactory().get("/", headers={"host": "evil.example", "user-agent": "x Firefox/1 Linux evil"})
    if kind == MailKind.INVITATION:
        (invitation,) = Invitation.add(fleet=fleet, emails=["x@example.com"], role=Role.VIEWER, actor=factory.TEST)
        mails.queue(kind, None, invitation=invitation)
    else:
        mails.queue(kind, bob, request=request)
    (message,) = sent_mail()
    assert message.subject
    assert "evil" not in str(message.message())
    assert all(link.startswith("https://fleet.example.com") for link in links_in([message.body]))
    assert not Mail.objects.exists()


def test_a_mail_of_a_kind_that_is_not_listed_is_not_made(bob: User) -> None:
    """Confirmations of an email address, for example, which no page offers."""
    with pytest.raises(ValueError, match="email_confirmation"):
        get_adapter().send_mail("account/email/email_confirmation", bob.email, {"user": bob})
    with pytest.raises(IntegrityError, match="mail_kind_known"), transaction.atomic():
        Mail.objects.create(kind="account/email/email_confirmation", user=bob, language="en")


@pytest.mark.parametrize("kind", CAUSES)
def test_no_link_or_token_lies_in_any_table(fleet: Fleet, alice: User, bob: User, kind: MailKind) -> None:
    CAUSES[kind](fleet, alice, bob)
    waiting = everything_in_the_database()
    assert Mail.objects.get().kind == kind
    (message,) = sent_mail()
    for link in links_in([message.body]):
        token = link.rstrip("/").rpartition("/")[2]
        for tables in (waiting, everything_in_the_database()):
            assert link not in tables
            assert token in ("sessions", "localhost:8000") or token not in tables
    for task in DBTaskResult.objects.all():
        assert "@" not in json.dumps(task.args_kwargs)
        assert len(task.args_kwargs["args"]) == 2


@pytest.mark.parametrize("kind", CAUSES)
def test_a_mail_server_that_hangs_holds_no_request(
    fleet: Fleet, alice: User, bob: User, kind: MailKind, settings: Settings
) -> None:
    """Nobody even connects to it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0)
        options = {"host": "127.0.0.1", "port": listener.getsockname()[1], "timeout": 3600}
        settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}}
        CAUSES[kind](fleet, alice, bob)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert Mail.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_who_is_revoked_or_removed_while_the_mail_server_hangs_waits_for_nothing(settings: Settings) -> None:
    """The mail is no lock: the test would hang with the mail server, which it lets go only afterwards."""
    fleet = factory.a_fleet()
    (invitation,) = Invitation.add(fleet=fleet, emails=["x@example.com"], role=Role.VIEWER, actor=factory.TEST)
    mails.queue(MailKind.INVITATION, None, invitation=invitation)
    taken, revoked = threading.Event(), threading.Event()
    with mail_server() as server:
        settings.MAILERS = server.mailers

        def hang(_address: str) -> None:
            taken.set()
            revoked.wait()

        server.before_taking = hang

        def work() -> None:
            mails.send_due()
            connection.close()

        worker = threading.Thread(target=work)
        worker.start()
        taken.wait()
        invitation.revoke(actor=factory.TEST)
        revoked.set()
        worker.join()
    assert not Mail.objects.exists()


def test_a_server_that_fails_is_asked_once_and_everything_waits(alice: User, bob: User, settings: Settings) -> None:
    for person in (alice, bob):
        mails.queue(MailKind.PASSWORD_SET, person)
    good = settings.MAILERS
    with a_mail_server_that_hangs() as settings.MAILERS:
        assert mails.send_due() == 0
    settings.MAILERS = good
    assert sent_mail() == [], "not yet"
    assert Mail.objects.filter(refusals=0).count() == 2
    Mail.objects.update(try_after=Mail.objects.earliest("created_at").created_at)
    assert len(sent_mail()) == 2


def test_a_refused_mailbox_is_that_mails_alone(
    as_alice: Client, fleet: Fleet, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refused = {"gone@example.com": "550 No such person gone@example.com"}
    invite(as_alice, fleet, "gone@example.com nina@example.com")
    mails.send_due()
    assert server.got == ["nina@example.com"]
    page = as_alice.get(reverse("members:index", args=[fleet.slug])).content.decode()
    assert page.count("The mail server refused the mail") == 1
    assert "gone@example.com" not in caplog.text
    mails.send_due()
    assert server.asked.count("gone@example.com") == 1, "the next try comes later"


def test_a_refused_mail_is_given_up_in_the_end(bob: User, server: MailServer) -> None:
    server.refused = {bob.email: "550 no"}
    mails.queue(MailKind.PASSWORD_SET, bob)
    for _number in range(20):
        Mail.objects.exclude(try_after=None).update(try_after=Mail.objects.get().created_at)
        mails.send_due()
    assert server.asked.count(bob.email) == 8


def test_the_members_page_says_that_a_mail_waits(as_alice: Client, fleet: Fleet) -> None:
    invite(as_alice, fleet)
    page = reverse("members:index", args=[fleet.slug])
    assert "The mail has not been sent yet" in as_alice.get(page).content.decode()
    sent_mail()
    assert "The mail has not been sent yet" not in as_alice.get(page).content.decode()


def test_a_mail_that_cannot_be_made_keeps_no_other(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_rule_of_addresses()
    alice.email = "no\naddress"
    alice.save()
    for person in (alice, bob):
        mails.queue(MailKind.PASSWORD_SET, person)
    assert [message.to for message in sent_mail()] == [[bob.email]]


def test_a_revoked_invitation_and_a_removed_person_get_none(as_alice: Client, fleet: Fleet, bob: User) -> None:
    invite(as_alice, fleet)
    Invitation.objects.get().revoke(actor=factory.TEST)
    mails.queue(MailKind.PASSWORD_SET, bob)
    bob.delete()
    call_worker()
    assert mail.outbox == []


def test_a_resent_invitation_is_one_mail(as_alice: Client, fleet: Fleet) -> None:
    invite(as_alice, fleet)
    as_alice.post(reverse("invitations:resend", args=[fleet.slug, Invitation.objects.get().pk]))
    assert len(sent_mail()) == 1


def test_somebody_who_may_not_sign_in_gets_no_link(bob: User, client: Client) -> None:
    client.post(RESET, {"email": bob.email})
    bob.is_active = False
    bob.save()
    assert sent_mail() == []


def test_a_reset_for_an_address_without_an_account_leaves_the_same_and_sends_nothing(client: Client) -> None:
    bob = new_person(email="bob@example.com", name="Bob", password="pw-of-tests")
    left = []
    for email in (bob.email, "nobody@example.com"):
        with CaptureQueriesContext(connection) as statements:
            client.post(RESET, {"email": email})
        written = [one["sql"].partition(" VALUES")[0] for one in statements if one["sql"].startswith("INSERT")]
        left.append([sql for sql in written if "fleetcontrol_cache" not in sql])
    assert left[0] == left[1] != []
    kinds = list(Mail.objects.values_list("kind", flat=True))
    assert kinds == [MailKind.PASSWORD_RESET] * 2
    assert [task.args_kwargs["args"][0] for task in DBTaskResult.objects.all()] == kinds
    assert [message.to for message in sent_mail()] == [[bob.email]]
    assert not Mail.objects.exists()


def test_a_link_of_a_mail_works(client: Client, bob: User) -> None:
    client.post(RESET, {"email": bob.email})
    (link,) = [link for link in links_in([sent_mail()[0].body]) if "/key/" in link]
    page = client.get(link.removeprefix("http://localhost:8000"), follow=True)
    new = {"password1": "another-long-one-8", "password2": "another-long-one-8"}
    client.post(page.redirect_chain[-1][0], new)
    assert User.objects.get(pk=bob.pk).check_password("another-long-one-8")


def test_the_worker_sends_and_the_task_holds_nothing_else(as_alice: Client, fleet: Fleet) -> None:
    invite(as_alice, fleet)
    call_worker()
    assert [message.to for message in mail.outbox] == [["nina@example.com"]]
    assert DBTaskResult.objects.get().status == "SUCCESSFUL"


def test_tend_sends_what_no_worker_sent(as_alice: Client, fleet: Fleet) -> None:
    invite(as_alice, fleet)
    call_command("tend", only=["send_mails"])
    assert len(mail.outbox) == 1
    call_worker()
    assert len(mail.outbox) == 1, "once"


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_worker_left_is_sent_by_the_next(settings: Settings) -> None:
    bob = factory.a_user("Bob")
    mails.queue(MailKind.PASSWORD_SET, bob)
    with mail_server() as server:
        settings.MAILERS = server.mailers
        worker: list[subprocess.Popen[bytes]] = []
        server.before_taking = lambda _address: worker[0].kill() if len(server.asked) == 1 else None
        database = {key: connection.settings_dict[key] for key in ("NAME", "USER", "HOST", "PORT")}
        port = server.server_address[1]
        environment = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        command = [sys.executable, "-m", "tests.support.worker_process", json.dumps(database)]
        worker.append(subprocess.Popen(command, cwd=PROJECT, env={**os.environ, **environment}))
        worker[0].wait()
        assert Mail.objects.filter(user=bob).exists()
        Mail.objects.update(try_after=Mail.objects.get().created_at)
        assert mails.send_due() == 1


def call_worker() -> None:
    """Do all tasks that wait."""
    for task in DBTaskResult.objects.filter(status="READY"):
        task.task.call(*task.args_kwargs["args"])
        task.set_successful(None)
