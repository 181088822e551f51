"""Dates as people and programs write them in tables."""

import re
from datetime import date

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]\d{1,2}:.{2,30})?")
_GERMAN = re.compile(r"(\d{1,2})\. ?(\d{1,2})\. ?(\d{4})(?:,? \d{1,2}:.{2,30})?")
_SLASHES = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?:,? \d{1,2}:.{2,30})?")


def read_date(text: str) -> date:
    """The day of "2026-12-31", also with a time, "31.12.2026", or "31/12/2026" where it can be only one day.

    Raises ValidationError.
    """
    try:
        if match := _YEAR_FIRST.fullmatch(text):
            return date(int(match[1]), int(match[3]), int(match[4]))
        if match := _GERMAN.fullmatch(text):
            return date(int(match[3]), int(match[2]), int(match[1]))
        if match := _SLASHES.fullmatch(text):
            return _with_slashes(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        pass
    raise ValidationError(_("This is not a date. Write it as 2026-12-31."))


def _with_slashes(first: int, second: int, year: int) -> date:
    """Britons write the day first, Americans the month. Raises ValueError for no day, ValidationError for two."""
    if first <= 12 and second <= 12 and first != second:
        raise ValidationError(_("This may be one of two days. Write it as 2026-12-31."))
    return date(year, first, second) if second > 12 else date(year, second, first)
