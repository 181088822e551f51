"""Points in time as people read them: relative up to a day, then a date; the exact time in the element."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """A `<time>` element: "4 minutes ago", after a day "12 Aug 2026"; "" for nothing."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    recent = abs(timezone.now() - moment) < timedelta(days=1)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "DATETIME_FORMAT"),
        naturaltime(moment) if recent else date_format(local, "DATE_FORMAT"),
    )
