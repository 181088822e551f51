"""What the pages of imports need of a template."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.translation import gettext as _

from fleetcontrol.imports.importer import importers

register = template.Library()


@register.filter
def of(samples: Mapping[str, Any], verdict: str) -> Any:
    """The sampled rows of one verdict."""
    return samples.get(verdict, [])


@register.filter
def in_words(key: str, kind: str) -> str:
    """What people call a field that its key names; the header of a file's column stays as it is."""
    if key == "secret":  # of a credential, whatever its brand's fields are
        return _("Secret")
    return next((str(one.label) for one in importers()[kind].fields if one.key == key), key)
