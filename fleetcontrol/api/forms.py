"""Forms of API clients."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fleetcontrol.api.models import OVERLAPS, PERMISSIONS, ApiClient
from fleetcontrol.pages.editing import EditForm
from fleetcontrol.pages.widgets import ChoiceCards

GROUPS = ("read", "write", "secret")


def permission_field(group: str, **options: Any) -> forms.MultipleChoiceField:
    """The permissions of one group of the catalogue."""
    return forms.MultipleChoiceField(
        choices=[
            (one.name, format_lazy("{words} ({name})", words=one.words, name=one.name))
            for one in PERMISSIONS.values()
            if one.group == group
        ],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        **options,
    )


class PermissionsForm(forms.Form):
    """The permissions of a client, in three groups. At least one is required."""

    read = permission_field("read", label=gettext_lazy("May read"))
    write = permission_field("write", label=gettext_lazy("May change"), help_text=gettext_lazy("Includes reading."))
    secret = permission_field(
        "secret",
        label=gettext_lazy("May use credentials"),
        help_text=gettext_lazy("For the software that talks to the vehicles. Each use stands in the audit history."),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["permissions"] = [name for group in GROUPS for name in cleaned.get(group, [])]
        if not cleaned["permissions"] and not self.errors:
            self.add_error("read", _("Choose at least one permission."))
        return cleaned


class AddForm(PermissionsForm):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("The program that will use it, such as ERP. It appears in the audit history."),
        max_length=100,
        error_messages={"required": gettext_lazy("Enter a name.")},
    )
    lasts = forms.TypedChoiceField(
        label=gettext_lazy("Works for"),
        help_text=gettext_lazy("A client without an end works until somebody remembers to revoke it."),
        coerce=int,
        choices=[
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
            (365, gettext_lazy("365 days")),
            (0, gettext_lazy("No end")),
        ],
        initial=365,
    )
    field_order = ("name", "read", "write", "secret", "lasts")

    @property
    def ends_on(self) -> date | None:
        """The last day on which the client works, or None. Only for a valid form."""
        days: int = self.cleaned_data["lasts"]
        return timezone.localdate() + timedelta(days=days) if days else None


class ChangeForm(EditForm, PermissionsForm):
    ends_on = forms.DateField(
        label=gettext_lazy("Last day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, client: ApiClient, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.edit(client, kept)

    def initial_of(self, row: ApiClient) -> dict[str, Any]:
        groups = {group: [n for n in row.permissions if PERMISSIONS[n].group == group] for group in GROUPS}
        return {**groups, "ends_on": row.ends_on}


class ReplaceForm(forms.Form):
    overlap = forms.ChoiceField(
        label=gettext_lazy("The old secret stops"),
        choices=[(key, words) for key, (_lasts, words) in OVERLAPS.items()],
        initial="24h",
        widget=ChoiceCards,
    )
