"""What an operator has to know of mail."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _

from fleetcontrol.db.clock import database_now
from fleetcontrol.health import Row
from fleetcontrol.people.models import Mail

WAITS_TOO_LONG = timedelta(minutes=15)


def watch_mail() -> list[Row]:
    """How much mail waits, and whether the mail server takes none or refused some for good."""
    waiting = Mail.objects.exclude(try_after=None)
    given_up = Mail.objects.filter(try_after=None).count()
    warning = ""
    if waiting.filter(created_at__lt=database_now() - WAITS_TOO_LONG).exists():
        warning = _("Mail waits for more than 15 minutes: the mail server does not take it, see the log.")
    rows = [Row("mail", _("Mail waiting"), waiting.count(), warning)]
    if given_up:
        rows.append(Row("mail given up", _("Mail given up"), given_up, _("Some mail could not be delivered.")))
    return rows
