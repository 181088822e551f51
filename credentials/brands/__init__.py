"""The catalogue of brands: what each OEM issues, how it identifies its units, how to sign in to it.

The catalogue is data, so a new OEM needs no code: `brands.toml`, and the file that an operator names in
FLEETCONTROL_BRANDS. It is read once, and a mistake in a file stops the start.
"""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from django.conf import settings
from django.utils.translation import gettext as _

from credentials.brands.field import Choice, Field, Kind, StoredAs
from credentials.brands.file import read
from credentials.brands.schema import LONGEST_LIFE, Brand, Cleaned, SignIn, Unit

__all__ = [
    "BUILT_IN",
    "LONGEST_LIFE",
    "Brand",
    "Choice",
    "Cleaned",
    "Field",
    "Kind",
    "SignIn",
    "StoredAs",
    "Unit",
    "UnknownBrand",
    "catalogue",
    "find",
    "read",
    "stored",
]

BUILT_IN = Path(__file__).with_name("brands.toml")


class UnknownBrand(LookupError):
    """There is no brand of this name. The message is a sentence that names similar brands, or else all of them.

    It does not repeat the name, which may be a secret in a wrong place.
    """

    def __init__(self, text: str) -> None:
        ids = list(catalogue())
        self.similar = difflib.get_close_matches(_as_id(text), ids, n=3, cutoff=0.5)
        super().__init__()

    def __str__(self) -> str:
        if self.similar:
            sentence = _("There is no brand of this name. Did you mean %(brands)s?")
        else:
            sentence = _("There is no brand of this name. The brands are: %(brands)s.")
        return sentence % {"brands": ", ".join(self.similar or catalogue())}


@cache
def catalogue() -> Mapping[str, Brand]:
    """All brands by their id, the built-in ones first. Raises ImproperlyConfigured for a mistake in a file."""
    brands = read(BUILT_IN)
    own = getattr(settings, "FLEETCONTROL_BRANDS", "")
    if own:
        brands = read(Path(own), brands)
    return MappingProxyType(brands)


def find(text: str) -> Brand:
    """The brand of this id or name, in any case and with hyphens or spaces for underscores.

    Raises UnknownBrand.
    """
    brand_id = _as_id(text)
    if brand_id in catalogue():
        return catalogue()[brand_id]
    for brand in catalogue().values():
        if _as_id(brand.name) == brand_id:
            return brand
    raise UnknownBrand(text)


def stored(brand_id: str) -> Brand:
    """The brand of a stored credential or vehicle.

    A brand that an operator removed from the file appears by its id. Its credentials can neither be checked nor get
    a new secret until the file has the brand again.
    """
    return catalogue().get(brand_id) or Brand(brand_id, name=brand_id, tile=brand_id[:2])


def _as_id(text: str) -> str:
    return "_".join(text.strip().upper().replace("-", " ").replace("_", " ").split())
