"""Notices about credentials: made from their state, sent by email to the people who can act and to the fleet's webhook.

Making a notice again changes nothing (see `models/notice.py`), and sending claims it first. So both can be repeated, by
any number of processes at once.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import models, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.models import TROUBLED, Credential, Notice, NoticeKind, Status, Webhook
from fleetcontrol.people.models import Fleet, Role, User

logger = logging.getLogger(__name__)

REMIND_BEFORE = (30, 7, 1, 0)  # days
# Give up after the last one: a day and a half of trying.
_POST_AGAIN_AFTER = [timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440)]
_MOST_EMAILED_AT_ONCE = 1000
_MOST_POSTED_AT_ONCE = 50


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
    return _save_new(notices)


def note_statuses() -> int:
    """Make a notice of each status that turned bad, or good again, since the last one; returns how many are new."""
    on_status = Notice.objects.filter(
        credential=models.OuterRef("pk"), kind__in=[NoticeKind.FAILS, NoticeKind.RECOVERED]
    )
    latest = models.Subquery(on_status.order_by("-id").values("kind")[:1])
    credentials = Credential.objects.annotate(latest_notice=latest)
    failing = credentials.filter(status__in=TROUBLED)
    recovered = credentials.filter(status=Status.WORKING, latest_notice=NoticeKind.FAILS)
    notices = []
    for kind, changed in ((NoticeKind.FAILS, failing), (NoticeKind.RECOVERED, recovered)):
        for credential in changed:
            facts = {"status": credential.status, "reason": credential.status_reason}
            since = credential.status_since.isoformat(timespec="milliseconds")
            notices.append(_notice(kind, credential, since, facts))
    return _save_new(notices)


def email_notices() -> int:
    """Email the notices that were not emailed yet, one email for each fleet and person; returns how many emails.

    Claim the notices before sending, so that two processes do not both send them. If the mail server fails, release
    them for the next time.
    """
    sent = 0
    with transaction.atomic():
        waiting = Notice.objects.filter(emailed_at=None).order_by("fleet", "id").select_for_update(skip_locked=True)
        claimed = list(waiting.select_related(None)[:_MOST_EMAILED_AT_ONCE])
        Notice.objects.filter(pk__in=[n.pk for n in claimed]).update(emailed_at=timezone.now())
    for fleet_id, group in groupby(claimed, key=lambda notice: notice.fleet_id):
        notices = list(group)
        try:
            sent += _email(Fleet.objects.get(pk=fleet_id), notices)
        except (OSError, SMTPException):
            logger.exception("The mail server failed; the reminders wait for the next time.")
            Notice.objects.filter(pk__in=[n.pk for n in notices]).update(emailed_at=None)
    return sent


def recipients(fleet: Fleet) -> models.QuerySet[User]:
    """The people who get the fleet's reminders: everybody who can replace a secret."""
    can_act = [Role.MANAGER, Role.ADMINISTRATOR]
    return User.objects.filter(memberships__fleet=fleet, memberships__role__in=can_act, is_active=True).order_by("pk")


def post_notices() -> int:
    """Post the notices that are due to the fleets' webhooks; returns how many were taken.

    A notice of a fleet without a webhook counts as posted. One that is not taken is tried again, later each time.
    """
    Notice.objects.filter(posted_at=None, fleet__webhook=None).update(posted_at=timezone.now())
    taken = 0
    silent: set[str] = set()
    for notice in _claim_posts():
        webhook = notice.fleet.webhook
        if webhook.pk in silent:
            continue
        if webhook.post(notice.pk, notice.kind, _facts_to_post(notice)):
            Notice.objects.filter(pk=notice.pk).update(posted_at=timezone.now())
            taken += 1
        else:
            silent.add(webhook.pk)
            if notice.post_attempts > len(_POST_AGAIN_AFTER):
                logger.warning("The webhook of %s did not take notice %s; given up.", notice.fleet.slug, notice.pk)
                Notice.objects.filter(pk=notice.pk).update(posted_at=timezone.now())
    return taken


def post_test(webhook: Webhook) -> bool:
    """Post an event without meaning, to try the address; returns whether it was taken."""
    return webhook.post(f"test-{int(timezone.now().timestamp())}", "test", {"time": timezone.now().isoformat()})


def _notice(kind: NoticeKind, credential: Credential, occasion: str, facts: dict[str, Any]) -> Notice:
    """A notice that is not saved. `occasion` tells it from others of its kind and credential."""
    about = {"name": credential.name, "brand": credential.brand}
    key = f"{kind}:{credential.pk}:{occasion}"
    return Notice(fleet_id=credential.fleet_id, credential=credential, kind=kind, key=key, facts=about | facts)


def _save_new(notices: list[Notice]) -> int:
    """Save those notices that are not there yet; returns how many."""
    before = set(Notice.objects.filter(key__in=[n.key for n in notices]).values_list("key", flat=True))
    new = [notice for notice in notices if notice.key not in before]
    for notice in new:  # count vehicles only now, because most notices were made long ago
        notice.facts["vehicles"] = notice.credential.vehicles.count()
    Notice.objects.bulk_create(new, ignore_conflicts=True, batch_size=500)
    return len(new)


def _email(fleet: Fleet, notices: Sequence[Notice]) -> int:
    sent = 0
    for person in recipients(fleet):
        with translation.override(person.language or settings.LANGUAGE_CODE):
            sent += EmailMessage(_subject(fleet, notices), _text(fleet, notices), to=[person.email]).send()
    return sent


def _subject(fleet: Fleet, notices: Sequence[Notice]) -> str:
    # Names may hold line breaks, which Django refuses in a subject, so make one line of them.
    if len(notices) == 1:
        return " ".join(notices[0].sentence.split())[:150]
    words = ngettext(
        "%(count)d notice about credentials of %(fleet)s",
        "%(count)d notices about credentials of %(fleet)s",
        len(notices),
    )
    return " ".join((words % {"count": len(notices), "fleet": fleet.name}).split())


def _text(fleet: Fleet, notices: Sequence[Notice]) -> str:
    lines = [f"{notice.sentence}\n{_url(fleet, notice)}" for notice in notices]
    end = _("You get this because you manage the fleet %(fleet)s in FleetControl.") % {"fleet": fleet.name}
    return "\n\n".join([*lines, end]) + "\n"


def _claim_posts() -> list[Notice]:
    """Notices to post now. Each is put off before it is posted, so that no other process posts it meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        due = Notice.objects.filter(posted_at=None, post_after__lte=now).order_by("post_after", "id")
        claimed = list(
            due.select_for_update(skip_locked=True, of=("self",)).select_related("fleet__webhook")[
                :_MOST_POSTED_AT_ONCE
            ]
        )
        for notice in claimed:
            wait = _POST_AGAIN_AFTER[min(notice.post_attempts, len(_POST_AGAIN_AFTER) - 1)]
            notice.post_attempts += 1
            notice.post_after = now + wait * random.uniform(1, 1.2)  # noqa: S311 - spreads load, guards nothing
        Notice.objects.bulk_update(claimed, ["post_attempts", "post_after"])
    return claimed


def _facts_to_post(notice: Notice) -> dict[str, object]:
    facts = {key: value for key, value in notice.facts.items() if key not in ("name", "brand")}
    credential = {"id": notice.credential_id, "name": notice.facts["name"], "brand": notice.facts["brand"]}
    return {
        "time": notice.created_at.isoformat(timespec="seconds"),
        "credential": credential,
        **facts,
        "url": _url(notice.fleet, notice),
    }


def _url(fleet: Fleet, notice: Notice) -> str:
    return f"{settings.PUBLIC_URL}/f/{fleet.slug}/credentials/{notice.credential_id}/"
