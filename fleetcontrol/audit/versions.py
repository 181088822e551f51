"""Versions of rows: whether a row is still as a form or a program saw it, and who changed it meanwhile.

A row that has `changed_at` is versioned by it, to the microsecond. Other models name in `versioned_fields` the fields
that people change and in `saving_actions` the audit events of such changes; both make the version. Checks, uses and
`manage.py tend` are no changes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import models

from fleetcontrol.audit.models import AuditEvent, Target

NO_ROW = "none"


class ChangedMeanwhile(Exception):
    """Somebody saved the row after it was shown.

    `row` is the row as it is now, None if it is gone; `by` and `at` are who saved it and when, as far as it is known.
    """

    def __init__(self, row: Any) -> None:
        self.row = row
        self.by, self.at = last_change(row)
        super().__init__(f"{row} was changed meanwhile")


def version_at(changed_at: datetime) -> str:
    """The version of a row that was changed at this moment."""
    return f"{int(changed_at.timestamp() * 1_000_000):x}"


def version_of(row: Any, fields: Sequence[str] = ()) -> str:
    """The version of a row, or of there being none. `fields` are compared instead of its `versioned_fields`."""
    if row is None:
        return NO_ROW
    if hasattr(row, "changed_at"):
        return version_at(row.changed_at)
    event = _last_event(row)
    values = [getattr(row, field) for field in fields or row.versioned_fields]
    digest = sha256(json.dumps(values, default=str).encode()).hexdigest()[:16]
    return f"{event.pk if event else 0:x}-{digest}"


def require_version(row: Any, expected: str | None, fields: Sequence[str] = ()) -> None:
    """Raise ChangedMeanwhile unless the row has the expected version. None expects nothing.

    Call it with the row locked, so that nobody changes the row after the comparison.
    """
    if expected is not None and expected != version_of(row, fields):
        raise ChangedMeanwhile(row)


def last_change(row: Any) -> tuple[str, datetime | None]:
    """Who changed the row last, and when; ("", None) if nobody knows."""
    if row is not None and hasattr(row, "changed_at"):
        return row.changed_by, row.changed_at
    event = _last_event(row) if row is not None else None
    return (event.actor_label, event.time) if event else ("", None)


def _last_event(row: Any) -> AuditEvent | None:
    target: models.Model = getattr(row, "audit_target", row)
    events = AuditEvent.objects.filter(
        target_kind=Target.of(target).kind, target_id=str(target.pk), action__in=row.saving_actions
    )
    if row is not target:  # the target, such as a person, belongs to several fleets
        events = events.filter(fleet_id=row.fleet_id)
    return events.order_by("-id").first()
