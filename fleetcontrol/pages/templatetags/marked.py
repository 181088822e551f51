"""Mark the hits of a search, which ignores case, spaces and hyphens as the search itself does."""

import re

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def marked(text: object, q: str) -> SafeString:
    """The text with each hit of `q` in a `<mark>`."""
    plain = str(text)
    wanted = re.sub(r"[ -]", "", q)
    if not wanted or len(wanted) > len(plain):
        return conditional_escape(plain)
    pattern = re.compile("[ -]*".join(map(re.escape, wanted)), re.IGNORECASE)
    parts, end = [], 0
    for hit in pattern.finditer(plain):
        parts += [conditional_escape(plain[end : hit.start()]), "<mark>", conditional_escape(hit[0]), "</mark>"]
        end = hit.end()
    return mark_safe("".join(parts) + conditional_escape(plain[end:]))  # noqa: S308 - each part is escaped above
