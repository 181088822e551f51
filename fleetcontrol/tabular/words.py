"""Words as people write them in tables: in any language, with other capitals, spaces, punctuation and umlauts."""

import re
import unicodedata

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise

_SPREADSHEET_NUMBER = re.compile(r"-?\d(?:[.,]\d{1,30})?E[+-]\d{1,3}|-?\d{1,30}[.,]0", re.IGNORECASE | re.ASCII)


def folded(text: str) -> str:
    """A text without what people write differently: capitals, spaces, punctuation, accents and umlauts."""
    text = text.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text)))


def is_spreadsheet_number(text: str) -> bool:
    """Whether a spreadsheet or a program with numbers made this of a long ID: 4E+15, 3,56938E+14, 356938035643809.0.

    A spreadsheet writes the sign of the exponent and one digit before the point. So 1E10 and 12345678901234E5 are IDs.
    """
    return _SPREADSHEET_NUMBER.fullmatch(text) is not None


def in_every_language(text: str | Promise) -> set[str]:
    """A translatable text in each language of the product, folded, with and without what stands in brackets."""
    found = set()
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            found |= {folded(str(text)), folded(str(text).partition(" (")[0])}
    return found
