"""Vehicle identification numbers (ISO 3779)."""

from operator import mul

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from vininfo import Vin
from vininfo.exceptions import ValidationError as NotAVin

from fleetcontrol.db.texts import compact

PATTERN = "^[A-HJ-NPR-Z0-9]{17}$"
WORDS = _("A VIN has 17 characters: digits and capital letters without I, O and Q.")
FORM = RegexValidator(PATTERN, WORDS)
# The value of each letter and the weight of each of the 17 positions (49 CFR 565.15); the check digit itself weighs 0.
_VALUES = bytes.maketrans(
    b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ", bytes([*range(10), *map(int, "12345678123457923456789")])
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def clean(text: str) -> str:
    """A VIN as it is stored: in capitals, without the blanks, hyphens and unseen marks that typing and pasting add."""
    return compact(text)


def check_digit(vin: str) -> str:
    """The check digit that a VIN of 17 characters needs in its ninth position, whatever stands there now."""
    values = vin.encode("ascii", "replace").translate(_VALUES)
    return "0123456789X"[sum(map(mul, values, _WEIGHTS)) % 11]


def check_digit_is_wrong(vin: str) -> bool:
    """Whether the check digit does not fit the rest of the VIN. European VINs need none, so this is a note at most."""
    # The library looks up the manufacturer before it calculates, so only VINs that look wrong are worth asking about.
    if len(vin) == 17 and vin[8] == check_digit(vin):
        return False
    try:
        number = Vin(vin)
    except NotAVin:
        return False
    manufacturer_uses_it = getattr(number.assembler, "uses_sae_checkdigit", True)
    return manufacturer_uses_it and not number.verify_checksum(check_year=False)
