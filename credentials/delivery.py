"""Sending notices: by email to the people who can act, and to the fleet's webhook."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.models import Notice, Webhook
from fleetcontrol.people.models import Fleet, Role, User

logger = logging.getLogger(__name__)

# After the last one it is given up: a day and a half of trying.
_POST_AGAIN_AFTER = [timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440)]
_POSTS_AT_A_TIME = 50


def email_notices() -> int:
    """Send what was not emailed yet, one email for each fleet and person; returns the number of emails.

    Notices are claimed first, so that two processes do not both send them; when the mail server fails they are given
    back for the next time.
    """
    sent = 0
    with transaction.atomic():
        waiting = Notice.objects.filter(emailed_at=None).order_by("fleet", "id").select_for_update(skip_locked=True)
        claimed = list(waiting.select_related(None)[:1000])
        Notice.objects.filter(pk__in=[n.pk for n in claimed]).update(emailed_at=timezone.now())
    for fleet_id, group in groupby(claimed, key=lambda notice: notice.fleet_id):
        notices = list(group)
        try:
            sent += _email(Fleet.objects.get(pk=fleet_id), notices)
        except (OSError, SMTPException):
            logger.exception("The mail server failed; the reminders wait for the next time.")
            Notice.objects.filter(pk__in=[n.pk for n in notices]).update(emailed_at=None)
    return sent


def recipients(fleet: Fleet) -> QuerySet[User]:
    """Who gets the fleet's reminders: everybody who can replace a secret."""
    can_act = [Role.MANAGER, Role.ADMINISTRATOR]
    return User.objects.filter(memberships__fleet=fleet, memberships__role__in=can_act, is_active=True).order_by("pk")


def _email(fleet: Fleet, notices: Sequence[Notice]) -> int:
    sent = 0
    for person in recipients(fleet):
        with translation.override(person.language or settings.LANGUAGE_CODE):
            sent += EmailMessage(_subject(fleet, notices), _text(fleet, notices), to=[person.email]).send()
    return sent


def _subject(fleet: Fleet, notices: Sequence[Notice]) -> str:
    if len(notices) == 1:
        # A name cannot hold line breaks here: header injection is refused by Django, so make it one line.
        return " ".join(notices[0].sentence.split())[:150]
    words = ngettext(
        "%(count)d notice about credentials of %(fleet)s",
        "%(count)d notices about credentials of %(fleet)s",
        len(notices),
    )
    return " ".join((words % {"count": len(notices), "fleet": fleet.name}).split())


def _text(fleet: Fleet, notices: Sequence[Notice]) -> str:
    lines = [
        f"{notice.sentence}\n{settings.PUBLIC_URL}/f/{fleet.slug}/credentials/{notice.credential_id}/"
        for notice in notices
    ]
    end = _("You get this because you manage the fleet %(fleet)s in FleetControl.") % {"fleet": fleet.name}
    return "\n\n".join([*lines, end]) + "\n"


def post_notices() -> int:
    """Post what is due to the fleets' webhooks; returns how many were taken.

    A notice of a fleet without a webhook is done. One that is not taken is tried again, later and later.
    """
    Notice.objects.filter(posted_at=None, fleet__webhook=None).update(posted_at=timezone.now())
    taken = 0
    silent: set[str] = set()
    for notice in _claim_posts():
        webhook = notice.fleet.webhook
        if webhook.pk in silent:
            continue
        if webhook.post(notice.pk, notice.kind, _facts(notice)):
            Notice.objects.filter(pk=notice.pk).update(posted_at=timezone.now())
            taken += 1
        else:
            silent.add(webhook.pk)
            if notice.post_attempts > len(_POST_AGAIN_AFTER):
                logger.warning("The webhook of %s did not take notice %s; given up.", notice.fleet.slug, notice.pk)
                Notice.objects.filter(pk=notice.pk).update(posted_at=timezone.now())
    return taken


def _claim_posts() -> list[Notice]:
    """Notices to post now; each is put off before it is tried, so that no other process tries it meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        due = Notice.objects.filter(posted_at=None, post_after__lte=now).order_by("post_after", "id")
        claimed = list(
            due.select_for_update(skip_locked=True, of=("self",)).select_related("fleet__webhook")[:_POSTS_AT_A_TIME]
        )
        for notice in claimed:
            wait = _POST_AGAIN_AFTER[min(notice.post_attempts, len(_POST_AGAIN_AFTER) - 1)]
            notice.post_attempts += 1
            notice.post_after = now + wait * random.uniform(1, 1.2)  # noqa: S311 - spreads load, guards nothing
        Notice.objects.bulk_update(claimed, ["post_attempts", "post_after"])
    return claimed


def _facts(notice: Notice) -> dict[str, object]:
    facts = {key: value for key, value in notice.facts.items() if key not in ("name", "brand")}
    credential = {"id": notice.credential_id, "name": notice.facts["name"], "brand": notice.facts["brand"]}
    return {
        "time": notice.created_at.isoformat(timespec="seconds"),
        "credential": credential,
        **facts,
        "url": f"{settings.PUBLIC_URL}/f/{notice.fleet.slug}/credentials/{notice.credential_id}/",
    }


def send_test(webhook: Webhook) -> bool:
    """Post an event that means nothing, to try the address; True if it was taken."""
    return webhook.post(f"test-{int(timezone.now().timestamp())}", "test", {"time": timezone.now().isoformat()})
