"""What a vehicle needs to be reached: a credential, the password of its unit, or neither, as its brand says."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from credentials.brands import Brand
from fleetcontrol.db import rules

_NEEDS = {"shared": "credential", "individual": "password"}
_WORDS = {
    ("credential", True): _("%(brand)s vehicles need a credential of their brand."),
    ("credential", False): _("%(brand)s vehicles take no credential. Leave it empty."),
    ("password", True): _("%(brand)s vehicles need the password of their unit."),
    ("password", False): _("%(brand)s vehicles take no password. Leave it empty."),
}


def errors(brand: Brand, kind: str, *, credential: bool, password: bool) -> rules.Errors:
    """What is missing or too much, by field, in words that name the brand. `kind` is what the vehicle was added as."""
    needed = _NEEDS.get(kind)
    return {
        field: [ValidationError(_WORDS[field, field == needed], params={"brand": brand.name}, code="required")]
        for field, is_there in (("credential", credential), ("password", password))
        if is_there != (field == needed)
    }
