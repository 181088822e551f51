"""Vehicles in the Django admin. Their credential is chosen by search among those of the fleet and brand."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from credentials import brands
from fleetcontrol.pages.admin_site import VerbAdmin, VerbModelForm
from fleetcontrol.pages.forms import Text
from fleetcontrol.pages.widgets import SecretInput
from fleetcontrol.people.admin import FleetFilter, first_step
from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular import is_deeper
from vehicles.forms import CredentialField
from vehicles.models import Vehicle

FIELDS_OF_EVERY_BRAND = (
    "name", "license_plate", "operation_status", "make", "model", "year", "fuel_type", "transmission", "vehicle_type",
    "vehicle_model_id", "custom_name", "tags", "custom_fields",
)  # fmt: skip
FACTS = ("fleet", "brand_name", "created_at", "created_by", "changed_at", "changed_by")


class CustomFields(forms.JSONField):
    """JSON in a text area. What Python cannot read, or write again, is an error of the field like other mistakes."""

    def to_python(self, value: Any) -> Any:
        try:
            found = super().to_python(value)
        except RecursionError:
            raise forms.ValidationError(_("This is nested too deeply.")) from None
        except ValueError:
            raise forms.ValidationError(_("A number has thousands of digits.")) from None
        if is_deeper(found):
            raise forms.ValidationError(_("This is nested too deeply."))
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        try:
            self.to_python(data)
        except forms.ValidationError:
            return InvalidJSONInput(data or "")
        return super().bound_data(data, initial)


class VehicleForm(VerbModelForm):
    """The admin's form of a vehicle; that of the pages is `vehicles.forms.VehicleForm`."""

    fleet: ClassVar[Fleet]
    brand: ClassVar[brands.Brand]
    name = Text(
        label=gettext_lazy("Name"),
        required=False,
        help_text=gettext_lazy("Left empty, it becomes the licence plate, else the VIN."),
    )

    class Meta:
        model = Vehicle
        fields = ("telematics_unit_id", "vin", *FIELDS_OF_EVERY_BRAND)
        field_classes: ClassVar = {"custom_fields": CustomFields}

    def clean_custom_fields(self) -> Any:
        return self.cleaned_data["custom_fields"] or {}

    def perform(self) -> Vehicle:
        typed = dict(self.cleaned_data)
        if self.instance._state.adding:
            return Vehicle.add(fleet=self.fleet, actor=self.actor, telematics_brand=self.brand.id, **typed)
        vehicle = Vehicle.objects.select_related("credential", "fleet").get(pk=self.instance.pk)
        changed = {name: value for name, value in typed.items() if name in self.changed_data}
        vehicle.change(actor=self.actor, expected_version=self.expected_version, **changed)
        return vehicle


class CredentialPicker(AutocompleteSelect):
    """Offers the credentials of one fleet and brand. CredentialAdmin.get_search_results reads the added parameters."""

    def __init__(self, fleet: Fleet, brand: str, site: admin.AdminSite) -> None:
        super().__init__(Vehicle._meta.get_field("credential"), site)
        self.only = {"fleet": fleet.pk, "brand": brand}

    def get_url(self) -> str:
        return f"{super().get_url()}?{urlencode(self.only)}"


class BrandFilter(admin.SimpleListFilter):
    """Filters vehicles by their telematics brand; credentials have a filter of their own."""

    title = gettext_lazy("brand")
    parameter_name = "brand"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(brand.id, brand.name) for brand in brands.catalogue().values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(telematics_brand=self.value()) if self.value() in brands.catalogue() else queryset


@admin.register(Vehicle)
class VehicleAdmin(VerbAdmin):
    list_display = ("name", "fleet", "brand_name", "vin", "license_plate", "credential")
    list_select_related = ("fleet", "credential")
    list_filter = (FleetFilter, BrandFilter)
    search_fields = ("search",)
    search_help_text = gettext_lazy("Any part of VIN, licence plate, name or unit ID.")
    ordering = ("fleet_id", "name")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return queryset.search(search_term), False  # type: ignore[attr-defined]  # a VehicleQuerySet

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("unit_password", "search")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        chosen = first_step(self, request, [(brand.id, brand.name) for brand in brands.catalogue().values()])
        if isinstance(chosen, HttpResponse):
            return chosen
        fleet, brand = chosen
        words = _("Add a %(brand)s vehicle to %(fleet)s")
        title = words % {"brand": brands.find(brand).name, "fleet": fleet}
        return super().add_view(request, form_url, {"title": title})

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        brand = obj.oem if obj else brands.find(request.GET["brand"])
        fleet = obj.fleet if obj else Fleet.objects.get(pk=request.GET["fleet"])
        fields: dict[str, Any] = {}
        if brand.kind == "shared":
            picker = CredentialPicker(fleet, brand.id, self.admin_site)
            fields["credential"] = CredentialField(fleet, brand.id, widget=picker)
        if brand.kind == "individual":
            hint = _("To replace the password. Left empty, it stays.") if obj else ""
            fields["password"] = Text(
                label=brand.secret_fields[0].label, required=not obj, help_text=hint, widget=SecretInput
            )
        if brand.unit_id.from_vin:
            hint = _("Left empty, it is the VIN.")
            fields["telematics_unit_id"] = forms.CharField(
                label=_("Telematics unit ID"), required=False, help_text=hint
            )
        form = type("BrandForm", (VehicleForm,), fields | {"fleet": fleet, "brand": brand})
        return super().get_form(request, obj, change, **({"form": form} | kwargs))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        brand = obj.oem if obj else brands.find(request.GET["brand"])
        reach = {"shared": ("credential",), "individual": ("password",)}.get(brand.kind, ())
        parts = [
            (brand.name, {"fields": ("telematics_unit_id", "vin", *reach)}),
            (None, {"fields": FIELDS_OF_EVERY_BRAND}),
        ]
        return [*parts, (_("Facts"), {"fields": FACTS})] if obj else parts

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FACTS if obj else ()

    @admin.display(description=gettext_lazy("telematics brand"))
    def brand_name(self, vehicle: Vehicle) -> str:
        return vehicle.oem.name
