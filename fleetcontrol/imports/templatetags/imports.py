"""Filters for the pages of imports."""

from collections.abc import Mapping
from typing import Any

from django import template

from fleetcontrol.imports.importer import importers

register = template.Library()


@register.filter
def of(samples: Mapping[str, Any], verdict: str) -> Any:
    """The sampled rows of one verdict."""
    return samples.get(verdict, [])


@register.filter
def in_words(key: str, kind: str) -> str:
    """What people call the field of this key; the header of a file's column stays as it is."""
    return importers()[kind].label_of(key)
