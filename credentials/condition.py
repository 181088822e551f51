"""How a credential stands, in words: one line for lists and the detail page, and the alarm that asks to act."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from credentials.models import ATTENTION_BEFORE_END, Credential, Status
from fleetcontrol.db.clock import database_today
from fleetcontrol.pages.templatetags.when import at, when

if TYPE_CHECKING:
    from django.utils.safestring import SafeString
    from django_stubs_ext import StrOrPromise

# Tone and icon of each status.
STATUS_LOOKS = {
    Status.UNCHECKED: ("", "circle-dashed"),
    Status.WORKING: ("ok", "circle-check"),
    Status.REJECTED: ("bad", "circle-x"),
    Status.UNREACHABLE: ("warn", "triangle-alert"),
    Status.SCOPES_MISSING: ("warn", "triangle-alert"),
    Status.PENDING: ("", "clock"),
    Status.REVOKED: ("bad", "circle-x"),
}
SEALED_LOOKS = ("bad", "lock-keyhole")
LEAKED_LOOKS = ("bad", "shield-alert")


@dataclass(frozen=True, slots=True)
class Condition:
    """The inputs of templates/shared/status.html."""

    tone: str
    icon: str
    words: str
    since: SafeString | str


def condition(credential: Credential) -> Condition:
    """The worst thing to say: a leak, what the OEM refused, an end that is near or past, then the last check."""
    if credential.leaked_at:
        return Condition(*LEAKED_LOOKS, gettext("Secret leaked"), _since_time(credential.leaked_at))
    if credential.status_reason == "sealed":
        return Condition(*SEALED_LOOKS, gettext("Cannot be opened"), "")
    status = Status(credential.status)
    tone, icon = STATUS_LOOKS[status]
    if tone != "bad" and credential.ends_on and (ends := _ending(credential, credential.ends_on)):
        return ends
    return Condition(tone, icon, str(status.label), _since(credential, status))


def _ending(credential: Credential, end: date) -> Condition | None:
    """What to say of an end that is near or past; None of one that is far."""
    days = (end - database_today()).days
    if days < 0:
        words = gettext("Expired on %(date)s") % {"date": date_format(end, "SHORT_DATE_FORMAT")}
        return Condition("bad", "clock", words, _checked(credential))
    if days == 0:
        return Condition("warn", "clock", gettext("Expires today"), _checked(credential))
    if days <= ATTENTION_BEFORE_END.days:
        words = ngettext("Expires in %(days)d day", "Expires in %(days)d days", days) % {"days": days}
        return Condition("warn", "clock", words, _checked(credential))
    return None


def _since(credential: Credential, status: Status) -> SafeString | str:
    if STATUS_LOOKS[status][0] in ("bad", "warn"):
        return _since_time(credential.status_since)
    return _checked(credential)


def _since_time(moment: datetime) -> SafeString:
    return format_html(gettext("Since {time}"), time=at(moment))


def _checked(credential: Credential) -> SafeString | str:
    return format_html(gettext("Checked {time}"), time=when(credential.checked_at)) if credential.checked_at else ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What fails or is about to fail, what depends on it, and the page that mends it.

    `action` names that page: rotate or verify.
    """

    credential: Credential
    tone: str
    icon: str
    title: str
    text: str
    action: str


def alarms(credentials: Iterable[tuple[Credential, int]]) -> list[Alarm]:
    """The alarms of credentials that need attention, each given with its number of vehicles.

    The worst come first; those of credentials without vehicles come last.
    """
    today = database_today()
    ranked = [(_trouble(credential, today), credential, vehicles) for credential, vehicles in credentials]
    ranked.sort(key=lambda one: (one[2] == 0, _WORST_FIRST.index(one[0]), one[1].ends_on or date.max, -one[2]))
    return [_alarm(trouble, credential, vehicles, today) for trouble, credential, vehicles in ranked]


def _trouble(credential: Credential, today: date) -> str:
    """The key of _ALARMS that fits a credential that needs attention."""
    if credential.leaked_at:
        return "leaked"
    if credential.ends_on and credential.ends_on < today:
        return "ended"
    if credential.status_reason == "sealed":
        return "sealed"
    return credential.status if credential.status in _ALARMS else "ends"


def _alarm(trouble: str, credential: Credential, vehicles: int, today: date) -> Alarm:
    days = (credential.ends_on - today).days if credential.ends_on else 0
    since = credential.leaked_at or credential.status_since
    values = {
        "name": credential.name,
        "brand": credential.oem.name,
        "since": date_format(timezone.localtime(since), "DATE_FORMAT"),
        "end": date_format(credential.ends_on, "DATE_FORMAT") if credential.ends_on else "",
        "days": days,
    }
    effect = ngettext("%(count)d vehicle depends on it.", "%(count)d vehicles depend on it.", vehicles)
    effect = effect % {"count": vehicles} if vehicles else gettext("No vehicle uses it.")
    (tone, icon), title, text, action = _ALARMS[trouble]
    if trouble == "ends":
        title = _ends_title(days)
    return Alarm(credential, tone, icon, str(title) % values, f"{str(text) % values} {effect}", action)


def _ends_title(days: int) -> str:
    if days == 0:
        return gettext("%(name)s expires today.")
    return ngettext("%(name)s expires in %(days)d day.", "%(name)s expires in %(days)d days.", days)


# Looks, title, sentence and action of each trouble. The title of "ends" depends on the days that are left.
_ALARMS: dict[str, tuple[tuple[str, str], StrOrPromise, StrOrPromise, str]] = {
    "leaked": (
        LEAKED_LOOKS,
        _("The secret of %(name)s leaked."),
        _("It was reported on %(since)s. Revoke it at %(brand)s, then replace it here."),
        "rotate",
    ),
    "ended": (("bad", "circle-x"), _("%(name)s has expired."), _("It ended on %(end)s."), "rotate"),
    "sealed": (
        SEALED_LOOKS,
        _("%(name)s can’t be opened."),
        _("Its stored secret does not fit the keys of this server."),
        "rotate",
    ),
    Status.REJECTED: (
        STATUS_LOOKS[Status.REJECTED],
        _("%(name)s can’t sign in."),
        _("%(brand)s has rejected it since %(since)s."),
        "rotate",
    ),
    Status.REVOKED: (
        STATUS_LOOKS[Status.REVOKED],
        _("%(name)s was revoked."),
        _("%(brand)s has refused it since %(since)s."),
        "rotate",
    ),
    Status.SCOPES_MISSING: (
        STATUS_LOOKS[Status.SCOPES_MISSING],
        _("%(name)s lacks permissions."),
        _("Ask %(brand)s to approve the account, then check again."),
        "verify",
    ),
    Status.UNREACHABLE: (
        STATUS_LOOKS[Status.UNREACHABLE],
        _("%(name)s can’t be reached."),
        _("%(brand)s has not answered since %(since)s."),
        "verify",
    ),
    "ends": (("warn", "clock"), "", _("Replace its secret before %(end)s."), "rotate"),
}
_WORST_FIRST = (
    "leaked", "ended", Status.REJECTED, Status.REVOKED, "sealed", Status.SCOPES_MISSING, Status.UNREACHABLE, "ends",
)  # fmt: skip
