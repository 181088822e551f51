"""Import the same vehicles with django-import-export and `use_bulk`, set up for speed as its documentation advises."""

from pathlib import Path
from typing import Any

import tablib
from import_export import fields, resources, widgets

from credentials.models import Credential
from fleetcontrol.people.models import Fleet
from vehicles.models import Vehicle


class VehicleResource(resources.ModelResource):  # type: ignore[misc]  # the library has no types
    """A resource that looks up credentials and existing vehicles, as a checked import needs."""

    credential = fields.Field("credential", "credential", widgets.ForeignKeyWidget(Credential, "name"))

    class Meta:
        model = Vehicle
        import_id_fields = ("vin",)
        fields = (
            "name", "telematics_brand", "credential", "vin", "license_plate", "make", "model", "fuel_type", "year",
            "vehicle_type",
        )  # fmt: skip
        use_bulk = True
        batch_size = 1000
        skip_diff = True
        report_skipped = False

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.fleet = fleet

    def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        """Set what the file does not say."""
        instance.fleet = self.fleet
        instance.telematics_kind = "shared"
        instance.telematics_unit_id = instance.vin


class CheckedResource(VehicleResource):
    """The resource with the model's own validation of every row, which FleetControl's import includes."""

    class Meta(VehicleResource.Meta):
        clean_model_instances = True

    def import_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
        """Set what the file does not say before validation, which follows."""
        super().import_instance(instance, row, **kwargs)
        self.before_save_instance(instance, row)


def run(path: Path, fleet: Fleet, *, checked: bool) -> None:
    """Import a file; raise on any error."""
    data = tablib.Dataset().load(path.read_text(), format="csv")
    resource = CheckedResource(fleet) if checked else VehicleResource(fleet)
    result = resource.import_data(data, raise_errors=True)
    assert result.totals["new"] == len(data), result.totals
