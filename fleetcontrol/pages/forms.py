"""Forms that leave the rules to the models: they collect the input, a verb checks it, the form shows its errors."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils.translation import gettext as _


class Text(forms.CharField):
    """A text as typed. `required` only marks the field: the verb reports what is missing, with all other errors."""

    def validate(self, value: Any) -> None:
        """Do nothing: the verb holds the rules."""


class Choice(forms.ChoiceField):
    """One of a few choices. The verb refuses others."""

    def validate(self, value: Any) -> None:
        """Do nothing: the verb holds the rules."""


class VerbForm(forms.Form):
    """A form of a page that passes its input to a verb and shows the verb's errors."""

    use_required_attribute = False

    def take(self, error: ValidationError) -> None:
        """Show a verb's errors at their fields. Errors of a field that is not in the form stand on top."""
        by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
        for field, errors in by_field.items():
            self.add_error(field if field in self.fields else None, errors)
        self.ask_again()

    def ask_again(self) -> None:
        """Say at the field of every secret that it must be typed again, because secrets are never sent back."""
        for name, field in self.fields.items():
            if getattr(field.widget, "holds_secret", False) and self.data.get(self.add_prefix(name)):
                words = _("Enter “%(label)s” again. Secrets are cleared when a form has errors.")
                if name not in self.errors:
                    self.add_error(name, words % {"label": field.label})

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and self.errors:
            self.ask_again()
