"""Looking at the state of credentials and making the notices that it calls for."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db import models

from credentials.models import TROUBLED, Credential, Notice, NoticeKind, Status

REMIND_BEFORE = (30, 7, 1, 0)  # days


def note_ends(today: date) -> int:
    """Make the reminders that are due today; returns how many are new."""
    due = Credential.objects.filter(ends_on__lte=today + timedelta(days=max(REMIND_BEFORE)))
    notices = []
    for credential in due:
        assert credential.ends_on is not None  # noqa: S101 - the filter says so
        days = (credential.ends_on - today).days
        step = min((step for step in REMIND_BEFORE if days <= step), default=0)
        facts = {"ends_on": credential.ends_on.isoformat(), "days": days}
        notices.append(_notice(NoticeKind.EXPIRES, credential, f"{credential.ends_on}:{step}", facts))
    return _make(notices)


def note_statuses() -> int:
    """Make a notice for each status that became bad, or good again, since the last one; returns how many are new."""
    latest = Notice.objects.filter(credential=models.OuterRef("pk"), kind__in=[NoticeKind.FAILS, NoticeKind.RECOVERED])
    told = models.Subquery(latest.order_by("-id").values("kind")[:1])
    known = Credential.objects.annotate(told=told)
    failing = known.filter(status__in=TROUBLED)
    recovered = known.filter(status=Status.WORKING, told=NoticeKind.FAILS)
    notices = []
    for kind, credentials in ((NoticeKind.FAILS, failing), (NoticeKind.RECOVERED, recovered)):
        for credential in credentials:
            facts = {"status": credential.status, "reason": credential.status_reason}
            since = credential.status_since.isoformat(timespec="milliseconds")
            notices.append(_notice(kind, credential, since, facts))
    return _make(notices)


def _notice(kind: NoticeKind, credential: Credential, what: str, facts: dict[str, Any]) -> Notice:
    about = {"name": credential.name, "brand": credential.brand}
    key = f"{kind}:{credential.pk}:{what}"
    return Notice(fleet_id=credential.fleet_id, credential=credential, kind=kind, key=key, facts=about | facts)


def _make(notices: list[Notice]) -> int:
    before = set(Notice.objects.filter(key__in=[n.key for n in notices]).values_list("key", flat=True))
    new = [notice for notice in notices if notice.key not in before]
    for notice in new:  # counted only now: most were told long ago
        notice.facts["vehicles"] = notice.credential.vehicles.count()
    Notice.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return len(new)
