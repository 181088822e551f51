"""What `manage.py tend` does for credentials.

FleetControl makes its rounds here: it verifies the credentials that vehicles use, in turn and without haste. Each has a
time for its next turn, with some chance in it, so that a batch that was imported together drifts apart. An OEM that
does not answer is left alone: each of its credentials waits longer each time. After three silences in a round all
others of that OEM and fleet are put off too, and after silences of three fleets those of all fleets: what one fleet
entered puts off nobody else.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q
from django.db.models.functions import Now

from credentials import notifications
from credentials.brands import catalogue
from credentials.models import Credential, CredentialSecret, OemToken
from credentials.oem.verdict import Outcome, Verdict
from fleetcontrol import outbound
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.clock import database_now, database_today
from fleetcontrol.duties import each, guarded

AGAIN_AFTER = timedelta(hours=6)
SECONDS_A_ROUND = 200.0  # `tend` comes every five minutes
_MOST_IN_A_ROUND = 500
_MOST_SILENCES_IN_A_ROUND = 3
_AFTER_SILENCE = timedelta(minutes=5)  # doubled with each silence, up to AGAIN_AFTER
_IS_DUE = Q(next_check_at=None) | Q(next_check_at__lte=Now())

type Silences = defaultdict[str, Counter[int]]  # of a round, by host and fleet


def erase_former_secrets() -> str:
    versions = CredentialSecret.objects.all()

    def erase(pks: Sequence[int]) -> int:
        return versions.filter(pk__in=pks).erase_due(actor=Actor.system())

    erased = each("secret version", list(versions.due_for_erasure().values_list("pk", flat=True)), erase)
    return f"{erased} erased" if erased else ""


def erase_oem_tokens() -> str:
    erased = OemToken.erase_ended()
    return f"{erased} erased" if erased else ""


def check_credentials() -> str:
    verified = verify_due()
    return f"{verified} checked" if verified else ""


def send_notices() -> str:
    new = notifications.note_ends(database_today()) + notifications.note_statuses()
    emails, posts = notifications.email_notices(), notifications.post_notices()
    return f"{new} new, {emails} emails, {posts} posted" if new or emails or posts else ""


def verify_due(*, seconds: float = SECONDS_A_ROUND) -> int:
    """Verify the credentials in use whose turn it is; returns how many."""
    end = time.monotonic() + seconds
    with_sign_in = [brand.id for brand in catalogue().values() if brand.sign_in]
    due = Credential.objects.used().filter(_IS_DUE, brand__in=with_sign_in).order_by("next_check_at", "pk")
    silences: Silences = defaultdict(Counter)
    verified = 0
    for pk in list(due.values_list("pk", flat=True)[:_MOST_IN_A_ROUND]):
        if time.monotonic() > end:
            break
        with guarded(f"credential {pk}"):
            # Claim the turn before anything that may fail, so that a credential that fails waits like any other.
            if _claim_turn(pk):
                verified += _take_turn(pk, silences)
    return verified


def _take_turn(pk: str, silences: Silences) -> bool:
    """Verify one credential, unless it cannot be or its OEM is silent; returns whether it was verified."""
    try:
        return _verify(Credential.objects.select_related("fleet").get(pk=pk), silences)
    except ObjectDoesNotExist:
        if Credential.objects.filter(pk=pk).exists():
            raise
        return False  # deleted meanwhile


def _verify(credential: Credential, silences: Silences) -> bool:
    if not credential.can_be_checked:
        return False
    silent = silences[_sign_in_host(credential)]
    if max(silent[credential.fleet_id], len(silent)) >= _MOST_SILENCES_IN_A_ROUND:
        _postpone(credential, _AFTER_SILENCE)
        return False
    verdict = credential.verify(actor=Actor.system())
    if verdict.outcome is Outcome.NO_ANSWER:
        silent[credential.fleet_id] += 1
        _postpone(credential, _wait_after_silence(credential, verdict))
    return True


def _sign_in_host(credential: Credential) -> str:
    declared = credential.oem.sign_in
    if declared is None:
        return credential.brand
    declared = declared.chosen(credential.settings)
    return outbound.host_of(declared.filled(declared.url, credential.oem, credential.settings)) or credential.brand


def _wait_after_silence(credential: Credential, verdict: Verdict) -> timedelta:
    retry_after = timedelta(seconds=int(verdict.details.get("retry_after", 0)))
    doubled: timedelta = _AFTER_SILENCE * 2 ** min(max(credential.silences - 1, 0), 10)
    return max(retry_after, min(doubled, AGAIN_AFTER))


def _claim_turn(pk: str) -> bool:
    """Set the time of the next turn, unless another process has done so."""
    return bool(Credential.objects.filter(_IS_DUE, pk=pk).update(next_check_at=_spread(AGAIN_AFTER)))


def _postpone(credential: Credential, wait: timedelta) -> None:
    """Set the time of the next turn of a credential whose turn this process has claimed."""
    Credential.objects.filter(pk=credential.pk).update(next_check_at=_spread(wait))


def _spread(wait: timedelta) -> datetime:
    return database_now() + wait * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
