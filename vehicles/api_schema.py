"""Bodies and answers of the API of vehicles, and the examples that its description shows."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from ninja import Schema
from pydantic import Discriminator, Field, PlainValidator, RootModel, Tag, WithJsonSchema

from fleetcontrol.api.operations import MOST_ITEMS, JsonBody, PageQuery
from fleetcontrol.db.reading import Column, Reader, columns_of
from vehicles.models import LARGEST_NUMBER, OperationStatus, Vehicle

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
        "year_of_production": "2024",
        "transmission": "",
        "vehicle_type": "",
    },
    "vehicle_model_id": "01F4XW6QHWKT4HMSFDZ9CCQH1G",
    "custom_fields": {"seats": 4, "color": "blue"},
    "tags": ["pool"],
    "operation_status": "OPERATING",
    "created_at": "2026-10-17T14:30:00Z",
    "changed_at": "2026-10-17T14:30:00Z",
}

type Label = Annotated[str, Field(min_length=1, max_length=50)]
type Key = Annotated[str, Field(min_length=1, max_length=100)]


def _plain_value(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= 500:
        return value
    if isinstance(value, (bool, int, float)) and abs(value) <= LARGEST_NUMBER:
        return value
    raise ValueError(_("Write a text of at most 500 characters, a number up to 2^53, true or false."))


def _year(value: Any) -> Any:
    year = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{4}", value, re.ASCII) else value
    if year in (None, "") or (type(year) is int and 1900 <= year <= 2100):
        return year or None
    raise ValueError(_("Write a year from 1900 to 2100."))


type Value = Annotated[
    str | bool | int | float,
    PlainValidator(_plain_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": 500},
                {"type": "number", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
                {"type": "boolean"},
            ]
        }
    ),
]
type Year = Annotated[
    str | int | None,
    PlainValidator(_year),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^((19|20)[0-9]{2}|2100)?$"},
                {"type": "integer", "minimum": 1900, "maximum": 2100},
                {"type": "null"},
            ]
        }
    ),
]


class MasterDataIn(JsonBody):
    """Data of the vehicle itself. A VIN has 17 characters without I, O and Q, and is unique in the fleet."""

    vin: str = Field("", max_length=40, description="Lower case, spaces and hyphens are accepted and normalised.")
    license_plate: str = Field("", max_length=30)
    brand: str = Field("", max_length=50, description="The maker of the vehicle.")
    model: str = Field("", max_length=50)
    custom_name: str = Field("", max_length=100)
    fuel_type: str = Field("", max_length=30)
    year_of_production: Year = Field(None, description="A text, such as `2024`; a number is accepted too.")
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
    vehicle_model_id: str = Field(
        "",
        max_length=26,
        pattern="^([0-9A-HJKMNP-TV-Z]{26})?$",
        description="The ID of a model, which need not be in the fleet's own list.",
    )
    custom_fields: dict[Key, Value] = Field(default_factory=dict, max_length=100)
    tags: list[Label] = Field(default_factory=list, max_length=100)
    operation_status: Literal["OPERATING", "GARAGE"] = "OPERATING"


class VehicleIn(VehicleChange):
    """A new vehicle. It needs a credential or a password by the kind of its brand, see `GET /telematics-brands`."""

    telematics_brand: str = Field(max_length=60, description="The ID of the brand.", examples=["CLOUDBOXX"])


class VehiclesIn(JsonBody):
    """Many vehicles, of which all are added or none."""

    items: list[VehicleIn] = Field(min_length=1, max_length=MOST_ITEMS)


class BareVehicles(RootModel[list[VehicleIn]]):
    """Many vehicles without an envelope."""

    root: list[VehicleIn] = Field(min_length=1, max_length=MOST_ITEMS)


def _one_or_many(body: Any) -> str:
    if isinstance(body, list):
        return "bare"
    return "many" if isinstance(body, dict) and "items" in body else "one"


OneOrMany = Annotated[
    Annotated[VehicleIn, Tag("one")] | Annotated[VehiclesIn, Tag("many")] | Annotated[BareVehicles, Tag("bare")],
    Discriminator(_one_or_many),
]


def _as_text(year: int | None) -> str | None:
    return None if year is None else str(year)


class MasterDataOut(Schema):
    vin: str
    license_plate: str
    brand: Annotated[str, Column("make")]
    model: str
    custom_name: str
    fuel_type: str
    year_of_production: Annotated[str | None, Column("year", _as_text)]
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
    vehicle_model_id: str
    custom_fields: dict[str, str | bool | int | float]
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
