"""FleetControl's rounds: credentials that vehicles use are checked again, in turn and without haste.

Each has a time for its next check, with some chance in it so that a batch that was imported together drifts apart. An
OEM that does not answer is left alone: each of its credentials waits longer each time, and after three silences in a
round the rest of that OEM's turn is put off as well.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import timedelta
from urllib.parse import urlsplit

from django.db.models import Q
from django.utils import timezone

from credentials.brands import catalogue
from credentials.models import Credential
from credentials.oem.sign_in import Outcome, Verdict
from fleetcontrol.audit.models import Actor

AGAIN_AFTER = timedelta(hours=6)
SECONDS_A_ROUND = 200.0  # `tend` comes every five minutes
_AT_A_TIME = 500
_SILENCES_A_ROUND = 3
_AFTER_SILENCE = timedelta(minutes=5)  # doubled with each silence, up to AGAIN_AFTER


def check_due(*, seconds: float = SECONDS_A_ROUND) -> int:
    """Check the credentials in use whose turn it is; returns how many were checked."""
    end = time.monotonic() + seconds
    checkable = [brand.id for brand in catalogue().values() if brand.sign_in]
    is_due = Q(next_check_at=None) | Q(next_check_at__lte=timezone.now())
    due = Credential.objects.used().filter(is_due, brand__in=checkable).order_by("next_check_at", "pk")
    silent: Counter[str] = Counter()
    checked = 0
    for credential in due.select_related("fleet")[:_AT_A_TIME]:
        if time.monotonic() > end:
            break
        if not credential.can_be_checked or silent[_place(credential)] >= _SILENCES_A_ROUND:
            _put_off(credential, AGAIN_AFTER if not credential.can_be_checked else _AFTER_SILENCE)
            continue
        if not _put_off(credential, AGAIN_AFTER):
            continue  # another process has its turn
        verdict = credential.check(actor=Actor.system())
        checked += 1
        if verdict.outcome is Outcome.NO_ANSWER:
            silent[_place(credential)] += 1
            _put_off(credential, _patience(credential, verdict), claim=False)
    return checked


def _place(credential: Credential) -> str:
    how = credential.oem.sign_in
    url = how.filled(how.url, credential.oem, credential.settings) if how else ""
    return urlsplit(url).hostname or credential.brand


def _patience(credential: Credential, verdict: Verdict) -> timedelta:
    asked = timedelta(seconds=int(verdict.details.get("retry_after", 0)))
    doubled: timedelta = _AFTER_SILENCE * 2 ** min(max(credential.silences - 1, 0), 10)
    return max(asked, min(doubled, AGAIN_AFTER))


def _put_off(credential: Credential, wait: timedelta, *, claim: bool = True) -> bool:
    """Set the next turn; with `claim` only if no other process has done so since it was read."""
    rows = Credential.objects.filter(pk=credential.pk)
    if claim:
        rows = rows.filter(next_check_at=credential.next_check_at)
    later = timezone.now() + wait * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
    return bool(rows.update(next_check_at=later))
