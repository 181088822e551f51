"""What the pages of imports need of a template."""

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def of(samples: Mapping[str, Any], verdict: str) -> Any:
    """The sampled rows of one verdict."""
    return samples.get(verdict, [])
