"""Export vehicles: what search and filters show as CSV, with the columns that an import takes."""

from __future__ import annotations

import json

from django.db.models import Case, F, Func, TextField, Value, When
from django.db.models.functions import Cast, Coalesce, Concat
from django.db.models.lookups import Regex
from django.http import FileResponse

from fleetcontrol.pages.download import download
from fleetcontrol.pages.export import CopiedExport
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role
from vehicles.listing import filtered
from vehicles.models import VehicleQuerySet

HEADER = (
    *("name", "telematics_brand", "telematics_unit_id", "credential", "vin", "license_plate", "make", "model"),
    *(
        "custom_name",
        "fuel_type",
        "year",
        "transmission",
        "vehicle_type",
        "vehicle_model_id",
        "operation_status",
        "tags",
    ),
    *("custom_fields", "id"),
)
_CUSTOM_FIELDS = HEADER.index("custom_fields")
_TO_MEND = "\x01"


@fleet_view(Role.VIEWER)
def export(request: FleetRequest) -> FileResponse:
    return download(request, f"vehicles-{request.fleet.slug}", export_of(filtered(request.fleet, request.GET)))


def export_of(vehicles: VehicleQuerySet) -> CopiedExport:
    """One row for each vehicle, under HEADER. Importing it again changes nothing."""
    special = {
        "credential": Coalesce("credential__name", Value(""), output_field=TextField()),
        "year": Coalesce(Cast("year", TextField()), Value(""), output_field=TextField()),
        "tags": _TagsCell("tags"),
        "custom_fields": _CUSTOM_FIELDS_CELL,
    }
    cells = vehicles.order_by("name").values_list(*(special.get(name, F(name)) for name in HEADER))
    return CopiedExport(HEADER, cells, _mend, may_lag=True)


class _TagsCell(Func):
    """Tags with commas between them; if one would not come back from that, a list in JSON."""

    template = (
        "CASE WHEN cardinality(%(expressions)s) = 0 THEN '' "
        "WHEN EXISTS (SELECT FROM unnest(%(expressions)s) AS tag WHERE strpos(tag, ',') > 0 OR left(tag, 1) = '[') "
        "THEN to_jsonb(%(expressions)s)::text ELSE array_to_string(%(expressions)s, ', ') END"
    )
    output_field = TextField()


# PostgreSQL writes JSON as Python does, but keeps the zeros of 1.50. Fields with a fraction are left to Python.
_CUSTOM_FIELDS_TEXT = Cast("custom_fields", TextField())
_CUSTOM_FIELDS_CELL = Case(
    When(custom_fields={}, then=Value("")),
    When(
        Regex(_CUSTOM_FIELDS_TEXT, r"[0-9]\.[0-9]"),
        then=Concat(Value(_TO_MEND), _CUSTOM_FIELDS_TEXT, output_field=TextField()),
    ),
    default=_CUSTOM_FIELDS_TEXT,
    output_field=TextField(),
)


def _mend(cells: list[str]) -> None:
    text = cells[_CUSTOM_FIELDS]
    if text.startswith(_TO_MEND):
        cells[_CUSTOM_FIELDS] = json.dumps(json.loads(text.removeprefix(_TO_MEND)), ensure_ascii=False)
