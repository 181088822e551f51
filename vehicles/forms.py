"""The forms of vehicles: what the telematics brand needs, and the master data. Every rule is the verb's."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from credentials.brands import Brand
from credentials.models import Credential
from fleetcontrol.pages.forms import Choice, Text, VerbForm
from fleetcontrol.pages.widgets import SecretInput
from fleetcontrol.people.models import Fleet
from vehicles.models import OperationStatus, Vehicle

MASTER_DATA = ("make", "model", "year", "fuel_type", "transmission", "vehicle_type", "custom_name")


class CredentialField(forms.ModelChoiceField[Credential]):
    """One of the credentials of a fleet and brand. Whether one is needed, the verb says."""

    def __init__(self, fleet: Fleet, brand: str, **kwargs: Any) -> None:
        kept = Credential.objects.filter(fleet=fleet, brand=brand).order_by("name")
        super().__init__(
            kept,
            label=_("Credential"),
            empty_label=_("Choose a credential"),
            error_messages={"invalid_choice": _("Choose one of this fleet’s credentials of the brand.")},
            **kwargs,
        )

    def to_python(self, value: Any) -> Any:
        """The credential. What is no id never reaches the database, which takes no NUL character."""
        if isinstance(value, str) and value and not value.isalnum():
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice")
        return super().to_python(value)

    def validate(self, value: Any) -> None:
        """Nothing: one rule has one place."""


class TagsField(Text):
    """Tags with commas between them."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.clean(data))

    def clean(self, value: Any) -> Any:
        parts = (part.strip() for part in super().clean(value).split(","))
        return list(dict.fromkeys(part for part in parts if part))


class CustomFieldsField(Text):
    """The fleet's own fields, one a line as "name: value"."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {one}" for name, one in value.items()) if isinstance(value, dict) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compared as shown, so that a value that is no text, set through the API, stays when nobody touched it."""
        shown = self.prepare_value(initial or {})
        return bool(shown.split() != (data or "").split())

    def clean(self, value: Any) -> Any:
        found = {}
        for line in super().clean(value).splitlines():
            name, colon, one = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                words = _("Write each field on its own line, such as “Cost centre: 4711”, and not “%(line)s”.")
                raise ValidationError(words, params={"line": line.strip()[:40]})
            if line.strip():
                found[name.strip()] = one.strip()
        return found


class VehicleForm(VerbForm):
    """A vehicle's fields: those of its brand first. `of_brand` and `of_vehicle` are the two groups on the page."""

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
    custom_name = Text(label=_("Own name"), required=False)
    tags = TagsField(label=_("Tags"), required=False, help_text=_("With commas between them."))
    custom_fields = CustomFieldsField(
        label=_("Custom fields"), required=False, help_text=_("One a line, such as “Cost centre: 4711”.")
    )
    operation_status = Choice(label=_("Operation status"), choices=OperationStatus.choices)

    def __init__(self, fleet: Fleet, brand: Brand, *args: Any, vehicle: Vehicle | None = None, **kwargs: Any) -> None:
        if vehicle is not None:
            kept = {name: getattr(vehicle, name) for name in self.base_fields}
            reached = {"credential": vehicle.credential_id, "telematics_unit_id": vehicle.telematics_unit_id}
            kwargs["initial"] = kept | reached
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

    @property
    def values(self) -> dict[str, Any]:
        """What was typed, for Vehicle.add or Vehicle.change; of a vehicle that exists only what is different."""
        typed = dict(self.cleaned_data)
        if self.vehicle is None:
            return typed
        return {name: value for name, value in typed.items() if name in self.changed_data or name == "password"}

    def take(self, error: ValidationError) -> None:
        """A unit that is named by the vehicle's VIN has its errors there."""
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


class MoveForm(VerbForm):
    """Another credential for one vehicle or for many of one brand."""

    def __init__(self, fleet: Fleet, brand: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["credential"] = CredentialField(fleet, brand)

    def clean(self) -> dict[str, Any]:
        if self.is_bound and not self.errors and self.cleaned_data.get("credential") is None:
            self.add_error("credential", _("Choose a credential."))
        return self.cleaned_data
