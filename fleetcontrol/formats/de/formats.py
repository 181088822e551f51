"""Dates as the design writes them: 12. Aug. 2026. Read by Django (FORMAT_MODULE_PATH)."""

DATE_FORMAT = SHORT_DATE_FORMAT = "j. N Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "j. N Y, H:i"
MONTH_DAY_FORMAT = "j. N"
