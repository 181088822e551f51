"""Forms of people, members and fleets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account import forms as account_forms
from allauth.account.fields import EmailField
from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol.pages.editing import EditForm
from fleetcontrol.pages.widgets import ChoiceCards
from fleetcontrol.people.addresses import normal
from fleetcontrol.people.models import Fleet, Membership, Role, User

MOST_INVITATIONS = 50


def role_field(**options: Any) -> forms.TypedChoiceField:
    """The three roles as cards. Each says what it allows."""
    hints = {
        Role.VIEWER: _("Sees vehicles and credentials, never secrets."),
        Role.MANAGER: _("Also adds, edits, moves, removes and imports vehicles and credentials."),
        Role.ADMINISTRATOR: _("Also manages members, API clients and settings, and reads the audit history."),
    }
    return forms.TypedChoiceField(
        label=gettext_lazy("Role"),
        coerce=Role,
        choices=Role.choices,
        widget=ChoiceCards(hints={str(role): hint for role, hint in hints.items()}),
        error_messages={"required": gettext_lazy("Choose a role.")},
        **options,
    )


class InviteForm(forms.Form):
    emails = forms.CharField(
        label=gettext_lazy("Email addresses"),
        help_text=gettext_lazy("One per line, or with commas between them."),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocapitalize": "off"}),
        max_length=10_000,
        error_messages={"required": gettext_lazy("Enter at least one email address.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field()

    def clean_emails(self) -> list[str]:
        words: list[str] = self.cleaned_data["emails"].replace(",", " ").replace(";", " ").split()
        if len(words) > MOST_INVITATIONS:
            raise ValidationError(_("Invite up to %(most)s people at a time.") % {"most": MOST_INVITATIONS})
        found, wrong, errors = [], [], []
        for word in words:
            try:
                found.append(normal(word))
            except ValidationError as error:
                if error.code == "look_alike":
                    errors.append(f"{word[:80]}: {error.messages[0]}")
                else:
                    wrong.append(word[:80])
        if wrong:
            errors.append(_("Not an email address: %(words)s.") % {"words": ", ".join(wrong)})
        if errors:
            raise ValidationError(errors)
        return found


class RoleForm(EditForm, forms.Form):
    def __init__(
        self, membership: Membership, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"] = role_field()
        self.edit(membership, kept)

    def initial_of(self, row: Membership) -> dict[str, Any]:
        return {"role": row.role}


class AddressField(EmailField):  # type: ignore[misc]  # allauth has no types
    """An email address in its normal form. allauth's own field calls lower(), which makes k of the Kelvin sign."""

    def to_python(self, value: Any) -> str:
        text = super().to_python(value)
        return normal(text) if text else ""


class LoginForm(account_forms.LoginForm):  # type: ignore[misc]  # allauth has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"] = AddressField()


class ResetPasswordForm(account_forms.ResetPasswordForm):  # type: ignore[misc]  # allauth has no types
    email = AddressField(required=True)


class JoinForm(forms.Form):
    """A new account for somebody who followed the link of an invitation."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": gettext_lazy("Enter your name.")},
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        help_text=gettext_lazy("At least 10 characters, not only digits and none of the well-known ones."),
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": gettext_lazy("Enter a password.")},
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, User(email=self.email, name=self.cleaned_data.get("name", "")))
        return password


class FleetForm(EditForm, forms.ModelForm[Fleet]):
    class Meta:
        model = Fleet
        fields = ("name", "require_second_factor")

    def __init__(self, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edit(self.instance, kept)

    def initial_of(self, row: Fleet) -> dict[str, Any]:
        return model_to_dict(row, self._meta.fields)


class NewFleetForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        error_messages={"required": gettext_lazy("Enter a name.")},
    )
    slug = forms.SlugField(
        label=gettext_lazy("Short name in addresses"),
        help_text=gettext_lazy("Letters, digits and hyphens. Empty: made from the name."),
        max_length=50,
        required=False,
    )


class FleetRemoveForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name of the fleet"), max_length=100, required=False)

    def __init__(self, *args: Any, fleet: Fleet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fleet = fleet
        self.fields["name"].help_text = _("Type %(name)s to confirm.") % {"name": fleet.name}

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name.strip() != self.fleet.name:
            raise ValidationError(_("This is not the name of the fleet. Nothing was deleted."))
        return name


class NameForm(EditForm, forms.ModelForm[User]):
    version_fields = ("name",)

    class Meta:
        model = User
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edit(self.instance)

    def initial_of(self, row: User) -> dict[str, Any]:
        return model_to_dict(row, self._meta.fields)
