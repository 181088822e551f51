"""Bodies and answers of the API of vehicles, and the examples that its description shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Discriminator, Field, Tag

from fleetcontrol.api.operations import MOST_ITEMS, JsonBody, PageQuery
from fleetcontrol.db.reading import Column, Reader, columns_of
from vehicles.models import OperationStatus, Vehicle

NEW_VEHICLE_EXAMPLE: dict[str, Any] = {
    "telematics_brand": "MERCEDES_BENZ",
    "credentials_id": "01F62857KMPG2NE2GK1W2N3QYS",
    "master_data": {"vin": "W1K2060421F123456", "license_plate": "B-MB 1234", "brand": "Mercedes-Benz"},
    "tags": ["pool"],
}
VEHICLE_EXAMPLE: dict[str, Any] = {
    "id": "01JAE4S8W5X3RZ6VQF0N6B7C8D",
    "name": "B-MB 1234",
    "telematics_brand": "MERCEDES_BENZ",
    "telematics_unit_id": "W1K2060421F123456",
    "credentials_id": "01F62857KMPG2NE2GK1W2N3QYS",
    "master_data": {
        "vin": "W1K2060421F123456",
        "license_plate": "B-MB 1234",
        "brand": "Mercedes-Benz",
        "model": "",
        "custom_name": "",
        "fuel_type": "",
        "year_of_production": None,
        "transmission": "",
        "vehicle_type": "",
    },
    "custom_fields": {},
    "tags": ["pool"],
    "operation_status": "OPERATING",
    "created_at": "2026-10-17T14:30:00Z",
    "changed_at": "2026-10-17T14:30:00Z",
}

type Label = Annotated[str, Field(min_length=1, max_length=50)]
type Key = Annotated[str, Field(min_length=1, max_length=100)]
type Value = Annotated[str, Field(max_length=500)]


class MasterDataIn(JsonBody):
    """Data of the vehicle itself. A VIN has 17 characters without I, O and Q, and is unique in the fleet."""

    vin: str = Field("", max_length=40, description="Lower case, spaces and hyphens are accepted and normalised.")
    license_plate: str = Field("", max_length=30)
    brand: str = Field("", max_length=50, description="The maker of the vehicle.")
    model: str = Field("", max_length=50)
    custom_name: str = Field("", max_length=100)
    fuel_type: str = Field("", max_length=30)
    year_of_production: int | None = Field(None, ge=1900, le=2100)
    transmission: str = Field("", max_length=30)
    vehicle_type: str = Field("", max_length=30)


class VehicleChange(JsonBody):
    """The fields to change; the others stay as they are. `credentials_id` moves the vehicle to another credential."""

    name: str = Field(
        "",
        max_length=100,
        description="Unique in the fleet. If it is empty, the plate is taken, else the VIN, else the unit ID.",
    )
    telematics_unit_id: str = Field("", max_length=64, description="The ID that the maker gave the unit.")
    credentials_id: str | None = Field(None, max_length=26, description="Only for brands with shared credentials.")
    password: str = Field(
        "",
        max_length=200,
        description="Only for brands with individual credentials. It is kept sealed and never returned.",
        json_schema_extra={"writeOnly": True},
    )
    master_data: MasterDataIn = Field(default_factory=lambda: MasterDataIn.model_validate({}))
    custom_fields: dict[Key, Value] = Field(default_factory=dict, max_length=100)
    tags: list[Label] = Field(default_factory=list, max_length=100)
    operation_status: Literal["OPERATING", "GARAGE"] = "OPERATING"


class VehicleIn(VehicleChange):
    """A new vehicle. It needs a credential or a password by the kind of its brand, see `GET /telematics-brands`."""

    telematics_brand: str = Field(max_length=60, description="The ID of the brand.", examples=["CLOUDBOXX"])


class VehiclesIn(JsonBody):
    """Many vehicles, of which all are added or none."""

    items: list[VehicleIn] = Field(min_length=1, max_length=MOST_ITEMS)


def _one_or_many(body: Any) -> str:
    return "many" if isinstance(body, dict) and "items" in body else "one"


OneOrMany = Annotated[
    Annotated[VehicleIn, Tag("one")] | Annotated[VehiclesIn, Tag("many")], Discriminator(_one_or_many)
]


class MasterDataOut(Schema):
    vin: str
    license_plate: str
    brand: Annotated[str, Column("make")]
    model: str
    custom_name: str
    fuel_type: str
    year_of_production: Annotated[int | None, Column("year")]
    transmission: str
    vehicle_type: str


class VehicleOut(Schema):
    """A vehicle, without the password of its unit."""

    id: str
    name: str
    telematics_brand: str
    telematics_unit_id: str
    credentials_id: Annotated[str | None, Column("credential_id")]
    master_data: MasterDataOut
    custom_fields: dict[str, str]
    tags: list[str]
    operation_status: OperationStatus
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    changed_at: str = Field(json_schema_extra={"format": "date-time"})


class WrittenVehicleOut(VehicleOut):
    """A vehicle that was added or changed. `notes` name what may be wrong, such as the check digit of the VIN."""

    notes: list[str]


class WrittenVehiclesOut(Schema):
    items: list[WrittenVehicleOut]


class VehiclePage(Schema):
    items: list[VehicleOut]
    next_page_token: str | None


class VehicleQuery(PageQuery):
    q: str = Field(
        "", max_length=100, description="Text that the name, plate, VIN or unit ID contains; spaces are ignored."
    )
    telematics_brand: str = Field("", max_length=60, description="The ID of a brand.")
    credentials_id: str = Field("", max_length=26, description="Only vehicles that use this credential.")
    operation_status: Literal["", "OPERATING", "GARAGE"] = ""


class MoveIn(JsonBody):
    """Move all vehicles of one credential to another of the same brand."""

    from_credentials_id: str = Field(max_length=26)
    to_credentials_id: str = Field(max_length=26)


class MoveOut(Schema):
    moved: int


class Reference(Schema):
    """The fields of a credential that a vehicle needs when a body refers to it."""

    id: str
    name: str
    brand: str
    fleet_id: int


# The model's field behind each property of master_data, and the API's name of each field whose own is another.
MASTER_FIELDS = columns_of(MasterDataOut)
API_NAMES = {
    **{field: f"master_data.{name}" for name, field in MASTER_FIELDS.items()},
    "credential": "credentials_id",
}


def model_values(body: VehicleChange) -> tuple[dict[str, Any], str, str | None]:
    """What was sent, by the names of the model's fields; the unit's password; the credential's id."""
    values = body.model_dump(exclude_unset=True)
    master = values.pop("master_data", {})
    password, credentials_id = values.pop("password", ""), values.pop("credentials_id", None)
    return values | {MASTER_FIELDS[name]: value for name, value in master.items()}, password, credentials_id


VEHICLES = Reader(Vehicle, VehicleOut, filters=("id", "telematics_brand", "credential_id", "operation_status"))


def written_vehicle(vehicle: Vehicle) -> dict[str, Any]:
    """A vehicle as WrittenVehicleOut describes it."""
    return {**VEHICLES.of(vehicle), "notes": [str(note) for note in vehicle.notes]}
