"""Words as people write them in tables: in any language, with other capitals, spaces, punctuation and umlauts."""

import unicodedata

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise


def folded(text: str) -> str:
    """A text without what people write differently: capitals, spaces, punctuation, accents and umlauts."""
    text = text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text)))


def in_every_language(text: str | Promise) -> set[str]:
    """A translatable text in each language of the product, folded, with and without what stands in brackets."""
    found = set()
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            found |= {folded(str(text)), folded(str(text).partition(" (")[0])}
    return found
