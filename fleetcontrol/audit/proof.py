"""The proof that the audit trail is complete: every seal fits the one before it, every event fits its leaf.

`findings` names every event that was changed, removed or added, whoever did it and however; see
`fleetcontrol.audit.chain`. A proof inside the database cannot show that its end was cut off or made again. That shows
the head which is kept elsewhere, see `fleetcontrol.audit.head`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from fleetcontrol.audit.chain import PseudonymDigest, compute_leaves, last_given_id, unpack_leaves
from fleetcontrol.audit.models import AuditEvent, AuditSeal, Pseudonym

SEALED_WITHIN = timedelta(days=7)
_BEFORE_ALL_IDS = -(2**63) - 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between the audit trail and its seals."""

    sentence: str
    event_id: int | None = None

    def __str__(self) -> str:
        return self.sentence


@dataclass(slots=True)
class Report:
    """What was verified. Complete once all findings have been read."""

    events: int = 0
    seals: int = 0
    retired: int = 0
    waiting: int = 0
    head: str = ""


@dataclass(slots=True)
class _Chain:
    """How far the chain of one fleet has been verified."""

    head: str = ""
    until_id: int = _BEFORE_ALL_IDS
    retired: bool = True


def findings(report: Report, *, fleet_id: int | None = None, expect: Collection[str] = ()) -> Iterator[Finding]:
    """Yield everything that is wrong, in all fleets or in one, and fill `report` on the way.

    `expect` holds heads that were kept or printed earlier ("12:9f3a…") and must still be in the chain.
    """
    chains: dict[int | None, _Chain] = {}
    previous, expected_number, missing = "", 1, set(expect)
    pseudonyms = PseudonymDigest()
    yield from _pseudonym_findings()
    for seal in AuditSeal.objects.order_by("number").iterator(chunk_size=50):
        for number in range(expected_number, seal.number):
            yield Finding(_("Seal %(number)s is missing.") % {"number": number})
        chain = chains.setdefault(seal.fleet_id, _Chain())
        yield from _seal_findings(seal, previous, chain)
        if seal.pseudonyms_digest and seal.pseudonyms_digest != pseudonyms.up_to(seal.pseudonyms_until):
            yield Finding(
                _("The pseudonyms of removed people are not those that seal %(number)s covers.")
                % {"number": seal.number}
            )
        if fleet_id is None or seal.fleet_id == fleet_id:
            report.seals += 1
            report.head = str(seal)
            yield from _event_findings(seal, chain, report)
        missing.discard(str(seal))
        previous, expected_number = seal.head, seal.number + 1
        chain.head, chain.until_id, chain.retired = seal.head, seal.until_id, seal.retired_at is not None
    for head in sorted(missing):
        yield Finding(
            _("The head %(head)s is no longer in the chain: seals were taken off its end or made again.")
            % {"head": head}
        )
    yield from _tail_findings(chains, fleet_id, report)


def _pseudonym_findings() -> Iterator[Finding]:
    for pseudonym in Pseudonym.objects.order_by("id"):
        if not hmac.compare_digest(pseudonym.proof, pseudonym.expected_proof()):
            yield Finding(
                _("The pseudonym “%(text)s” was changed, or not made with this AUDIT_KEY.") % {"text": pseudonym.text}
            )


def _seal_findings(seal: AuditSeal, previous: str, chain: _Chain) -> Iterator[Finding]:
    if not hmac.compare_digest(seal.head, seal.expected_head(previous, chain.head)):
        yield Finding(
            _("Seal %(number)s was changed, or not made with this AUDIT_KEY, or the one before it was.")
            % {"number": seal.number}
        )
    if seal.retired_at is None:
        if hashlib.sha256(seal.leaves or b"").hexdigest() != seal.leaves_digest:
            yield Finding(_("The leaves of seal %(number)s were changed.") % {"number": seal.number})
    elif not chain.retired or not hmac.compare_digest(seal.retired_proof, seal.expected_proof()):
        yield Finding(_("Seal %(number)s is marked as retired, but was not.") % {"number": seal.number})


def _event_findings(seal: AuditSeal, chain: _Chain, report: Report) -> Iterator[Finding]:
    """Yield the differences between a seal's leaves and the events in the table."""
    events = AuditEvent.objects.filter(Q(fleet_id=seal.fleet_id), id__gt=chain.until_id, id__lte=seal.until_id)
    leaves = dict(unpack_leaves(bytes(seal.leaves or b"")))
    report.retired += seal.retired_at is not None
    for event_id, digest in compute_leaves(events):
        report.events += 1
        leaf = leaves.pop(event_id, None)
        if leaf is None:
            yield _added_later(event_id)
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
    """Check the events after a fleet's last seal. Those up to the last seal of any fleet should be in a seal too."""
    sealed_until = max((chain.until_id for chain in chains.values()), default=0)
    last_id = last_given_id()
    of_fleet = AuditEvent.objects.all() if of is None else AuditEvent.objects.filter(fleet_id=of)
    for fleet_id in of_fleet.order_by("fleet_id").values_list("fleet_id", flat=True).distinct():
        behind = of_fleet.filter(Q(fleet_id=fleet_id), id__gt=chains.get(fleet_id, _Chain()).until_id)
        for event_id in behind.filter(id__lte=sealed_until).order_by("id").values_list("id", flat=True).iterator():
            yield _added_later(event_id)
    for event_id in of_fleet.filter(id__gt=last_id).order_by("id").values_list("id", flat=True).iterator():
        yield Finding(_("Event %(id)s has an id that was not given yet.") % {"id": event_id}, event_id)
    waiting = of_fleet.filter(id__gt=sealed_until, id__lte=last_id)
    report.waiting = waiting.count()
    if waiting.filter(time__lt=Now() - SEALED_WITHIN).exists():
        yield Finding(
            _("Events older than 7 days are not sealed: `manage.py tend` did not run, or seals were taken away.")
        )


def _added_later(event_id: int) -> Finding:
    return Finding(_("Event %(id)s was put in later: it is in no seal.") % {"id": event_id}, event_id)
