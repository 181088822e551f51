"""The forms of credentials, made from the fields of the brand. The verbs hold the rules: see pages/forms.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials.brands import Brand, Field, Kind
from credentials.models import Credential, Webhook
from credentials.oem.verdict import Verdict
from fleetcontrol.pages.editing import EditForm
from fleetcontrol.pages.forms import Choice, Text, VerbForm
from fleetcontrol.pages.typed_secrets import TypedSecrets
from fleetcontrol.pages.widgets import ChoiceCards, SecretAddress, SecretInput, SecretText

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MOST_CARDS = 3  # a choice with more options is a select


def end_field(label: StrOrPromise, help_text: StrOrPromise = "") -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, required=False, help_text=help_text, widget=widget)


class BrandForm(VerbForm):
    """A form with fields of a brand. `brand_keys` are their keys, `secret_keys` those that hold secrets.

    A secret field that is left empty takes what `typed_secrets` keeps for it.
    """

    def __init__(
        self, brand: Brand, fields: Iterable[Field], *args: Any, typed_secrets: TypedSecrets, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.brand = brand
        self.brand_keys: list[str] = []
        self.verdict: Verdict | None = None
        self.typed_secrets = typed_secrets
        for one in fields:
            self.fields[one.key] = form_field(one)
            self.brand_keys.append(one.key)
        widgets = ((key, self.fields[key].widget) for key in self.brand_keys)
        self.secret_keys = [key for key, widget in widgets if isinstance(widget, SecretInput | SecretText)]

    @property
    def values(self) -> dict[str, str]:
        """What was typed into the brand's fields, as a verb takes it. Holds secrets."""
        return {key: self.cleaned_data[key] for key in self.brand_keys}

    def refuse(self, verdict: Verdict, *more: StrOrPromise) -> None:
        """Show on top why the OEM did not accept what was typed, then the sentences `more`."""
        self.verdict = verdict
        for sentence in (verdict.reason, *more):
            self.add_error(None, str(sentence))
        if verdict.says_nothing_against_secret:
            self._keep_secrets()
        else:
            self.typed_secrets.forget()
            super().ask_again()

    def ask_again(self) -> None:
        """As in every form, unless the secrets are kept already and nothing is wrong with them."""
        wrong = [key for key in self.secret_keys if key in self.errors]
        if self.typed_secrets.token and not wrong:
            self._keep_secrets()
            return
        if wrong and self.typed_secrets.is_gone:
            words = _("What you typed was kept for ten minutes and is erased now. Enter the secret again.")
            self.add_error(None, str(words))
        self.typed_secrets.forget()
        super().ask_again()

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        for key in self.secret_keys:
            self.cleaned_data[key] = self.cleaned_data.get(key) or self.typed_secrets.values.get(key, "")
        return self.cleaned_data

    @property
    def brand_fields(self) -> list[BoundField]:
        return [self[key] for key in self.brand_keys]

    @sensitive_variables()
    def _keep_secrets(self) -> None:
        """Keep the secrets for the next try, and say so at their fields."""
        typed = {key: self.cleaned_data[key] for key in self.secret_keys if self.cleaned_data.get(key)}
        if not typed:
            return
        self.typed_secrets.keep(typed)
        words = _("What you typed is kept for ten minutes. Leave this empty to use it, or enter a different secret.")
        for key in typed:
            self[key].help_text = str(words)


class AddForm(BrandForm):
    name = Text(label=_("Name"), help_text=_("Shown in lists and in the audit history. It cannot be changed later."))
    note = Text(
        label=_("Note"), required=False, help_text=_("For your colleagues: where it comes from, who knows about it.")
    )
    ends_on = end_field(
        _("Ends on"), help_text=_("When the manufacturer names an end, FleetControl reminds you before it.")
    )

    def __init__(self, brand: Brand, *args: Any, **kwargs: Any) -> None:
        super().__init__(brand, brand.fields, *args, **kwargs)


class RotateForm(BrandForm):
    """The secret fields, and what belongs to a new version: a different client ID is a different credential.

    A brand with a certificate gets no field for the end date, because the certificate carries its own.
    """

    def __init__(self, brand: Brand, *args: Any, **kwargs: Any) -> None:
        super().__init__(brand, brand.secret_fields, *args, **kwargs)
        if not any(one.kind is Kind.PEM_CERTIFICATE for one in brand.fields):
            self.fields["ends_on"] = end_field(_("Ends on"))
        reasons = [("planned", _("Planned")), ("expires", _("It expires")), ("leaked", _("It leaked"))]
        leaked = _(
            "Revoke the old secret at the manufacturer first. It is erased here at once, without a way back. "
            "Vehicles may lose their connection until you finish here."
        )
        cards = ChoiceCards({"leaked": str(leaked)})
        self.fields["why"] = Choice(label=_("Why?"), required=False, choices=reasons, widget=cards)

    @property
    def details(self) -> dict[str, Any]:
        """The other arguments of `Credential.rotate`."""
        return {"ends_on": self.cleaned_data.get("ends_on"), "why": self.cleaned_data["why"]}


class ChangeForm(EditForm, VerbForm):
    """Note, end date, and the settings of the brand that were left empty when the credential was added."""

    note = Text(label=_("Note"), required=False)
    ends_on = end_field(_("Ends on"))

    def __init__(
        self, credential: Credential, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        # A setting that the form showed stays in it, even if somebody else gave it meanwhile.
        sent = {**(kept or {}), **self.data}
        self.open_settings = [
            one.key for one in credential.oem.settings_fields if not credential.settings.get(one.key) or one.key in sent
        ]
        for one in credential.oem.settings_fields:
            if one.key in self.open_settings:
                self.fields[one.key] = form_field(one)
        self.edit(credential, kept)

    def stays(self, name: str) -> bool:
        return name in self.open_settings

    def initial_of(self, row: Credential) -> dict[str, Any]:
        settings = {key: row.settings[key] for key in self.open_settings if row.settings.get(key)}
        return {"note": row.note, "ends_on": row.ends_on} | settings

    @property
    def changes(self) -> dict[str, Any]:
        """The arguments of `Credential.change`."""
        typed = self.cleaned_data
        settings = {key: typed[key] for key in self.open_settings if typed[key]}
        return {"note": typed["note"], "ends_on": typed["ends_on"]} | ({"settings": settings} if settings else {})


class FindForm(forms.Form):
    """A secret to look for. It is never sent back, stored or logged."""

    use_required_attribute = False
    value = forms.CharField(
        label=_("Secret"), widget=SecretInput(), max_length=20_000, error_messages={"required": _("Enter a secret.")}
    )


class WebhookForm(EditForm, VerbForm):
    url = Text(
        label=_("Address"),
        widget=SecretAddress(),
        help_text=_("It must start with https://. It is stored sealed and not shown again."),
    )

    def __init__(
        self, webhook: Webhook | None, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.edit(webhook, kept)

    def initial_of(self, row: Webhook | None) -> dict[str, Any]:
        return {}


def form_field(one: Field) -> forms.Field:
    """A brand's field as a form field. The brand itself checks what is typed."""
    if one.kind is not Kind.CHOICE:
        return Text(label=one.label, required=one.required, help_text=one.help, widget=_widget(one))
    choices: list[tuple[str, StrOrPromise]] = [(choice.key, choice.label) for choice in one.choices]
    if not one.required:
        choices.insert(0, ("", _("Not given")))
    widget = ChoiceCards() if len(choices) <= MOST_CARDS else forms.Select()
    return Choice(
        label=one.label,
        required=one.required,
        help_text=one.help,
        choices=choices,
        widget=widget,
        initial=choices[0][0],
    )


def _widget(one: Field) -> forms.Widget:
    # No maxlength, because browsers cut off pasted text silently.
    attrs = {"placeholder": one.example} if one.example else {}
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
