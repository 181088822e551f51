"""What needs a person's attention: each credential that fails or is about to, its effect, and the way to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from credentials.models import Credential, Status

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_WORST_FIRST = ("ended", Status.REJECTED, Status.REVOKED, "sealed", Status.SCOPES_MISSING, Status.UNREACHABLE, "ends")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One line of the attention list. `action` is rotate, check or detail: the page that mends it."""

    credential: Credential
    tone: str
    icon: str
    title: str
    text: str
    action: str


def alarms(credentials: Iterable[tuple[Credential, int]]) -> list[Alarm]:
    """The alarms of credentials with their numbers of vehicles, worst first; those without vehicles last."""
    today = timezone.localdate()
    ranked = [(_trouble(credential, today), credential, vehicles) for credential, vehicles in credentials]
    ranked.sort(key=lambda one: (one[2] == 0, _WORST_FIRST.index(one[0]), one[1].ends_on or date.max, -one[2]))
    return [_alarm(trouble, credential, vehicles, today) for trouble, credential, vehicles in ranked]


def _trouble(credential: Credential, today: date) -> str:
    """Which of _WORST_FIRST it is; a credential that needs attention is one of them."""
    if credential.ends_on and credential.ends_on < today:
        return "ended"
    if credential.status_reason == "sealed":
        return "sealed"
    return credential.status if credential.status in _WORST_FIRST else "ends"


def _alarm(trouble: str, credential: Credential, vehicles: int, today: date) -> Alarm:
    days = (credential.ends_on - today).days if credential.ends_on else 0
    values = {
        "name": credential.name,
        "brand": credential.oem.name,
        "since": date_format(timezone.localtime(credential.status_since), "DATE_FORMAT"),
        "end": date_format(credential.ends_on, "DATE_FORMAT") if credential.ends_on else "",
        "days": days,
    }
    effect = ngettext("%(count)d vehicle depends on it.", "%(count)d vehicles depend on it.", vehicles)
    effect = effect % {"count": vehicles} if vehicles else gettext("No vehicle uses it.")
    tone, icon, title, text, action = _WORDS[trouble]
    if trouble == "ends":
        title = _of_days(days)
    return Alarm(credential, tone, icon, str(title) % values, f"{str(text) % values} {effect}", action)


def _of_days(days: int) -> str:
    if days == 0:
        return gettext("%(name)s expires today.")
    return ngettext("%(name)s expires in %(days)d day.", "%(name)s expires in %(days)d days.", days)


# Tone, icon, title, sentence, action.
_WORDS: dict[str, tuple[str, str, StrOrPromise, StrOrPromise, str]] = {
    "ended": ("bad", "circle-x", _("%(name)s has expired."), _("It ended on %(end)s."), "rotate"),
    "sealed": (
        "bad",
        "lock-keyhole",
        _("%(name)s can’t be opened."),
        _("Its stored secret does not fit the keys of this server."),
        "rotate",
    ),
    Status.REJECTED: (
        "bad",
        "circle-x",
        _("%(name)s can’t sign in."),
        _("%(brand)s has rejected it since %(since)s."),
        "rotate",
    ),
    Status.REVOKED: (
        "bad",
        "circle-x",
        _("%(name)s was revoked."),
        _("%(brand)s has refused it since %(since)s."),
        "rotate",
    ),
    Status.SCOPES_MISSING: (
        "warn",
        "triangle-alert",
        _("%(name)s lacks permissions."),
        _("Ask %(brand)s to approve the account, then check again."),
        "check",
    ),
    Status.UNREACHABLE: (
        "warn",
        "triangle-alert",
        _("%(name)s can’t be reached."),
        _("%(brand)s has not answered since %(since)s."),
        "check",
    ),
    "ends": ("warn", "clock", "", _("Replace its secret before %(end)s."), "rotate"),
}
