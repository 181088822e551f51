"""Notices: reminders of an end, and changes of a status, each sent to people and programs once.

A notice is made from the state of a credential, under a key that names exactly what it says. The key is unique, so the
notice is there once, however often and by however many processes the state is examined. `notifications.py` makes
notices and sends them.

A notice that is new is addressed once: it gets a NoticeEmail for each person who must know of it. Each of these is
marked when that person's mail is sent, so that what happens to one person's mail changes nothing for the others.
"""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Self

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from credentials import brands
from credentials.oem.verdict import explain
from fleetcontrol.db.ids import new_id
from fleetcontrol.people.models import Fleet, User


class NoticeKind(models.TextChoices):
    EXPIRES = "credential.expires", _("Expires")
    FAILS = "credential.fails", _("Does not work")
    RECOVERED = "credential.recovered", _("Works again")


class Notice(models.Model):
    """One thing to tell a fleet. `facts` are what was true when the notice was made."""

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(Fleet, models.CASCADE, related_name="notices")
    credential = models.ForeignKey("credentials.Credential", models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=24, choices=NoticeKind)
    key = models.CharField(max_length=120)
    facts = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=timezone.now)
    addressed_at = models.DateTimeField(null=True)
    posted_at = models.DateTimeField(null=True)
    post_attempts = models.PositiveSmallIntegerField(default=0)
    post_after = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints: ClassVar = [models.UniqueConstraint(fields=["key"], name="notice_once")]
        indexes: ClassVar = [
            models.Index(fields=["fleet"], condition=models.Q(addressed_at=None), name="notice_to_address"),
            models.Index(fields=["post_after"], condition=models.Q(posted_at=None), name="notice_to_post"),
        ]

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> str:
        """The notice in words, in the reader's language."""
        facts = self.facts
        if self.kind == NoticeKind.EXPIRES:
            return _sentence_on_end(facts)
        vehicles = int(facts["vehicles"])
        values = {"name": facts["name"], "count": vehicles}
        if self.kind == NoticeKind.RECOVERED:
            return gettext("%(name)s works again.") % values
        reason = explain(facts["reason"], brands.stored(facts["brand"]), facts)
        affected = ngettext(
            "%(name)s does not work. %(count)d vehicle is affected.",
            "%(name)s does not work. %(count)d vehicles are affected.",
            vehicles,
        )
        return f"{affected % values} {reason}".strip()


class NoticeEmailQuerySet(models.QuerySet["NoticeEmail"]):
    def due(self) -> Self:
        """Emails that are neither sent nor given up, and whose time for the next try has come."""
        return self.filter(sent_at=None, given_up_at=None, try_after__lte=timezone.now())

    def of(self, fleet_id: int, user_id: int) -> Self:
        """Emails about one fleet to one person."""
        return self.filter(notice__fleet=fleet_id, user=user_id)


class NoticeEmail(models.Model):
    """A notice on its way to one person by email. `refusals` counts how often the mail server refused it."""

    notice = models.ForeignKey(
        Notice, models.CASCADE, related_name="emails", db_index=False
    )  # no index of its own: that of notice_email_once begins with it
    user = models.ForeignKey(User, models.CASCADE, related_name="notice_emails")
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)
    refusals = models.PositiveSmallIntegerField(default=0)
    try_after = models.DateTimeField(default=timezone.now)

    objects = NoticeEmailQuerySet.as_manager()

    class Meta:
        verbose_name = _("reminder by email")
        verbose_name_plural = _("reminders by email")
        constraints: ClassVar = [models.UniqueConstraint(fields=["notice", "user"], name="notice_email_once")]
        indexes: ClassVar = [
            models.Index(
                fields=["try_after"], condition=models.Q(sent_at=None, given_up_at=None), name="notice_email_to_send"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id} → {self.user_id}"


def _sentence_on_end(facts: dict[str, Any]) -> str:
    values = {"name": facts["name"], "day": date_format(date.fromisoformat(facts["ends_on"]), "DATE_FORMAT")}
    days = int(facts["days"])
    if days < 0:
        return gettext("%(name)s ended on %(day)s. Replace its secret.") % values
    if days == 0:
        return gettext("%(name)s ends today. Replace its secret.") % values
    words = ngettext(
        "%(name)s expires in %(days)d day, on %(day)s. Replace its secret before.",
        "%(name)s expires in %(days)d days, on %(day)s. Replace its secret before.",
        days,
    )
    return words % (values | {"days": days})
