"""The forms of vehicles: what the telematics brand needs, and the master data. The verbs of Vehicle hold every rule."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from credentials.brands import Brand
from credentials.models import Credential
from fleetcontrol.pages.editing import EditForm
from fleetcontrol.pages.forms import Choice, Text, VerbForm
from fleetcontrol.pages.widgets import SecretInput
from fleetcontrol.people.models import Fleet
from vehicles.models import OperationStatus, Vehicle

MASTER_DATA = ("make", "model", "year", "fuel_type", "transmission", "vehicle_type", "vehicle_model_id", "custom_name")


class CredentialField(forms.ModelChoiceField[Credential]):
    """One of the credentials of a fleet and brand. The verb decides whether one is needed."""

    def __init__(self, fleet: Fleet, brand: str, **kwargs: Any) -> None:
        super().__init__(
            Credential.objects.filter(fleet=fleet, brand=brand).order_by("name"),
            label=_("Credential"),
            empty_label=_("Choose a credential"),
            error_messages={"invalid_choice": _("Choose one of this fleet’s credentials of the brand.")},
            **kwargs,
        )

    def to_python(self, value: Any) -> Any:
        """The credential. Refuse what is no ID before it reaches the database, which takes no NUL character."""
        if isinstance(value, str) and value and not value.isalnum():
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice")
        return super().to_python(value)

    def validate(self, value: Any) -> None:
        """Validate nothing: the verb holds the rule."""


class TagsField(Text):
    """Tags with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.clean(data))

    def clean(self, value: Any) -> Any:
        parts = (part.strip() for part in super().clean(value).split(","))
        return list(dict.fromkeys(part for part in parts if part))


def shown_custom_value(value: Any) -> str:
    """The value of a custom field as people see it: a text as it is, a number or truth value as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)


class CustomFieldsField(Text):
    """The fleet's own fields, one on each line as "name: value"."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return "\n".join(f"{name}: {shown_custom_value(one)}" for name, one in value.items())

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what the form shows, so that an untouched value that is no text, set through the API, stays."""
        shown = self.prepare_value(initial or {})
        return bool(shown.split() != (data or "").split())

    def clean(self, value: Any) -> Any:
        values = {}
        for line in super().clean(value).splitlines():
            name, colon, one = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                words = _("Write each field on its own line, such as “Cost centre: 4711”, and not “%(line)s”.")
                raise ValidationError(words, params={"line": line.strip()[:40]})
            if line.strip():
                values[name.strip()] = one.strip()
        return values


class VehicleForm(EditForm, VerbForm):
    """A vehicle's fields on a page, in the groups `of_brand`, `of_vehicle` and `of_model`.

    The Django admin has a form of its own, `vehicles.admin.VehicleForm`.
    """

    name = Text(label=_("Name"), required=False, help_text=_("Left empty, it becomes the licence plate, else the VIN."))
    license_plate = Text(label=_("Licence plate"), required=False)
    vin = Text(
        label=_("VIN"),
        required=False,
        widget=forms.TextInput({"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    make = Text(label=_("Make"), required=False)
    model = Text(label=_("Model"), required=False)
    year = forms.IntegerField(label=_("Year"), required=False, widget=forms.TextInput({"inputmode": "numeric"}))
    fuel_type = Text(label=_("Fuel type"), required=False)
    transmission = Text(label=_("Transmission"), required=False)
    vehicle_type = Text(label=_("Vehicle type"), required=False)
    vehicle_model_id = Text(
        label=_("Vehicle model ID"),
        required=False,
        widget=forms.TextInput({"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )
    custom_name = Text(label=_("Own name"), required=False)
    tags = TagsField(label=_("Tags"), required=False, help_text=_("With commas between them."))
    custom_fields = CustomFieldsField(
        label=_("Custom fields"), required=False, help_text=_("One a line, such as “Cost centre: 4711”.")
    )
    operation_status = Choice(label=_("Operation status"), choices=OperationStatus.choices)

    def __init__(self, fleet: Fleet, brand: Brand, *args: Any, vehicle: Vehicle | None = None, **kwargs: Any) -> None:
        kept = kwargs.pop("kept", None)
        super().__init__(*args, **kwargs)
        self.vehicle = vehicle
        if brand.kind == "shared":
            self.fields["credential"] = CredentialField(fleet, brand.id)
        unit = brand.unit_id
        if unit.from_vin:
            self.fields["vin"].required = True
        else:
            hint = _("For example %(example)s") % {"example": unit.example} if unit.example else ""
            self.fields["telematics_unit_id"] = Text(
                label=unit.label, help_text=hint, widget=forms.TextInput({"class": "mono", "autocomplete": "off"})
            )
        if brand.kind == "individual":
            field = brand.secret_fields[0]
            stays = _("Left empty, the password stays as it is.")
            self.fields["password"] = Text(
                label=field.label,
                help_text=stays if vehicle else field.help,
                required=vehicle is None,
                widget=SecretInput,
            )
        if vehicle is not None:
            self.edit(vehicle, kept)

    def initial_of(self, row: Vehicle) -> dict[str, Any]:
        return {
            **{name: getattr(row, name) for name in self.base_fields},
            "credential": row.credential_id,
            "telematics_unit_id": row.telematics_unit_id,
        }

    def clean_custom_fields(self) -> dict[str, Any]:
        """The typed fields. One that nobody touched stays the number or truth value that a program made it."""
        stored = self.vehicle.custom_fields if self.vehicle else {}
        typed: dict[str, Any] = self.cleaned_data["custom_fields"]
        untouched = {name: one for name, one in stored.items() if shown_custom_value(one) == typed.get(name)}
        return {name: untouched.get(name, one) for name, one in typed.items()}

    @property
    def values(self) -> dict[str, Any]:
        """The typed values, for Vehicle.add or Vehicle.change; of an existing vehicle only those that differ."""
        typed = dict(self.cleaned_data)
        if self.vehicle is None:
            return typed
        return {name: value for name, value in typed.items() if name in self.changed_data or name == "password"}

    def take(self, error: ValidationError) -> None:
        """Show errors of the unit ID at the VIN, if the brand names its units by VIN."""
        errors = error.error_dict
        if "telematics_unit_id" not in self.fields and "telematics_unit_id" in errors:
            missing = errors.pop("telematics_unit_id")
            errors.setdefault(
                "vin", missing if self.cleaned_data.get("vin") else [ValidationError(_("Enter the VIN."))]
            )
        super().take(error)

    @property
    def of_brand(self) -> list[forms.BoundField]:
        order = ("credential", "telematics_unit_id", "vin", "password")
        return [self[name] for name in order if name in self.fields]

    @property
    def of_vehicle(self) -> list[forms.BoundField]:
        return [self[name] for name in ("name", "license_plate", "operation_status", "tags", "custom_fields")]

    @property
    def of_model(self) -> list[forms.BoundField]:
        return [self[name] for name in MASTER_DATA]


class MoveForm(EditForm, VerbForm):
    """The credential to which one vehicle moves, or many of one brand."""

    def __init__(self, fleet: Fleet, brand: str, *args: Any, vehicle: Vehicle | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = CredentialField(fleet, brand)
        if vehicle is not None:
            self.edit(vehicle)

    def initial_of(self, row: Vehicle) -> dict[str, Any]:
        return {"credential": row.credential_id}

    def clean(self) -> dict[str, Any]:
        if self.is_bound and not self.errors and self.cleaned_data.get("credential") is None:
            self.add_error("credential", _("Choose a credential."))
        return self.cleaned_data
