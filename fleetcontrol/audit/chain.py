"""The chain of seals that makes the audit trail tamper-evident, even against the owner of the database.

Verbs insert events plainly. `tend` runs `extend_chain` every few minutes: it takes all events that were committed since
the last run, fleet by fleet, and writes one AuditSeal per thousand of them. A seal holds a digest of every event (its
leaf) and a head: a digest of those leaves, of the previous seal and of the fleet's previous seal. All digests are keyed
with AUDIT_KEY, which the database never sees. Somebody who can write the tables but lacks the key cannot make a
matching seal, and a leaf names the very event that differs.

- **No event can be added behind a seal.** A fleet's seal covers all ids up to `until_id`, so an event with such an id
  but without a leaf was added later. This holds only if no open transaction still owns a lower id, so
  `_last_settled_id` waits for every transaction that was writing events when it looked.
- **Names can be removed.** A leaf holds a keyed digest of each label instead of the label. When a person is removed, a
  Pseudonym takes the place of their label and carries its digest, so the leaves can be proved without the name. Each
  pseudonym has a keyed proof, and each seal a digest of all pseudonyms so far.
- **The end cannot be cut off or made again.** The head of the last seal is kept outside of the database, and the chain
  goes on from that head alone: see `fleetcontrol.audit.head`.
- **Old events can be deleted.** A retired seal loses its leaves and its events. It keeps its head and a keyed proof
  that FleetControl retired it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import batched
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Cast
from django.utils import timezone

from fleetcontrol.audit import head
from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.audit.models import (
    Actor,
    AuditChain,
    AuditEvent,
    AuditSeal,
    Pseudonym,
    Target,
    audit_key,
    label_digest,
)
from fleetcontrol.db.clock import database_now

EVENTS_PER_SEAL = 1000
BEHIND_AFTER = timedelta(minutes=15)
ID_BYTES, DIGEST_BYTES = 8, 16
LEAF_BYTES = ID_BYTES + DIGEST_BYTES
_COLUMNS = (
    "id", "fleet_id", "time", "actor_kind", "actor_id", "actor_label", "action", "target_kind", "target_id",
    "target_label", "changes_text", "flow_id", "address",
)  # fmt: skip
_LABELS = (_COLUMNS.index("actor_label"), _COLUMNS.index("target_label"))

type Row = tuple[Any, ...]


class WritersStillActive(Exception):
    """A transaction kept writing events for longer than `extend_chain` waits. The next run seals its events."""


class HeadStands(Exception):
    """The kept head is in the chain, so there is no other head to adopt."""


def extend_chain(*, patience: float = 60) -> int:
    """Seal every event that was committed before the call, and keep the new head. Returns the number of events.

    Raises WritersStillActive if a transaction that writes events does not end within `patience` seconds,
    WrongKey if AUDIT_KEY is not the key of the earlier seals, HeadRefused if the kept head is not in the chain, and
    OSError if the head cannot be kept.
    """
    with transaction.atomic():
        chain = lock_chain()
        require_audit_key()
        head.require_kept_head(chain)
        count = _extend_chain(chain, patience)
    _keep_head()
    return count


def adopt_head(reason: str) -> int:
    """Go on from a chain that does not hold the kept head, or whose kept head is lost. Returns the events sealed.

    Writes an audit event with the reason and both heads. Raises HeadStands if there is nothing to adopt, and else what
    `extend_chain` raises.
    """
    with transaction.atomic():
        chain = lock_chain()
        require_audit_key()
        try:
            kept = head.kept_head()
        except head.HeadRefused:
            kept = ""
        if not head.head_problem(chain, kept):
            raise HeadStands
        last = AuditSeal.objects.order_by("number").last()
        heads = [kept or chain.kept_head or None, str(last) if last else None]
        what = Target("auditchain", label=heads[1] or "")
        AuditEvent.record(
            None, Actor.command("tend"), "audit.adopt_head", what, {"reason": [None, reason], "head": heads}
        )
        count = _extend_chain(chain, patience=60)
    _keep_head()
    return count


def _keep_head() -> None:
    """Keep the last head outside of the database, once it is committed, and while nobody makes another."""
    with transaction.atomic():
        chain = lock_chain()
        last = AuditSeal.objects.order_by("number").last()
        if last is not None:
            head.keep(str(last))
            chain.kept_head = str(last)
            chain.save(update_fields=["kept_head"])


def _extend_chain(chain: AuditChain, patience: float) -> int:
    sealed_until = AuditSeal.objects.aggregate(until=models.Max("until_id"))["until"] or 0
    until = _last_settled_id(patience)
    fresh = AuditEvent.objects.filter(id__gt=sealed_until, id__lte=until)
    fleets = fresh.order_by("fleet_id").values_list("fleet_id", flat=True).distinct()
    pseudonyms = PseudonymDigest()
    covered = (pseudonyms.last_id, pseudonyms.up_to(pseudonyms.last_id))
    count = sum(
        _extend_chain_of_fleet(fleet_id, fresh.filter(Q(fleet_id=fleet_id)), covered) for fleet_id in list(fleets)
    )
    chain.sealed_until = until
    chain.save(update_fields=["sealed_until"])
    return count


class PseudonymDigest:
    """The digests that seals hold of the pseudonyms."""

    def __init__(self) -> None:
        self._rows = list(Pseudonym.objects.order_by("id").values_list("id", "text", "digest"))
        self.last_id: int = self._rows[-1][0] if self._rows else 0
        self._digest, self._next = hashlib.sha256(), 0

    def up_to(self, last_id: int) -> str:
        """The digest of all pseudonyms with ids up to this one, which must not be lower than in the call before."""
        while self._next < len(self._rows) and self._rows[self._next][0] <= last_id:
            self._digest.update(json.dumps(self._rows[self._next]).encode())
            self._next += 1
        return self._digest.hexdigest()


def compute_leaves(events: models.QuerySet[AuditEvent]) -> Iterator[tuple[int, bytes]]:
    """Yield the id and the digest of each event, ordered by id. Memory does not grow with the number of events."""
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
                labels[label] = pseudonyms.get(label) or label_digest(label)
            facts[position] = labels[label]
        facts[2] = facts[2].isoformat()
        yield row[0], hmac.digest(key, json.dumps(["event", facts]).encode(), "sha256")[:DIGEST_BYTES]


def unpack_leaves(leaves: bytes) -> Mapping[int, bytes]:
    """The leaves of a seal: digests by event id."""
    return {
        int.from_bytes(leaves[at : at + ID_BYTES]): leaves[at + ID_BYTES : at + LEAF_BYTES]
        for at in range(0, len(leaves), LEAF_BYTES)
    }


def retire_events(before: datetime) -> int:
    """Delete sealed events older than `before`, one whole seal at a time. Returns the number of deleted events.

    The seals stay and carry a proof. Each fleet concerned gets an event that records the number.
    """
    with transaction.atomic():
        chain = lock_chain()
        require_audit_key()
        head.require_kept_head(chain)
        fleets = AuditSeal.objects.filter(retired_at=None).order_by().values_list("fleet_id", flat=True).distinct()
        return sum(_retire_events_of_fleet(fleet_id, before) for fleet_id in list(fleets))


def lock_chain() -> AuditChain:
    """Wait until nobody else extends, retires or verifies the chain, and keep them out until the transaction ends.

    The lock is that of a row which the web process's role may only read, so that it cannot hold up the sealing.
    """
    AuditChain.objects.bulk_create([AuditChain()], ignore_conflicts=True)
    return AuditChain.objects.select_for_update().get()


def is_sealing_behind() -> bool:
    """Whether an event has waited for its seal for longer than BEHIND_AFTER."""
    sealed_until = AuditChain.objects.values_list("sealed_until", flat=True).first() or 0
    waiting = AuditEvent.objects.filter(id__gt=sealed_until).order_by("id").values_list("time", flat=True)
    oldest = waiting.first()
    return oldest is not None and oldest < database_now() - BEHIND_AFTER


def last_given_id() -> int:
    """The highest id that an event can have."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM audit_auditevent_id_seq")
        (last,) = cursor.fetchone()
    return int(last)


def _extend_chain_of_fleet(
    fleet_id: int | None, events: models.QuerySet[AuditEvent], pseudonyms: tuple[int, str]
) -> int:
    last = AuditSeal.objects.order_by("number").last()
    number, previous = (last.number, last.head) if last else (0, "")
    last_of_fleet = AuditSeal.objects.filter(Q(fleet_id=fleet_id)).order_by("number").last()
    of_fleet, count = (last_of_fleet.head if last_of_fleet else ""), 0
    for batch in batched(compute_leaves(events), EVENTS_PER_SEAL):
        number, count = number + 1, count + len(batch)
        leaves = b"".join(event_id.to_bytes(ID_BYTES) + digest for event_id, digest in batch)
        seal = AuditSeal(
            number=number,
            fleet_id=fleet_id,
            until_id=batch[-1][0],
            leaves=leaves,
            leaves_digest=hashlib.sha256(leaves).hexdigest(),
            pseudonyms_until=pseudonyms[0],
            pseudonyms_digest=pseudonyms[1],
        )
        seal.head = previous = of_fleet = seal.expected_head(previous, of_fleet)
        seal.save(force_insert=True)
    return count


def _last_settled_id(patience: float) -> int:
    """The highest id below which no further event can appear.

    PostgreSQL assigns an id inside an INSERT or COPY, whose lock on the table lasts until its transaction ends. So read
    the last id, note who holds that lock, and wait until all of them are gone: no lower id can be committed after that.
    """
    until = last_given_id()
    deadline, writers = time.monotonic() + patience, _active_writers()
    while still_active := writers & _active_writers():
        if time.monotonic() > deadline:
            raise WritersStillActive(f"{len(still_active)} transactions that write events are still under way.")
        time.sleep(0.05)
    return until


def _active_writers() -> set[str]:
    """The transactions of this database, other than this one, that have written events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT virtualtransaction FROM pg_locks WHERE relation = 'audit_auditevent'::regclass "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()"
        )
        return {row[0] for row in cursor.fetchall()}


def _retire_events_of_fleet(fleet_id: int | None, before: datetime) -> int:
    deleted, lower, retired = 0, 0, None
    for seal in AuditSeal.objects.filter(Q(fleet_id=fleet_id)).defer("leaves").order_by("number"):
        events = AuditEvent.objects.filter(Q(fleet_id=fleet_id), id__gt=lower, id__lte=seal.until_id)
        lower = seal.until_id
        if seal.retired_at is not None:
            continue
        if events.filter(time__gte=before).exists():
            break
        seal.retired_at, seal.leaves = timezone.now(), None
        seal.retired_proof = seal.expected_proof()
        seal.save(update_fields=["retired_at", "retired_proof", "leaves"])
        deleted, retired = deleted + events.delete()[0], seal
    if retired is not None:
        event = AuditEvent.about(None, Actor.system(), "audit.retire", retired, {"events": [deleted, 0]})
        event.fleet_id = fleet_id
        event.save(force_insert=True)
    return deleted
