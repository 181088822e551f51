"""Export vehicles: stream what search and filters show as CSV, with the columns that an import takes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.conf import settings
from django.http import StreamingHttpResponse

from fleetcontrol.pages.download import download
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role
from vehicles.listing import filtered
from vehicles.models import Vehicle, VehicleQuerySet

HEADER = (
    *("name", "telematics_brand", "telematics_unit_id", "credential", "vin", "license_plate", "make", "model"),
    *("custom_name", "fuel_type", "year", "transmission", "vehicle_type", "operation_status", "tags"),
    *("custom_fields", "id"),
)
_PLAIN = [name for name in HEADER if name not in ("credential", "tags", "custom_fields", "year")]


@fleet_view(Role.VIEWER)
def export(request: FleetRequest) -> StreamingHttpResponse:
    return download(request, f"vehicles-{request.fleet.slug}", HEADER, rows(filtered(request.fleet, request.GET)))


def rows(vehicles: VehicleQuerySet) -> Iterator[list[str]]:
    """One row for each vehicle, in the order of HEADER. Importing it again changes nothing."""
    for vehicle in (
        vehicles.using(settings.EXPORT_DATABASE)
        .order_by("name")
        .defer("unit_password", "search")
        .iterator(chunk_size=2000)
    ):
        yield _row(vehicle)


def _row(vehicle: Vehicle) -> list[str]:
    cells = {name: str(getattr(vehicle, name)) for name in _PLAIN}
    cells["credential"] = vehicle.credential.name if vehicle.credential else ""
    fits_between_commas = not any("," in tag or tag.startswith("[") for tag in vehicle.tags)
    cells["tags"] = ", ".join(vehicle.tags) if fits_between_commas else json.dumps(vehicle.tags, ensure_ascii=False)
    cells["custom_fields"] = json.dumps(vehicle.custom_fields, ensure_ascii=False) if vehicle.custom_fields else ""
    cells["year"] = str(vehicle.year or "")
    return [cells[name] for name in HEADER]
