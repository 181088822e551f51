"""The forms of credentials, made from the brand's own fields. Every rule is the verb's; see fleetcontrol/forms.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from credentials.brands import Brand, Field, Kind
from fleetcontrol.forms import Choice, Text, VerbForm
from fleetcontrol.widgets import ChoiceCards, SecretInput, SecretText

FEW_CHOICES = 3


class BrandForm(VerbForm):
    """A form with fields of a brand. `of_brand` are their keys."""

    def __init__(self, brand: Brand, fields: Iterable[Field], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.brand = brand
        self.of_brand = []
        for one in fields:
            self.fields[one.key] = form_field(one)
            self.of_brand.append(one.key)

    @property
    def values(self) -> dict[str, str]:
        """What was typed into the brand's fields, for a verb. Holds secrets."""
        return {key: self.cleaned_data[key] for key in self.of_brand}

    @property
    def brand_fields(self) -> list[BoundField]:
        return [self[key] for key in self.of_brand]


class AddForm(BrandForm):
    name = Text(label=_("Name"), help_text=_("Shown in lists and in the audit history. It cannot be changed later."))
    note = Text(
        label=_("Note"), required=False, help_text=_("For your colleagues: where it comes from, who knows about it.")
    )
    ends_on = forms.DateField(
        label=_("Ends on"),
        required=False,
        help_text=_("When the manufacturer names an end, FleetControl reminds you before it."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, brand: Brand, *args: Any, **kwargs: Any) -> None:
        super().__init__(brand, brand.fields, *args, **kwargs)


class RotateForm(BrandForm):
    """Only the secret fields: a different client ID is a different credential."""

    def __init__(self, brand: Brand, *args: Any, **kwargs: Any) -> None:
        super().__init__(brand, brand.secret_fields, *args, **kwargs)


class ChangeForm(VerbForm):
    note = Text(label=_("Note"), required=False)
    ends_on = forms.DateField(
        label=_("Ends on"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )


def form_field(one: Field) -> forms.Field:
    """How a brand's field looks on a page; what it takes is checked by the brand itself."""
    words: dict[str, Any] = {"label": one.label, "required": one.required, "help_text": one.help}
    if one.kind is Kind.CHOICE:
        choices = [(choice.key, choice.label) for choice in one.choices]
        if not one.required:
            choices.insert(0, ("", _("Not given")))
        widget = ChoiceCards() if len(choices) <= FEW_CHOICES else forms.Select()
        return Choice(choices=choices, widget=widget, initial=choices[0][0], **words)
    return Text(widget=_widget(one), **words)


def _widget(one: Field) -> forms.Widget:
    attrs = {"maxlength": one.max_length, "placeholder": one.example}
    attrs = {name: value for name, value in attrs.items() if value}
    if one.kind.is_pem:
        return SecretText({"rows": 6})
    if one.kind.is_secret:
        return SecretInput(attrs)
    if one.kind is Kind.DATE:
        return forms.DateInput({"type": "date"})
    quiet = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
    if one.kind is Kind.URL:
        return forms.URLInput(attrs | quiet)
    return forms.TextInput(attrs | quiet | ({"class": "mono"} if one.kind is Kind.IDENTIFIER else {}))
