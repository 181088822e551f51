"""Scheduled work: tend erases former secrets, checks credentials in turn and notifies people once."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from credentials import duties as credential_duties
from credentials import notifications
from credentials.models import Credential, Notice, Status, Webhook
from credentials.oem.demo import DemoOem
from fleetcontrol import duties
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Role, User
from tests.support import factory
from tests.support.factory import TEST
from tests.support.webhook_receiver import Receiver

pytestmark = pytest.mark.django_db


def tend(*only: str) -> str:
    out = StringIO()
    call_command("tend", only=list(only) or None, stdout=out)
    return out.getvalue()


def a_tesla(fleet: Fleet, secret: str = "right-1", name: str = "Tesla Europe", *, used: bool = True) -> Credential:
    credential = factory.a_tesla(fleet, secret, name)
    if used:
        factory.a_vehicle(fleet, credential)
    return credential


def ending_in(fleet: Fleet, days: int) -> Credential:
    credential = a_tesla(fleet)
    credential.change(ends_on=timezone.localdate() + timedelta(days=days), actor=TEST)
    return credential


def test_former_secrets_are_erased_when_their_day_is_over(fleet: Fleet) -> None:
    credential = a_tesla(fleet)
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    assert tend("erase_former_secrets") == ""
    credential.secrets.filter(version=1).update(erase_after=timezone.now())
    assert tend("erase_former_secrets") == "erase_former_secrets: 1 erased\n"
    assert credential.secrets.get(version=1).value is None


def test_only_credentials_in_use_that_can_be_checked_are_checked_each_in_its_turn(fleet: Fleet, oem: DemoOem) -> None:
    used = a_tesla(fleet, name="Used")
    a_tesla(fleet, name="Unused", used=False)
    factory.a_vehicle(fleet, factory.a_credential(fleet, brand="NIU", name="Cannot be checked"))
    factory.a_vehicle(fleet, factory.a_credential(fleet, name="Without its token URL"))
    assert credential_duties.verify_due() == 1
    used.refresh_from_db()
    assert used.status == Status.WORKING
    assert used.next_check_at is not None
    wait = used.next_check_at - timezone.now()
    assert credential_duties.AGAIN_AFTER * 0.8 < wait < credential_duties.AGAIN_AFTER * 1.2
    assert credential_duties.verify_due() == 0
    assert len(oem.received) == 1


def test_a_silent_oem_is_left_alone_after_three_tries_and_each_waits_longer(fleet: Fleet, oem: DemoOem) -> None:
    for number in range(6):
        a_tesla(fleet, f"trouble-{number}", name=f"Tesla {number}")
    assert credential_duties.verify_due() == 3
    assert len(oem.received) == 3
    assert credential_duties.verify_due() == 0
    waits = []
    for _round in range(4):
        first = Credential.objects.get(name="Tesla 0")
        Credential.objects.filter(pk=first.pk).update(next_check_at=timezone.now())
        credential_duties.verify_due()
        first.refresh_from_db()
        assert first.next_check_at is not None
        waits.append(first.next_check_at - timezone.now())
    assert waits == sorted(waits)
    assert waits[-1] > timedelta(minutes=60)


def test_the_wait_that_an_oem_asks_for_is_kept(fleet: Fleet, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "busy-1")
    credential_duties.verify_due()
    credential.refresh_from_db()
    assert credential.next_check_at is not None
    assert credential.next_check_at > timezone.now() + timedelta(minutes=4)


def test_reminders_come_at_30_7_1_and_0_days_each_once(fleet: Fleet) -> None:
    end = ending_in(fleet, 40).ends_on
    assert end is not None
    days = [31, 30, 30, 29, 8, 7, 6, 2, 1, 1, 0, 0, -1]
    new = [notifications.note_ends(end - timedelta(days=before)) for before in days]
    assert [before for before, count in zip(days, new, strict=True) if count] == [30, 7, 1, 0]


def test_one_reminder_is_enough_when_the_end_is_near_from_the_start(fleet: Fleet) -> None:
    ending_in(fleet, 5)
    assert [notifications.note_ends(timezone.localdate()) for _time in range(2)] == [1, 0]


def test_each_reminder_comes_once_to_those_who_can_act(fleet: Fleet, alice: User, bob: User, vera: User) -> None:
    credential = ending_in(fleet, 7)
    for _time in range(3):
        tend("send_notices")
    assert [message.to for message in mail.outbox] == [["alice@example.com"], ["bob@example.com"]]
    assert "expires in 7 days" in mail.outbox[0].subject
    assert f"/f/{fleet.slug}/credentials/{credential.pk}/" in mail.outbox[0].body
    assert factory.SECRET not in mail.outbox[0].body


def test_a_new_end_brings_new_reminders(fleet: Fleet, bob: User) -> None:
    credential = ending_in(fleet, 7)
    tend("send_notices")
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, ends_on=date.today() + timedelta(days=30))
    tend("send_notices")
    assert len(mail.outbox) == 2


def test_people_are_told_when_a_status_changes_and_only_then(fleet: Fleet, bob: User, oem: DemoOem) -> None:
    credential = a_tesla(fleet, "wrong-1")
    for _time in range(3):
        Credential.objects.update(next_check_at=None)
        tend("check_credentials", "send_notices")
    assert [message.subject for message in mail.outbox] == [
        "Tesla Europe does not work. 1 vehicle is affected. "
        "Tesla refused these details. Check the client ID and secret for slips."
    ]
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, verify_first=True)
    for _time in range(2):
        tend("send_notices")
    assert [message.subject for message in mail.outbox][1:] == ["Tesla Europe works again."]


def test_many_notices_are_one_email_in_the_persons_language(fleet: Fleet, bob: User, oem: DemoOem) -> None:
    User.objects.filter(pk=bob.pk).update(language="de")
    for number in range(3):
        a_tesla(fleet, f"wrong-{number}", name=f"Tesla {number}")
    tend("check_credentials", "send_notices")
    (message,) = mail.outbox
    assert message.subject == "3 Hinweise zu Zugangsdaten von Nordlicht Logistik"
    assert message.body.count("/credentials/") == 3
    assert "Sie erhalten dies, weil" in message.body


def test_a_mail_server_that_fails_gets_another_try(
    fleet: Fleet, bob: User, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    ending_in(fleet, 7)
    good = settings.MAILERS
    settings.MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": 9},
        }
    }
    tend("send_notices")
    settings.MAILERS = good
    assert mail.outbox == []
    tend("send_notices")
    assert len(mail.outbox) == 1


def test_the_webhook_gets_each_notice_once_and_signed(fleet: Fleet, hook: tuple[str, type[Receiver]]) -> None:
    address, receiver = hook
    _webhook, key = Webhook.set_up(fleet=fleet, url=address, actor=TEST)
    credential = ending_in(fleet, 7)
    for _time in range(2):
        tend("send_notices")
    (headers, body), (told,) = receiver.got[0], receiver.bodies()
    assert told["type"] == headers["x-fleetcontrol-event"] == "credential.expires"
    assert told["credential"] == {"id": credential.pk, "name": "Tesla Europe", "brand": "TESLA"}
    assert (told["days"], told["vehicles"]) == (7, 1)
    time, sign = (part.split("=")[1] for part in headers["x-fleetcontrol-signature"].split(","))
    assert hmac.compare_digest(sign, hmac.new(key.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest())
    assert Webhook.objects.get().result == ""


def test_a_webhook_that_fails_is_tried_again_later(fleet: Fleet, hook: tuple[str, type[Receiver]]) -> None:
    address, receiver = hook
    Webhook.set_up(fleet=fleet, url=address, actor=TEST)
    ending_in(fleet, 7)
    receiver.status = 500
    for _time in range(2):
        tend("send_notices")
    assert len(receiver.got) == 1
    assert str(Webhook.objects.get().result) == "It answered with HTTP 500."
    receiver.status = 204
    Notice.objects.update(post_after=timezone.now())
    for _time in range(2):
        tend("send_notices")
    assert [told["id"] for told in receiver.bodies()] == [Notice.objects.get().pk] * 2


def test_a_webhook_does_not_lead_into_the_operators_network(
    fleet: Fleet, hook: tuple[str, type[Receiver]], settings: Settings
) -> None:
    address, receiver = hook
    settings.FLEETCONTROL_WEBHOOK_HOSTS = []
    webhook, _key = Webhook.set_up(fleet=fleet, url=address, actor=TEST)
    assert not webhook.post("1", "test", {})
    assert "private network" in str(webhook.result)
    assert receiver.got == []


@pytest.mark.parametrize(
    "url", ["http://a.example/", "https://u:p@a.example/", "https://", "ftp://a", "https://a b/", "https://a:x/"]
)
def test_a_webhook_wants_an_https_address(fleet: Fleet, url: str) -> None:
    with pytest.raises(ValidationError):
        Webhook.set_up(fleet=fleet, url=url, actor=TEST)


def test_neither_signing_key_nor_path_of_the_address_is_in_an_audit_event(fleet: Fleet) -> None:
    webhook, key = Webhook.set_up(fleet=fleet, url="https://hook.example/T0ken", actor=TEST)
    webhook.remove(actor=TEST)
    events = AuditEvent.objects.filter(action__startswith="webhook.")
    assert [event.action for event in events.order_by("id")] == ["webhook.set_up", "webhook.remove"]
    told = str([event.changes for event in events])
    assert key not in told
    assert "T0ken" not in told
    assert "hook.example" in told


def test_addresses_of_webhooks_are_not_logged(
    fleet: Fleet, hook: tuple[str, type[Receiver]], caplog: pytest.LogCaptureFixture
) -> None:
    address, _receiver = hook
    webhook, _key = Webhook.set_up(fleet=fleet, url=f"{address}/T0ken", actor=TEST)
    with caplog.at_level("INFO"):
        assert webhook.post("1", "test", {})
    assert "T0ken" not in caplog.text


def test_one_duty_that_fails_does_not_keep_the_others_from_being_done(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise RuntimeError("broken")

    done: list[str] = []
    wanted: dict[str, Callable[[], str]] = {"broken": broken, "good": lambda: done.append("good") or ""}  # type: ignore[func-returns-value]
    monkeypatch.setattr(duties, "_duties", wanted)
    with pytest.raises(CommandError, match="These duties failed, see the log: broken"):
        call_command("tend")
    assert done == ["good"]


def test_viewers_are_not_written_to(fleet: Fleet) -> None:
    factory.a_member(fleet, Role.VIEWER, name="Vera")
    ending_in(fleet, 7)
    tend("send_notices")
    assert mail.outbox == []
