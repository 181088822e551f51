"""Vehicle identification numbers (ISO 3779)."""

from operator import mul

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from vininfo import Vin
from vininfo.exceptions import ValidationError as NotAVin

PATTERN = "^[A-HJ-NPR-Z0-9]{17}$"
# Letters as the numbers they count as, and what each of the 17 places weighs.
_TRANSLITERATED = bytes.maketrans(
    b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ", bytes([*range(10), *map(int, "12345678123457923456789")])
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
WORDS = _("A VIN has 17 characters: digits and capital letters without I, O and Q.")
FORM = RegexValidator(PATTERN, WORDS)


def clean(text: str) -> str:
    """A VIN as it is kept: capital letters, without the spaces and hyphens people type into it."""
    return text.upper().replace(" ", "").replace("-", "")


def check_digit_is_wrong(vin: str) -> bool:
    """Whether the ninth character is not the check digit of the others. European VINs need none, so it is a note."""
    if _is_right(vin):
        return False
    try:
        number = Vin(vin)
    except NotAVin:
        return False
    follows_the_rule = getattr(number.assembler, "uses_sae_checkdigit", True)
    return follows_the_rule and not number.verify_checksum(check_year=False)


def _is_right(vin: str) -> bool:
    """The rule of 49 CFR 565.15 alone. The library looks at the maker first and takes longer: it is asked if wrong."""
    digits = vin.encode("ascii", "replace").translate(_TRANSLITERATED)
    return len(digits) == 17 and sum(map(mul, digits, _WEIGHTS)) % 11 == "0123456789X".find(vin[8])
