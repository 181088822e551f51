"""The proof that the audit trail is whole: every seal fits the one before it, every event fits its leaf.

What was changed, taken out or put in is named, whoever did it and by whatever road; see `fleetcontrol.audit.chain`.
What a proof inside the database cannot show is that its end was cut off: for that keep a head elsewhere and hand it in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fleetcontrol.audit.chain import leaves_of, unpacked
from fleetcontrol.audit.models import AuditEvent, AuditSeal

SEALED_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was sealed."""

    sentence: str
    event_id: int | None = None

    def __str__(self) -> str:
        return self.sentence


@dataclass(slots=True)
class Report:
    """What was looked at; complete when the findings have been read to their end."""

    events: int = 0
    seals: int = 0
    retired: int = 0
    waiting: int = 0
    head: str = ""


@dataclass(slots=True)
class _Chain:
    """How far one fleet's chain has been followed."""

    head: str = ""
    until_id: int = 0
    retired: bool = True


def findings(report: Report, *, fleet_id: int | None = None, expect: str = "") -> Iterator[Finding]:
    """Everything that is wrong, fleet by fleet or for one fleet; fills `report` on the way.

    `expect` is a head that was printed earlier ("12:9f3a…"): it must still be in the chain.
    """
    chains: dict[int | None, _Chain] = {}
    previous, expected_number, seen = "", 1, not expect
    for seal in AuditSeal.objects.order_by("number").iterator(chunk_size=50):
        for number in range(expected_number, seal.number):
            yield Finding(_("Seal %(number)s is missing.") % {"number": number})
        chain = chains.setdefault(seal.fleet_id, _Chain())
        yield from _seal_findings(seal, previous, chain)
        if fleet_id is None or seal.fleet_id == fleet_id:
            report.seals += 1
            report.head = str(seal)
            yield from _event_findings(seal, chain, report)
        seen = seen or hmac.compare_digest(str(seal), expect)
        previous, expected_number = seal.head, seal.number + 1
        chain.head, chain.until_id, chain.retired = seal.head, seal.until_id, seal.retired_at is not None
    if not seen:
        yield Finding(
            _("The head %(head)s is no longer in the chain: seals were taken off its end.") % {"head": expect}
        )
    yield from _tail_findings(chains, fleet_id, report)


def _seal_findings(seal: AuditSeal, previous: str, chain: _Chain) -> Iterator[Finding]:
    if not hmac.compare_digest(seal.head, seal.true_head(previous, chain.head)):
        yield Finding(
            _("Seal %(number)s was changed, or not made with this AUDIT_KEY, or the one before it was.")
            % {"number": seal.number}
        )
    if seal.retired_at is None:
        if hashlib.sha256(seal.leaves or b"").hexdigest() != seal.leaves_digest:
            yield Finding(_("The leaves of seal %(number)s were changed.") % {"number": seal.number})
    elif not chain.retired or not hmac.compare_digest(seal.retired_proof, seal.true_proof()):
        yield Finding(_("Seal %(number)s is marked as retired, but was not.") % {"number": seal.number})


def _event_findings(seal: AuditSeal, chain: _Chain, report: Report) -> Iterator[Finding]:
    """What differs between a seal's leaves and the events that are there now."""
    events = AuditEvent.objects.filter(Q(fleet_id=seal.fleet_id), id__gt=chain.until_id, id__lte=seal.until_id)
    leaves = dict(unpacked(bytes(seal.leaves or b"")))
    report.retired += seal.retired_at is not None
    for event_id, digest in leaves_of(events):
        report.events += 1
        leaf = leaves.pop(event_id, None)
        if leaf is None:
            yield _inserted(event_id)
        elif not hmac.compare_digest(leaf, digest):
            yield Finding(
                _("Event %(id)s was changed after it was sealed in seal %(number)s on %(time)s.")
                % {"id": event_id, "number": seal.number, "time": f"{seal.sealed_at:%Y-%m-%d %H:%M} UTC"},
                event_id,
            )
    for event_id in leaves:
        yield Finding(
            _("Event %(id)s is missing; it was sealed in seal %(number)s.") % {"id": event_id, "number": seal.number},
            event_id,
        )


def _tail_findings(chains: dict[int | None, _Chain], of: int | None, report: Report) -> Iterator[Finding]:
    """Events behind a fleet's last seal: those up to the last seal of all should have been sealed with it."""
    sealed_until = max((chain.until_id for chain in chains.values()), default=0)
    of_fleet = AuditEvent.objects.all() if of is None else AuditEvent.objects.filter(fleet_id=of)
    for fleet_id in of_fleet.order_by("fleet_id").values_list("fleet_id", flat=True).distinct():
        behind = of_fleet.filter(Q(fleet_id=fleet_id), id__gt=chains.get(fleet_id, _Chain()).until_id)
        for event_id in behind.filter(id__lte=sealed_until).order_by("id").values_list("id", flat=True).iterator():
            yield _inserted(event_id)
    waiting = of_fleet.filter(id__gt=sealed_until)
    report.waiting = waiting.count()
    if waiting.filter(time__lt=timezone.now() - SEALED_WITHIN).exists():
        yield Finding(
            _("Events older than 7 days are not sealed: `manage.py tend` did not run, or seals were taken away.")
        )


def _inserted(event_id: int) -> Finding:
    return Finding(_("Event %(id)s was put in later: it is in no seal.") % {"id": event_id}, event_id)
