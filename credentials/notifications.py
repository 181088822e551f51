"""Notices about credentials: made from their state, sent by email to the people who can act and to the fleet's webhook.

Making a notice again changes nothing (see `models/notice.py`), so any number of processes may do it at once.

Sending survives a kill at any moment. An email is marked as sent in the transaction that holds its lock meanwhile: two
processes never send the same one, and what was killed in between is sent again. A post to a webhook is put off just
before it is posted, and marked when it was taken; the receiver knows a repeated one by its delivery id.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, product
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, models, transaction
from django.db.models import Min
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.models import TROUBLED, Credential, Notice, NoticeEmail, NoticeKind, Status, Webhook
from fleetcontrol import mail
from fleetcontrol.duties import each, guarded
from fleetcontrol.people.models import Fleet, Role, User

logger = logging.getLogger(__name__)

REMIND_BEFORE = (30, 7, 1, 0)  # days
# Give up after the last one: a day and a half of trying.
_POST_AGAIN_AFTER = [timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440)]
# The same for a mail that the server refuses for one person: three days and a half.
_EMAIL_AGAIN_AFTER = [timedelta(minutes=m) for m in (5, 30, 120, 480, 1440, 1440, 1440)]
_MOST_MAIL_SERVER_FAILURES = 3  # in a round
_MOST_ADDRESSED_AT_ONCE = 1000
_MOST_EMAILED_AT_ONCE = 500
_MOST_NOTICES_IN_AN_EMAIL = 1000
_MOST_POSTED_AT_ONCE = 50


def note_ends(today: date) -> int:
    """Make the reminders that are due today; returns how many are new."""
    due = Credential.objects.filter(ends_on__lte=today + timedelta(days=max(REMIND_BEFORE)))

    def note(pks: Sequence[str]) -> int:
        return _save_new([_notice_of_end(credential, today) for credential in due.filter(pk__in=pks)])

    return each("credential", list(due.values_list("pk", flat=True)), note)


def note_statuses() -> int:
    """Make a notice of each status that turned bad, or good again, since the last one; returns how many are new."""
    on_status = Notice.objects.filter(
        credential=models.OuterRef("pk"), kind__in=[NoticeKind.FAILS, NoticeKind.RECOVERED]
    )
    latest = models.Subquery(on_status.order_by("-id").values("kind")[:1])
    credentials = Credential.objects.annotate(latest_notice=latest)
    failing = credentials.filter(status__in=TROUBLED)
    recovered = credentials.filter(status=Status.WORKING, latest_notice=NoticeKind.FAILS)
    new = 0
    for kind, changed in ((NoticeKind.FAILS, failing), (NoticeKind.RECOVERED, recovered)):

        def note(pks: Sequence[str], kind: NoticeKind = kind) -> int:
            return _save_new([_notice_of_status(kind, one) for one in Credential.objects.filter(pk__in=pks)])

        new += each("credential", list(changed.values_list("pk", flat=True)), note)
    return new


def email_notices() -> int:
    """Email the notices that are due, one email for each fleet and person; returns how many emails were sent.

    A person whose mail the server refuses keeps nobody else from theirs: that mail is tried again later each time, and
    in the end given up. While the mail server is away, everything waits for the next round.
    """
    _address_new_notices()
    sent = failures = 0
    for fleet_id, user_id in _due_emails():
        with guarded(f"reminders of fleet {fleet_id} to person {user_id}"):
            try:
                sent += _email_due(fleet_id, user_id)
            except mail.SERVER_FAILURES as error:
                reason = mail.kind_of_failure(error)
                logger.error("The mail server failed (%s); the reminders wait for the next time.", reason)
                _move_behind(fleet_id, user_id)
                failures += 1
            except Exception:
                _move_behind(fleet_id, user_id)
                raise
        if failures >= _MOST_MAIL_SERVER_FAILURES:
            break
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
    silent: set[int] = set()  # fleets whose webhook did not take a notice
    for _number in range(_MOST_POSTED_AT_ONCE):
        claimed = _claim_post(silent)
        if claimed is None:
            break
        with guarded(f"notice {claimed.pk}"):
            notice = Notice.objects.select_related("fleet__webhook").get(pk=claimed.pk)
            facts = _facts_to_post(notice)
            silent.add(claimed.fleet_id)
            if notice.fleet.webhook.post(notice.pk, notice.kind, facts):
                silent.remove(claimed.fleet_id)
                Notice.objects.filter(pk=claimed.pk).update(posted_at=timezone.now())
                taken += 1
                continue
        if claimed.post_attempts > len(_POST_AGAIN_AFTER):
            logger.warning("The webhook of fleet %s did not take notice %s; given up.", claimed.fleet_id, claimed.pk)
            Notice.objects.filter(pk=claimed.pk).update(posted_at=timezone.now())
    return taken


def post_test(webhook: Webhook) -> bool:
    """Post an event without meaning, to try the address; returns whether it was taken."""
    return webhook.post(f"test-{int(timezone.now().timestamp())}", "test", {"time": timezone.now().isoformat()})


def _notice_of_end(credential: Credential, today: date) -> Notice:
    assert credential.ends_on is not None  # noqa: S101 - the caller's filter says so
    days = (credential.ends_on - today).days
    step = min((step for step in REMIND_BEFORE if days <= step), default=0)
    facts = {"ends_on": credential.ends_on.isoformat(), "days": days}
    return _notice(NoticeKind.EXPIRES, credential, f"{credential.ends_on}:{step}", facts)


def _notice_of_status(kind: NoticeKind, credential: Credential) -> Notice:
    facts = {"status": credential.status, "reason": credential.status_reason}
    return _notice(kind, credential, credential.status_since.isoformat(timespec="milliseconds"), facts)


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


def _address_new_notices() -> None:
    new = Notice.objects.filter(addressed_at=None).order_by("fleet", "id").values_list("pk", flat=True)
    each("notice", list(new[:_MOST_ADDRESSED_AT_ONCE]), _address)


def _address(pks: Sequence[str]) -> int:
    """Give these notices an email to everybody who must know of them, and mark them; returns how many.

    The caller has begun a transaction.
    """
    new = Notice.objects.filter(pk__in=pks, addressed_at=None).order_by("fleet", "id").select_related("fleet")
    notices = list(new.select_for_update(skip_locked=True, of=("self",)))
    emails = [
        NoticeEmail(notice=notice, user=person)
        for fleet, group in groupby(notices, key=lambda notice: notice.fleet)
        for notice, person in product(group, recipients(fleet))
    ]
    NoticeEmail.objects.bulk_create(emails, ignore_conflicts=True, batch_size=500)
    return Notice.objects.filter(pk__in=[n.pk for n in notices]).update(addressed_at=timezone.now())


def _due_emails() -> list[tuple[int, int]]:
    """The fleets and persons, by id, with an email that is due; those that wait longest come first."""
    due = NoticeEmail.objects.due().values("notice__fleet", "user").annotate(since=Min("try_after"))
    pairs = due.order_by("since", "notice__fleet", "user").values_list("notice__fleet", "user")
    return list(pairs[:_MOST_EMAILED_AT_ONCE])


def _email_due(fleet_id: int, user_id: int) -> int:
    """Send one person what is due of one fleet, in one email; returns 1 if it was sent, else 0.

    No other process sends it meanwhile. The rows themselves are not locked, because who deletes a credential, a fleet
    or a person must not wait for the mail server. Raises OSError or SMTPException if the mail server fails; then
    nothing has changed.
    """
    with transaction.atomic():
        if not _lock_until_the_end(f"reminders of {fleet_id} to {user_id}"):
            return 0  # another process has them
        due = NoticeEmail.objects.of(fleet_id, user_id).due().select_related("notice__fleet").order_by("notice")
        emails = list(due[:_MOST_NOTICES_IN_AN_EMAIL])
        if not emails:
            return 0
        fleet = emails[0].notice.fleet
        person = recipients(fleet).filter(pk=user_id).first()
        if person is None:  # no longer to know of it
            NoticeEmail.objects.filter(pk__in=[one.pk for one in emails]).delete()
            return 0
        emails = _readable(emails, person)
        if not emails:
            return 0
        refusal = mail.deliver(_message(fleet, person, [one.notice for one in emails]))
        now = timezone.now()
        for one in emails:
            if refusal:
                _note_refusal(one, now)
            else:
                one.sent_at = now
        NoticeEmail.objects.bulk_update(emails, ["sent_at", "given_up_at", "refusals", "try_after"], batch_size=500)
        if refusal:
            # Neither the address nor the server's words, which often repeat it.
            given_up = sum(one.given_up_at is not None for one in emails)
            words = "The mail server refused the reminders of person %s in %s (%s); %s wait, %s given up."
            logger.warning(words, user_id, fleet.slug, refusal, len(emails) - given_up, given_up)
    return 0 if refusal else 1


def _lock_until_the_end(of_what: str) -> bool:
    """Try to take a lock of this name until the transaction ends; returns whether nobody else has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [of_what])
        (taken,) = cursor.fetchone()
    return bool(taken)


def _readable(emails: Sequence[NoticeEmail], person: User) -> list[NoticeEmail]:
    """Those whose notices can be put in words. The others wait, and keep nothing else from being sent."""
    readable = []
    with translation.override(person.language or settings.LANGUAGE_CODE):
        for one in emails:
            with guarded(f"notice {one.notice_id} to person {person.pk}"):
                _text(one.notice.fleet, [one.notice])
                readable.append(one)
    waiting = {one.pk for one in emails} - {one.pk for one in readable}
    NoticeEmail.objects.filter(pk__in=waiting).update(try_after=timezone.now() + _EMAIL_AGAIN_AFTER[0])
    return readable


def _move_behind(fleet_id: int, user_id: int) -> None:
    """Put emails that failed behind the others, due at once: what always fails must not always be the first."""
    NoticeEmail.objects.of(fleet_id, user_id).due().update(try_after=timezone.now())


def _message(fleet: Fleet, person: User, notices: Sequence[Notice]) -> EmailMessage:
    with translation.override(person.language or settings.LANGUAGE_CODE):
        return EmailMessage(_subject(fleet, notices), _text(fleet, notices), to=[person.email])


def _note_refusal(email: NoticeEmail, now: datetime) -> None:
    """Put the next try off, longer each time, and give up after the last.

    Never give up before the server has taken a mail of somebody else: one that refuses everybody is set up wrongly.
    """
    wait = _EMAIL_AGAIN_AFTER[min(email.refusals, len(_EMAIL_AGAIN_AFTER) - 1)]
    email.refusals += 1
    email.try_after = now + wait
    is_last = email.refusals > len(_EMAIL_AGAIN_AFTER)
    if is_last and NoticeEmail.objects.filter(sent_at__gte=email.notice.created_at).exists():
        email.given_up_at = now


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


def _claim_post(silent: Collection[int]) -> Notice | None:
    """The next notice to post, if its fleet is not one of `silent`; loaded is only what claiming it needs.

    It is put off right before it is posted, so that no other process posts it meanwhile. A process that is killed then
    has put off this one alone.
    """
    now = timezone.now()
    with transaction.atomic():
        due = Notice.objects.filter(posted_at=None, post_after__lte=now, fleet__webhook__isnull=False)
        due = due.exclude(fleet__in=silent).order_by("post_after", "id").only("fleet_id", "post_attempts")
        notice = due.select_for_update(skip_locked=True, of=("self",)).first()
        if notice is not None:
            wait = _POST_AGAIN_AFTER[min(notice.post_attempts, len(_POST_AGAIN_AFTER) - 1)]
            notice.post_attempts += 1
            notice.post_after = now + wait * random.uniform(1, 1.2)  # noqa: S311 - spreads load, guards nothing
            notice.save(update_fields=["post_attempts", "post_after"])
    return notice


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
