"""Forms that leave the rules to the models: they collect what was typed, a verb checks it, its errors come back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext as _

from fleetcontrol.pages.widgets import SecretInput, SecretText


class Text(forms.CharField):
    """A text as typed. `required` is only shown: what is missing, the verb says, with all else that is wrong."""

    def validate(self, value: Any) -> None:
        """Nothing: one rule has one place."""


class Choice(forms.ChoiceField):
    """One of a few; the verb refuses others."""

    def validate(self, value: Any) -> None:
        """Nothing: one rule has one place."""


class VerbForm(forms.Form):
    """A form whose errors come from a verb."""

    use_required_attribute = False

    def take(self, error: ValidationError) -> None:
        """Show a verb's errors at their fields; those of a field that is not in the form stand on top."""
        by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
        for field, errors in by_field.items():
            self.add_error(field if field in self.fields else None, errors)
        self.ask_again()

    def ask_again(self) -> None:
        """Secrets are never sent back, so each that was typed must be typed again: say so at its field."""
        for name, field in self.fields.items():
            if isinstance(field.widget, SecretInput | SecretText) and self.data.get(self.add_prefix(name)):
                words = _("Enter “%(label)s” again. Secrets are cleared when a form has errors.")
                if name not in self.errors:
                    self.add_error(name, words % {"label": field.label})

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.errors:
            self.ask_again()
