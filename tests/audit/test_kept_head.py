"""The head of the chain, kept outside of the database, tells what a holder of the database and of AUDIT_KEY did."""

import logging
import socket
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from fleetcontrol.audit import chain
from fleetcontrol.audit.chain import extend_chain
from fleetcontrol.audit.head import BEFORE_ALL, HeadRefused, head_file, kept_head
from fleetcontrol.audit.models import AuditChain, AuditEvent, AuditSeal, Pseudonym
from fleetcontrol.people.models import Fleet
from tests.audit.test_verify_audit import findings, no_triggers, proof
from tests.support import factory
from tests.support.connections import at_once
from tests.support.webhook_receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def trail(fleet: Fleet) -> AuditEvent:
    """Seal a trail in two rounds. Returns an event of the first seal."""
    factory.a_credential(fleet, name="BMW Germany")
    tend()
    factory.a_vehicle(fleet)
    tend()
    return AuditEvent.objects.earliest("id")


def tend(*arguments: str) -> str:
    out = StringIO()
    call_command("tend", "--only", "seal_audit", *arguments, stdout=out)
    return out.getvalue()


def refusal(*arguments: str) -> str:
    """Return what tend prints when it fails."""
    err = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("tend", "--only", "seal_audit", *arguments, stdout=StringIO(), stderr=err)
    assert caught.value.returncode == 1
    return err.getvalue() or str(caught.value)


def cut_the_end() -> None:
    last = AuditSeal.objects.latest("number")
    with no_triggers() as cursor:
        cursor.execute("DELETE FROM audit_auditevent WHERE fleet_id = %s AND action = 'vehicle.add'", [last.fleet_id])
        cursor.execute("DELETE FROM audit_auditseal WHERE number = %s", [last.number])


def delete_everything() -> None:
    with no_triggers() as cursor:
        for model in (AuditEvent, AuditSeal, Pseudonym, AuditChain):
            cursor.execute(f"DELETE FROM {model._meta.db_table}")


def change_and_seal_again() -> None:
    """Change the first event and make all seals again, as somebody can who has the database and AUDIT_KEY."""
    with no_triggers() as cursor:
        cursor.execute("DELETE FROM audit_auditseal")
        cursor.execute(
            "UPDATE audit_auditevent SET actor_label = 'Eve' WHERE id = (SELECT min(id) FROM audit_auditevent)"
        )
    AuditChain.objects.all().delete()
    held, name = head_file().read_text(), head_file().with_suffix(".of-the-forger")
    head_file().rename(name)
    extend_chain()
    head_file().write_text(held)


ATTACKS = [cut_the_end, delete_everything, change_and_seal_again]


@pytest.mark.parametrize("attack", ATTACKS)
def test_verify_audit_compares_with_the_kept_head_by_itself(trail: AuditEvent, attack: Any) -> None:
    assert "The audit trail is whole" in proof()
    head = kept_head()
    attack()
    assert f"The head {head} is no longer in the chain" in findings()


@pytest.mark.parametrize("attack", ATTACKS)
def test_tend_seals_and_retires_nothing_without_the_kept_head(trail: AuditEvent, attack: Any, settings: Any) -> None:
    head, settings.AUDIT_KEPT_DAYS = kept_head(), 1
    attack()
    seals = AuditSeal.objects.count()
    factory.a_fleet("Another")
    with no_triggers() as cursor:
        cursor.execute("UPDATE audit_auditevent SET time = time - interval '2 days'")
    words = refusal("--only", "retire_audit")
    assert words.count(f"The head {head}, kept in {head_file()}, is no longer in the chain") == 2
    assert "manage.py tend --adopt-head REASON" in words
    assert (AuditSeal.objects.count(), AuditSeal.objects.exclude(retired_at=None).count()) == (seals, 0)
    assert kept_head() == head
    assert f"The head {head} is no longer in the chain" in findings()


def test_the_other_duties_are_done_all_the_same(trail: AuditEvent) -> None:
    cut_the_end()
    out = StringIO()
    with pytest.raises(CommandError, match="These duties failed, see the log: seal_audit"):
        call_command("tend", "--verbosity=2", stdout=out, stderr=StringIO())
    assert "erase_former_secrets: nothing to do" in out.getvalue()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_restored_or_failed_over_chain_is_adopted_with_a_reason(trail: AuditEvent, attack: Any) -> None:
    before = kept_head()
    attack()
    last = AuditSeal.objects.order_by("number").last()
    assert "The audit trail goes on." in tend("--adopt-head", "Failed over to the replica")
    event = AuditEvent.objects.get(action="audit.adopt_head")
    assert event.changes == {
        "reason": [None, "Failed over to the replica"],
        "head": [before, str(last) if last else None],
    }
    assert "whole" in proof() or attack is not delete_everything
    factory.a_fleet("Another")
    assert "sealed" in tend()
    assert kept_head() == str(AuditSeal.objects.latest("number"))


def test_there_is_nothing_to_adopt_while_the_head_is_in_the_chain(trail: AuditEvent) -> None:
    assert "there is nothing to adopt" in refusal("--adopt-head", "I like to")
    assert not AuditEvent.objects.filter(action="audit.adopt_head").exists()


def test_adopting_wants_a_reason(trail: AuditEvent) -> None:
    cut_the_end()
    with pytest.raises(CommandError, match=r"^Give the reason"):
        tend("--adopt-head", " ")


# The file


def test_the_file_is_private_and_whole(trail: AuditEvent) -> None:
    assert head_file().stat().st_mode & 0o777 == 0o600
    assert head_file().read_text() == f"{AuditSeal.objects.latest('number')}\n"
    assert [path.name for path in head_file().parent.glob(".audit-head-*")] == []


def test_the_first_run_needs_no_file(fleet: Fleet) -> None:
    assert not head_file().exists()
    assert "sealed" in tend()
    assert head_file().exists()


def test_a_lost_file_is_told(trail: AuditEvent) -> None:
    head = kept_head()
    head_file().unlink()
    factory.a_fleet("Another")
    for words in (refusal(), findings()):
        assert f"The file {head_file()}, which keeps the head of the audit trail, is gone." in words
    assert "whole" in proof("--expect", head)
    tend("--adopt-head", "The disk of the old machine is gone")
    assert "whole" in proof()
    assert AuditEvent.objects.get(action="audit.adopt_head").changes["head"] == [head, head]


def test_a_lost_file_is_told_when_the_seals_are_gone_too(trail: AuditEvent) -> None:
    head_file().unlink()
    with no_triggers() as cursor:
        cursor.execute("DELETE FROM audit_auditevent")
        cursor.execute("DELETE FROM audit_auditseal")
    assert "is gone" in refusal()
    assert "is gone" in findings()


def test_a_first_round_that_is_killed_before_it_keeps_its_head_is_no_lost_file(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(chain, "_keep_head", killed)
        extend_chain()
    assert AuditSeal.objects.exists()
    assert kept_head() == BEFORE_ALL
    assert "whole" in proof()
    factory.a_fleet("Another")
    tend()
    assert kept_head() == str(AuditSeal.objects.latest("number"))


def killed() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["", "nonsense", "1:2", "1:" + "g" * 64])
def test_a_file_without_a_head_is_told(trail: AuditEvent, text: str) -> None:
    head_file().write_text(text)
    assert f"{head_file()} does not hold a head of the audit trail." in refusal()
    with pytest.raises(CommandError, match="does not hold a head"):
        proof()
    tend("--adopt-head", "Somebody wrote into it")
    assert "whole" in proof()


def test_a_head_that_cannot_be_kept_is_told(fleet: Fleet, settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings.AUDIT_HEAD_FILE = str(tmp_path / "file" / "head")
    assert "The head of the audit trail cannot be kept in" in refusal()


def test_what_the_database_says_of_the_head_is_no_proof(trail: AuditEvent) -> None:
    AuditChain.objects.update(kept_head="1:" + "0" * 64, sealed_until=10**9)
    factory.a_fleet("Another")
    assert "sealed" in tend()
    assert "whole" in proof()
    assert AuditChain.objects.get().kept_head == kept_head()


def test_a_round_without_new_events_keeps_the_head(trail: AuditEvent, fleet: Fleet) -> None:
    factory.a_vehicle(fleet)
    extend_chain()
    number = int(kept_head().split(":")[0])
    extend_chain()
    assert int(kept_head().split(":")[0]) == number == AuditSeal.objects.latest("number").number


@pytest.mark.django_db(transaction=True)
def test_two_rounds_at_once_make_one_chain_and_keep_its_newest_head() -> None:
    for number in range(5):
        factory.a_fleet(f"Fleet {number}")
        sealed = at_once(extend_chain, extend_chain)
        assert sorted(sealed) == [0, 1]
        assert kept_head() == str(AuditSeal.objects.latest("number"))
    assert "whole" in proof()


# Elsewhere


def test_the_head_is_told_to_syslog(fleet: Fleet, settings: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(10)
        settings.AUDIT_HEAD_SYSLOG = f"127.0.0.1:{log.getsockname()[1]}"
        tend()
        message = log.recv(4096).decode()
    assert f"fleetcontrol: the audit trail is sealed up to the head {kept_head()}" in message


def test_the_head_is_told_to_a_webhook_each_round(
    fleet: Fleet, settings: Any, hook: tuple[str, type[Receiver]]
) -> None:
    settings.AUDIT_HEAD_WEBHOOK, receiver = hook
    tend()
    tend()
    assert receiver.bodies() == [{"type": "audit_head", "head": kept_head()}] * 2


@pytest.mark.parametrize("reason", ["HTTP 500", "private", "No such file"])
def test_who_does_not_take_the_head_is_told_and_it_is_kept(
    fleet: Fleet, settings: Any, hook: tuple[str, type[Receiver]], reason: str
) -> None:
    address, receiver = hook
    settings.AUDIT_HEAD_WEBHOOK, receiver.status = f"{address}/T0ken", 500
    if reason == "private":
        settings.FLEETCONTROL_WEBHOOK_HOSTS = []
    if reason.startswith("No"):
        settings.AUDIT_HEAD_SYSLOG = "/nowhere/log"
    words = refusal()
    assert reason in words
    assert "T0ken" not in words
    assert kept_head() == str(AuditSeal.objects.latest("number"))


def test_the_head_is_in_the_log(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        tend()
    assert [record.head for record in caplog.records if hasattr(record, "head")] == [kept_head()]


def test_a_kept_head_that_is_put_on_seals_made_again_is_found(trail: AuditEvent) -> None:
    change_and_seal_again()
    number, _colon, digest = kept_head().partition(":")
    AuditSeal.objects.filter(pk=AuditSeal.objects.latest("number").pk).update(number=number, head=digest)
    assert f"Seal {number} was changed" in findings()


def test_no_seal_is_made_on_what_the_head_does_not_name(trail: AuditEvent) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_auditseal SET head = repeat('0', 64) WHERE number = 1")
    assert "Seal 1 was changed" in findings()
    AuditSeal.objects.filter(pk=AuditSeal.objects.latest("number").pk).update(head="0" * 64)
    with pytest.raises(HeadRefused):
        extend_chain()
