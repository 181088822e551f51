"""Reminders and a mail server that misbehaves: none is lost, and what befalls one person's changes nobody else's."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from credentials import notifications
from credentials.models import Credential, Notice, NoticeEmail, Webhook
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.support import factory
from tests.support.factory import TEST
from tests.support.mail_server import MailServer, mail_server
from tests.support.sent_mail import forget_the_rule_of_addresses
from tests.support.webhook_receiver import Receiver, receive

pytestmark = pytest.mark.django_db
ADDRESSES = ["alice@example.com", "bob@example.com", "mona@example.com"]
REFUSED = "550 5.1.1 bob@example.com has no mailbox here"


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.MAILERS = server.mailers
        yield server


@pytest.fixture
def people(fleet: Fleet, alice: User, bob: User) -> list[User]:
    return [alice, bob, factory.a_member(fleet, Role.MANAGER, name="Mona")]


@pytest.fixture
def hook(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Receiver]]]:
    yield from receive(settings, tmp_path, monkeypatch)


def a_reminder(fleet: Fleet, name: str = "Tesla Europe") -> Credential:
    values = {"client_secret": f"right-{name}", "region": "EU"}
    ends_on = timezone.localdate() + timedelta(days=7)
    return factory.a_credential(fleet, name=name, brand="TESLA", values=values, ends_on=ends_on)


def tend() -> None:
    call_command("tend", only=["send_notices"])


def later() -> None:
    """Let every wait be over."""
    NoticeEmail.objects.update(try_after=timezone.now())


def test_a_mailbox_that_is_refused_keeps_nobody_else_from_their_reminder(
    fleet: Fleet, people: list[User], server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    a_reminder(fleet)
    server.refused["bob@example.com"] = REFUSED
    for _round in range(3):
        tend()
    assert server.got == ["alice@example.com", "mona@example.com"]
    assert server.asked.count("bob@example.com") == 1
    assert f"refused the reminders of person {people[1].pk}" in caplog.text
    assert "(550)" in caplog.text
    assert "bob@example.com" not in caplog.text


def test_a_person_who_was_refused_is_tried_again_later_and_gets_it(
    fleet: Fleet, people: list[User], server: MailServer
) -> None:
    a_reminder(fleet)
    server.refused["bob@example.com"] = "450 4.2.0 come again later"
    tend()
    server.refused.clear()
    tend()
    assert "bob@example.com" not in server.got
    later()
    tend()
    assert sorted(server.got) == ADDRESSES


@pytest.mark.parametrize("stage", ["refused", "refused_data"])
def test_after_some_tries_it_is_given_up_and_a_new_reminder_is_tried_again(
    fleet: Fleet, people: list[User], server: MailServer, stage: str
) -> None:
    a_reminder(fleet)
    getattr(server, stage)["bob@example.com"] = REFUSED
    for _round in range(20):
        tend()
        later()
    tries = len(notifications._EMAIL_AGAIN_AFTER) + 1
    assert server.asked.count("bob@example.com") == tries
    assert NoticeEmail.objects.filter(given_up_at__isnull=False).count() == 1
    assert len(server.got) == 2
    a_reminder(fleet, "Tesla Two")
    tend()
    assert server.asked.count("bob@example.com") == tries + 1
    assert len(server.got) == 4


def test_a_server_that_refuses_everybody_is_set_up_wrongly_and_nothing_is_given_up(
    fleet: Fleet, people: list[User], server: MailServer
) -> None:
    a_reminder(fleet)
    server.refused |= dict.fromkeys(ADDRESSES, "554 5.7.1 Relay access denied")
    for _round in range(12):
        tend()
        later()
    server.refused.clear()
    tend()
    assert sorted(server.got) == ADDRESSES


def test_a_mail_server_that_is_away_in_the_middle_keeps_the_others_for_the_next_round(
    fleet: Fleet, people: list[User], server: MailServer, settings: Settings
) -> None:
    a_reminder(fleet)
    nobody_listens = {"default": {**server.mailers["default"], "OPTIONS": {"host": "127.0.0.1", "port": 9}}}

    def leave(address: str) -> None:
        settings.MAILERS = nobody_listens

    server.after_taking = leave
    tend()
    assert server.got == ["alice@example.com"]
    server.after_taking = len
    settings.MAILERS = server.mailers
    for _round in range(2):
        tend()
    assert sorted(server.got) == ADDRESSES


@pytest.mark.parametrize("answer", ["", "421 4.3.2 closing for today"])
def test_a_person_at_whom_the_server_hangs_up_does_not_stand_before_the_others(
    fleet: Fleet, people: list[User], server: MailServer, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):  # as many as a round bears
        breaks = factory.a_member(fleet, Role.MANAGER, name=f"{number}-breaks")
        server.refused[breaks.email] = answer
    a_reminder(fleet)
    notifications.note_ends(timezone.localdate())
    notifications._address_new_notices()
    NoticeEmail.objects.filter(user__in=people).update(try_after=timezone.now())
    NoticeEmail.objects.exclude(user__in=people).update(try_after=timezone.now() - timedelta(hours=1))
    for _round in range(3):
        tend()
    assert sorted(server.got) == ADDRESSES
    assert NoticeEmail.objects.filter(sent_at=None, given_up_at=None, refusals=0).count() == 3
    assert "breaks@example.com" not in caplog.text


def test_who_no_longer_manages_the_fleet_gets_no_mail_that_still_waits(
    fleet: Fleet, people: list[User], server: MailServer
) -> None:
    a_reminder(fleet)
    server.refused["bob@example.com"] = REFUSED
    tend()
    Membership.objects.get(user=people[1]).change(role=Role.VIEWER, actor=TEST)
    server.refused.clear()
    later()
    tend()
    assert "bob@example.com" not in server.got
    assert not NoticeEmail.objects.filter(user=people[1]).exists()


def test_an_address_that_no_server_can_be_asked_for_is_that_persons_alone(
    fleet: Fleet, people: list[User], server: MailServer
) -> None:
    a_reminder(fleet)
    forget_the_rule_of_addresses()
    User.objects.filter(pk=people[0].pk).update(email="not an address")
    tend()
    assert server.got == ADDRESSES[1:]


@pytest.mark.parametrize(("moment", "expected"), [("before_taking", 1), ("after_taking", 2)])
@pytest.mark.django_db(transaction=True)
def test_killed_in_mid_mail_nothing_is_lost_and_one_mail_comes_twice_at_most(
    server: MailServer, moment: str, expected: int
) -> None:
    fleet = factory.a_fleet()
    for name in ("Alice", "Bob", "Mona"):
        factory.a_member(fleet, Role.ADMINISTRATOR, name=name)
    a_reminder(fleet)
    database = {key: connection.settings_dict[key] for key in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    command = [sys.executable, "-m", "tests.support.reminder_process", json.dumps(database), json.dumps(server.mailers)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:

        def kill(address: str) -> None:
            if address == "bob@example.com" and process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()

        setattr(server, moment, kill)
        process.wait(60)
    assert process.returncode == -signal.SIGKILL
    setattr(server, moment, len)
    if moment == "before_taking":
        server.got.remove("bob@example.com")  # the test's server takes it all the same; a real one would not
    for _round in range(2):
        tend()
    assert sorted(set(server.got)) == ADDRESSES
    assert server.got.count("bob@example.com") == expected
    assert len(server.got) == 2 + expected


@pytest.mark.django_db(transaction=True)
def test_who_deletes_a_fleet_does_not_wait_for_the_mail_server(server: MailServer) -> None:
    """The test would hang with the mail server, which it lets go only afterwards."""
    fleet, other = factory.a_fleet(), factory.a_fleet(name="Other")
    for one in (fleet, other):
        factory.a_member(one, Role.ADMINISTRATOR, name=f"Alice of {one.slug}")
        a_reminder(one)
    taken, deleted = threading.Event(), threading.Event()

    def hang(_address: str) -> None:
        if not taken.is_set():
            taken.set()
            deleted.wait()

    def work() -> None:
        tend()
        connection.close()

    server.before_taking = hang
    worker = threading.Thread(target=work)
    worker.start()
    taken.wait()
    tend()  # another process sends the others, and this one not twice
    fleet.remove(actor=TEST)
    deleted.set()
    worker.join()
    assert len(server.got) == len(set(server.got)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_between_posts_has_put_off_one_notice_alone(
    hook: tuple[str, type[Receiver]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, receiver = hook
    fleet = factory.a_fleet()
    Webhook.set_up(fleet=fleet, url=address, actor=TEST)
    for name in ("One", "Two", "Three"):
        a_reminder(fleet, name)
    notifications.note_ends(timezone.localdate())

    def killed(*_args: object) -> bool:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Webhook, "post", killed)
        with pytest.raises(SystemExit):
            notifications.post_notices()
    assert sorted(Notice.objects.values_list("post_attempts", flat=True)) == [0, 0, 1]
    assert notifications.post_notices() == 2
    Notice.objects.update(post_after=timezone.now())
    assert notifications.post_notices() == 1
    assert len({told["id"] for told in receiver.bodies()}) == len(receiver.got) == 3


def test_a_webhook_that_is_silent_uses_up_no_tries_of_what_it_was_not_asked(
    fleet: Fleet, hook: tuple[str, type[Receiver]]
) -> None:
    address, receiver = hook
    Webhook.set_up(fleet=fleet, url=address, actor=TEST)
    other = factory.a_fleet(name="Other")
    Webhook.set_up(fleet=other, url=address, actor=TEST)
    for one, name in ((fleet, "One"), (fleet, "Two"), (other, "Three")):
        a_reminder(one, name)
    receiver.status = 500
    tend()
    assert sorted(Notice.objects.values_list("post_attempts", flat=True)) == [0, 1, 1]
