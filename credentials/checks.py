"""System checks of credentials, for `manage.py check --deploy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info

from credentials import brands
from credentials.brands.file import changes


def changed_brands(**_options: Any) -> list[CheckMessage]:
    """What the operator's file changes of built-in brands, so that a new release with new facts is not overlooked."""
    own = getattr(settings, "FLEETCONTROL_BRANDS", "")
    if not own:
        return []
    found = changes(Path(own), brands.read(brands.BUILT_IN))
    return [
        Info(f"{own} changes the built-in brand {brand}: {', '.join(keys)}.", id="credentials.I001")
        for brand, keys in found.items()
    ]
