"""How a credential stands, in one line with an icon: what lists, the detail page and the attention list show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.models import ATTENTION_BEFORE_END, Credential, Status
from fleetcontrol.pages.templatetags.when import at, when

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

TONES = {
    Status.UNCHECKED: ("", "circle-dashed"),
    Status.WORKING: ("ok", "circle-check"),
    Status.REJECTED: ("bad", "circle-x"),
    Status.UNREACHABLE: ("warn", "triangle-alert"),
    Status.SCOPES_MISSING: ("warn", "triangle-alert"),
    Status.PENDING: ("", "clock"),
    Status.REVOKED: ("bad", "circle-x"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """The inputs of templates/shared/status.html."""

    tone: str
    icon: str
    words: str
    since: SafeString | str


def condition(credential: Credential) -> Condition:
    """The worst thing to say: what the OEM refused, then an end that is near or past, then the last check."""
    if credential.status_reason == "sealed":
        return Condition("bad", "lock-keyhole", _("Cannot be opened"), "")
    status = Status(credential.status)
    tone, icon = TONES[status]
    if tone != "bad" and credential.ends_on and (ends := _ending(credential)):
        return ends
    return Condition(tone, icon, str(status.label), _since(credential, status))


def _ending(credential: Credential) -> Condition | None:
    assert credential.ends_on is not None  # noqa: S101 - the caller has looked
    days = (credential.ends_on - timezone.localdate()).days
    if days < 0:
        words = _("Expired on %(date)s") % {"date": date_format(credential.ends_on, "SHORT_DATE_FORMAT")}
        return Condition("bad", "clock", words, _checked(credential))
    if days == 0:
        return Condition("warn", "clock", _("Expires today"), _checked(credential))
    if days <= ATTENTION_BEFORE_END.days:
        words = ngettext("Expires in %(days)d day", "Expires in %(days)d days", days) % {"days": days}
        return Condition("warn", "clock", words, _checked(credential))
    return None


def _since(credential: Credential, status: Status) -> SafeString | str:
    if TONES[status][0] in ("bad", "warn"):
        return format_html(_("Since {time}"), time=at(credential.status_since))
    return _checked(credential)


def _checked(credential: Credential) -> SafeString | str:
    return format_html(_("Checked {time}"), time=when(credential.checked_at)) if credential.checked_at else ""
