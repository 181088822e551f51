"""Vehicle identification numbers (ISO 3779)."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from vininfo import Vin
from vininfo.exceptions import ValidationError as NotAVin

PATTERN = "^[A-HJ-NPR-Z0-9]{17}$"
WORDS = _("A VIN has 17 characters: digits and capital letters without I, O and Q.")
FORM = RegexValidator(PATTERN, WORDS)


def clean(text: str) -> str:
    """A VIN as it is kept: capital letters, without the spaces and hyphens people type into it."""
    return text.upper().replace(" ", "").replace("-", "")


def check_digit_is_wrong(vin: str) -> bool:
    """Whether the ninth character is not the check digit of the others. European VINs need none, so it is a note."""
    try:
        number = Vin(vin)
    except NotAVin:
        return False
    follows_the_rule = getattr(number.assembler, "uses_sae_checkdigit", True)
    return follows_the_rule and not number.verify_checksum(check_year=False)
