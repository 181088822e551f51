"""Email addresses: the one form in which they are kept and compared.

The normal form is ASCII in lower case, with an international domain in its xn-- form. So two addresses are the same if
their texts are equal, in Python and in PostgreSQL; nothing folds letters while it compares. A letter that is not ASCII
but folds to ASCII, such as ı, ſ, ß or K (the Kelvin sign), is refused, because somewhere it becomes another's address.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

NORMAL_FORM = r"^[!-?[-~]+@[!-?[-~]+$"  # printable ASCII without A-Z; the constraints of the database hold it
LONGEST = 254


def normal(address: str) -> str:
    """The normal form of an address. Raises ValidationError, with the code `look_alike` for a letter that folds."""
    text = address.strip()
    for letter in text:
        if _folds_to_ascii(letter):
            words = _(
                "“%(letter)s” can be taken for another letter. Write the address with the letters a to z, "
                "and a domain that really has it in its form with xn--."
            )
            raise ValidationError(words, code="look_alike", params={"letter": letter})
    local, _separator, domain = unicodedata.normalize("NFC", text).lower().rpartition("@")
    try:
        labels = [label if label.isascii() else idna.alabel(label).decode() for label in domain.split(".")]
        found = f"{local.encode('ascii').decode()}@{'.'.join(labels)}"
    except UnicodeError:
        found = ""
    if len(found) > LONGEST or any(not "!" <= char <= "~" for char in found):
        found = ""
    validate_email(found)
    return found


def known_as(address: str | None) -> str:
    """The normal form to look somebody up by; "", which nobody has, for what is no address."""
    try:
        return normal(address or "")
    except ValidationError:
        return ""


class AddressField(models.EmailField):  # type: ignore[type-arg]  # generic in the stubs alone
    """An email address in its normal form. Add `must_be_normal` to the constraints of its model."""

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(normal(value) if value else value, model_instance)


def must_be_normal(name: str, field: str = "email") -> models.CheckConstraint:
    """The constraint by which the database holds the normal form."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{field}__regex": NORMAL_FORM}),
        name=name,
        violation_error_message=gettext_lazy("Enter a valid email address."),
    )


def _folds_to_ascii(letter: str) -> bool:
    forms = (letter.lower(), letter.upper(), letter.casefold(), unicodedata.normalize("NFKC", letter))
    return not letter.isascii() and any(char.isascii() for form in forms for char in form)
