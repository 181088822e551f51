"""Points in time as people read them: relative up to a day, then a date. The element carries the exact time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """A `<time>` element: "4 min ago", or "12 Aug 2026" after a day. "" for no moment."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    age = timezone.now() - moment
    recent = timedelta() <= age < timedelta(days=1)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "DATETIME_FORMAT"),
        ago(age) if recent else date_format(local, "DATE_FORMAT"),
    )


@register.filter
def at(moment: datetime) -> SafeString:
    """A `<time>` element for use after "since": "14 Nov, 08:12", with the year if it is not the current one."""
    local = timezone.localtime(moment)
    near = local.year == timezone.localtime().year
    words = f"{date_format(local, 'MONTH_DAY_FORMAT' if near else 'DATE_FORMAT')}, {date_format(local, 'TIME_FORMAT')}"
    return format_html('<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), words)


def ago(age: timedelta) -> str:
    """An age of less than a day in words."""
    minutes = int(age.total_seconds() // 60)
    if minutes < 1:
        return _("just now")
    if minutes < 60:
        return _("%(count)d min ago") % {"count": minutes}
    return _("%(count)d h ago") % {"count": minutes // 60}
