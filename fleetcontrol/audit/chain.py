"""Seals that make the audit trail tamper-evident, also against the owner of the database.

Events are inserted plainly. Every so often `seal_events` takes all that were committed since, fleet by fleet, and
writes for each thousand one AuditSeal: a digest of every event (its leaf), and a head over those leaves, the seal
before it and the fleet's seal before it. All digests are keyed with AUDIT_KEY, which the database never sees: who can
write the tables but has no key cannot make a matching seal, and a leaf names the very event that differs.

- **Nothing slips in behind a seal.** A fleet's seal covers all ids up to `until_id`, so an event with such an id that
  is in no leaf was put in later. That needs certainty that no transaction still holds a lower id: `_settled_id` waits
  for every transaction that was writing events when it looked.
- **Names can go.** A leaf holds a keyed digest of each label in the label's place. When a person is removed, their
  label becomes a Pseudonym that carries the digest on, so that leaves stay provable without the name.
- **Old events can go.** A retired seal loses its leaves and its events and keeps its head, with a keyed proof that it
  was retired by us.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import batched
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils import timezone

from fleetcontrol.audit.models import Actor, AuditEvent, AuditSeal, Pseudonym, audit_key, digest_of_label

EVENTS_PER_SEAL = 1000
ID_BYTES, DIGEST_BYTES = 8, 16
LEAF_BYTES = ID_BYTES + DIGEST_BYTES
_SEALING = 0x5EA1  # the number of the advisory lock of `lock_chain`
_COLUMNS = (
    "id", "fleet_id", "time", "actor_kind", "actor_id", "actor_label", "action", "target_kind", "target_id",
    "target_label", "changes_text", "flow_id", "address",
)  # fmt: skip
_LABELS = (_COLUMNS.index("actor_label"), _COLUMNS.index("target_label"))

type Row = tuple[Any, ...]


class SealingDelayed(Exception):
    """A transaction that writes events ran longer than sealing was willing to wait; the next run seals them."""


def seal_events(*, patience: float = 60) -> int:
    """Seal every event that was committed before the call; returns how many events that were.

    Raises SealingDelayed when a transaction that writes events does not end within `patience` seconds.
    """
    with transaction.atomic():
        lock_chain()
        sealed_until = AuditSeal.objects.aggregate(until=models.Max("until_id"))["until"] or 0
        until = _settled_id(patience)
        fresh = AuditEvent.objects.filter(id__gt=sealed_until, id__lte=until)
        fleets = fresh.order_by("fleet_id").values_list("fleet_id", flat=True).distinct()
        return sum(_seal_fleet(fleet_id, fresh.filter(Q(fleet_id=fleet_id))) for fleet_id in list(fleets))


def leaves_of(events: models.QuerySet[AuditEvent]) -> Iterator[tuple[int, bytes]]:
    """The id and the digest of each event, by id. Reads in portions: memory does not grow with their number."""
    pseudonyms = dict(Pseudonym.objects.values_list("text", "digest"))
    rows: Iterable[Row] = (
        events.annotate(changes_text=Cast("changes", models.TextField()))
        .order_by("id")
        .values_list(*_COLUMNS)
        .iterator(chunk_size=2000)
    )
    key = audit_key()
    labels: dict[str, str] = {}
    for row in rows:
        facts = list(row)
        for position in _LABELS:
            label = facts[position]
            if label not in labels:
                if len(labels) > 10_000:
                    labels.clear()
                labels[label] = pseudonyms.get(label) or digest_of_label(label)
            facts[position] = labels[label]
        facts[2] = facts[2].isoformat()
        yield row[0], hmac.digest(key, json.dumps(["event", facts]).encode(), "sha256")[:DIGEST_BYTES]


def unpacked(leaves: bytes) -> Mapping[int, bytes]:
    """The digests of a seal by event id."""
    return {
        int.from_bytes(leaves[at : at + ID_BYTES]): leaves[at + ID_BYTES : at + LEAF_BYTES]
        for at in range(0, len(leaves), LEAF_BYTES)
    }


def retire(before: datetime) -> int:
    """Delete sealed events from before a time, whole seals of a fleet from its first; returns how many events went.

    The seals stay, with a proof, and an event of each fleet says what went.
    """
    with transaction.atomic():
        lock_chain()
        fleets = AuditSeal.objects.filter(retired_at=None).order_by().values_list("fleet_id", flat=True).distinct()
        return sum(_retire_fleet(fleet_id, before) for fleet_id in list(fleets))


def lock_chain() -> None:
    """Wait until nobody seals, retires or verifies, and keep it so until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_SEALING])


def _seal_fleet(fleet_id: int | None, events: models.QuerySet[AuditEvent]) -> int:
    last = AuditSeal.objects.order_by("number").last()
    number, previous = (last.number, last.head) if last else (0, "")
    last_of_fleet = AuditSeal.objects.filter(Q(fleet_id=fleet_id)).order_by("number").last()
    of_fleet, count = (last_of_fleet.head if last_of_fleet else ""), 0
    for batch in batched(leaves_of(events), EVENTS_PER_SEAL):
        number, count = number + 1, count + len(batch)
        leaves = b"".join(event_id.to_bytes(ID_BYTES) + digest for event_id, digest in batch)
        seal = AuditSeal(
            number=number,
            fleet_id=fleet_id,
            until_id=batch[-1][0],
            leaves=leaves,
            leaves_digest=hashlib.sha256(leaves).hexdigest(),
        )
        seal.head = previous = of_fleet = seal.true_head(previous, of_fleet)
        seal.save(force_insert=True)
    return count


def _settled_id(patience: float) -> int:
    """The highest id up to which all events are committed or never will be.

    An id is handed out inside an INSERT or COPY, whose lock on the table lasts until its transaction ends. So once all
    holders of that lock are gone who were there after the last id was read, no lower id can appear any more.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM audit_auditevent_id_seq")
        (until,) = cursor.fetchone()
        deadline, writers = time.monotonic() + patience, _writers()
        while still_there := writers & _writers():
            if time.monotonic() > deadline:
                raise SealingDelayed(f"{len(still_there)} transactions that write events are still under way.")
            time.sleep(0.05)
    return int(until)


def _writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE relation = 'audit_auditevent'::regclass "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()"
        )
        return {row[0] for row in cursor.fetchall()}


def _retire_fleet(fleet_id: int | None, before: datetime) -> int:
    gone, lower, retired = 0, 0, None
    for seal in AuditSeal.objects.filter(Q(fleet_id=fleet_id)).defer("leaves").order_by("number"):
        events = AuditEvent.objects.filter(Q(fleet_id=fleet_id), id__gt=lower, id__lte=seal.until_id)
        lower = seal.until_id
        if seal.retired_at is not None:
            continue
        if events.filter(time__gte=before).exists():
            break
        seal.retired_at, seal.leaves = timezone.now(), None
        seal.retired_proof = seal.true_proof()
        seal.save(update_fields=["retired_at", "retired_proof", "leaves"])
        gone, retired = gone + events.delete()[0], seal
    if retired is not None:
        event = AuditEvent.about(None, Actor.system(), "audit.retire", retired, {"events": [gone, 0]})
        event.fleet_id = fleet_id
        event.save(force_insert=True)
    return gone
