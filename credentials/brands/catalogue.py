"""The catalogue of brands: `brands.toml`, and the file an operator names in FLEETCONTROL_BRANDS.

A registry as data: a new OEM needs no code. Read once; a mistake in a file stops the start.
"""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from django.conf import settings
from django.utils.translation import gettext as _

from credentials.brands.file import read
from credentials.brands.schema import Brand

BUILT_IN = Path(__file__).with_name("brands.toml")


class UnknownBrand(LookupError):
    """There is no brand of this name; the message is a sentence that names close ones, or all of
    them.
    """

    def __init__(self, text: str) -> None:
        self.text = text[:60]
        ids = list(catalogue())
        self.close = difflib.get_close_matches(_plain(text), ids, n=3, cutoff=0.5)
        super().__init__(self.text)

    def __str__(self) -> str:
        if self.close:
            sentence = _("There is no brand “%(text)s”. Did you mean %(brands)s?")
        else:
            sentence = _("There is no brand “%(text)s”. The brands are: %(brands)s.")
        return sentence % {"text": self.text, "brands": ", ".join(self.close or catalogue())}


@cache
def catalogue() -> Mapping[str, Brand]:
    """All brands by their id, the built-in ones first. Raises ImproperlyConfigured on a mistake in
    a file.
    """
    brands = read(BUILT_IN)
    own = getattr(settings, "FLEETCONTROL_BRANDS", "")
    if own:
        brands = read(Path(own), brands)
    return MappingProxyType(brands)


def find(text: str) -> Brand:
    """The brand of this id or name, in any case and with hyphens or spaces for underscores. Raises
    UnknownBrand.
    """
    plain = _plain(text)
    if plain in catalogue():
        return catalogue()[plain]
    for brand in catalogue().values():
        if _plain(brand.name) == plain:
            return brand
    raise UnknownBrand(text)


def stored(brand_id: str) -> Brand:
    """The brand of a credential or vehicle that is stored.

    One that an operator took out of the file is shown by its id. It cannot be checked, nor its secret be replaced,
    until the file has it again.
    """
    return catalogue().get(brand_id) or Brand(brand_id, name=brand_id, tile=brand_id[:2])


def _plain(text: str) -> str:
    return "_".join(text.strip().upper().replace("-", " ").replace("_", " ").split())
