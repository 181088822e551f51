"""Icons from the package lucide: `{% icon "pencil" %}` is 18 pixels wide, and hidden from screen readers.

Each icon is drawn once per process, because a list of 100 rows shows the same few icons 500 times.
"""

from functools import lru_cache

from django import template
from lucide.templatetags.lucide import lucide

register = template.Library()

# The only place that says which icon stands for a tone. Any other tone is plain information.
ICON_OF_TONE = {"ok": "circle-check", "warn": "triangle-alert", "bad": "circle-x"}


@lru_cache(maxsize=512)
def icon(name: str, *, size: int = 18) -> str:
    return lucide(name, size=size, aria_hidden="true")


def tone_icon(tone: str, *, size: int = 18) -> str:
    """The icon of `ok`, `warn`, `bad` or no tone."""
    return icon(ICON_OF_TONE.get(tone, "info"), size=size)


register.simple_tag(icon, name="icon")
register.simple_tag(tone_icon)
