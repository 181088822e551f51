"""The `{% lucide %}` tag of the package lucide, drawn once per process: a list of 100 rows shows 500 of the same icons.

settings.py puts this library in the place of the package's own.
"""

from functools import lru_cache

from django import template
from lucide.templatetags.lucide import lucide

register = template.Library()
register.simple_tag(lru_cache(maxsize=512)(lucide), name="lucide")
