"""The API of vehicles."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Body, Query, Router, Schema
from pydantic import Discriminator, Field, Tag

from credentials.api import LENT, OEM_ACCESS, RELEASED, RELEASES, SECRETS, LoanOut, SecretOut, lend, release
from credentials.brands import UnknownBrand, find
from credentials.models import Credential
from fleetcontrol.contract import (
    BODY_PROBLEMS,
    MOST_ITEMS,
    ApiRequest,
    JsonBody,
    PageQuery,
    answer,
    etag_of,
    idempotently,
    moment,
    must_match,
    no_content,
    not_found,
    operation,
    page,
)
from fleetcontrol.problems import (
    CONFLICTING_RESOURCE,
    INTERNAL_SERVER_ERROR,
    OEM_SIGN_IN_FAILED,
    REFERENCED_RESOURCE_NOT_FOUND,
    RESOURCE_MODIFIED,
    RESOURCE_NOT_FOUND,
    UNIQUE_IDENTIFIER_ALREADY_EXISTS,
    VALIDATION_ERROR,
    ProblemError,
)
from fleetcontrol.seal import SealError
from vehicles import vin as vins
from vehicles.models import OperationStatus, Vehicle

router = Router(tags=["Vehicles"])
READ, WRITE, LIFECYCLE = "vehicles.ro", "vehicles", "vehicle-lifecycle"
# The model's names of what OneAPI keeps under master_data.
MASTER = {
    "vin": "vin",
    "license_plate": "license_plate",
    "brand": "make",
    "model": "model",
    "custom_name": "custom_name",
    "fuel_type": "fuel_type",
    "year_of_production": "year",
    "transmission": "transmission",
    "vehicle_type": "vehicle_type",
}
NAMES = {ours: f"master_data.{theirs}" for theirs, ours in MASTER.items()} | {"credential": "credentials_id"}

EXAMPLE_SENT: dict[str, Any] = {
    "telematics_brand": "MERCEDES_BENZ",
    "credentials_id": "01F62857KMPG2NE2GK1W2N3QYS",
    "master_data": {"vin": "W1K2060421F123456", "license_plate": "B-MB 1234", "brand": "Mercedes-Benz"},
    "tags": ["pool"],
}
EXAMPLE_SHOWN: dict[str, Any] = {
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
    """Data of the vehicle itself. A VIN has 17 characters without I, O and Q and is unique in the fleet."""

    vin: str = Field("", max_length=40, description="Small letters, spaces and hyphens are tidied away.")
    license_plate: str = Field("", max_length=30)
    brand: str = Field("", max_length=50, description="The maker of the vehicle.")
    model: str = Field("", max_length=50)
    custom_name: str = Field("", max_length=100)
    fuel_type: str = Field("", max_length=30)
    year_of_production: int | None = Field(None, ge=1900, le=2100)
    transmission: str = Field("", max_length=30)
    vehicle_type: str = Field("", max_length=30)


class VehicleChange(JsonBody):
    """What is to be other than it is; what is left out stays. `credentials_id` moves the vehicle."""

    name: str = Field("", max_length=100, description="Unique in the fleet. Empty: plate, else VIN, else unit ID.")
    telematics_unit_id: str = Field("", max_length=64, description="The maker’s ID of the unit.")
    credentials_id: str | None = Field(None, max_length=26, description="Only for brands of shared credentials.")
    password: str = Field(
        "",
        max_length=200,
        description="Only for brands of individual credentials; kept sealed, never returned.",
        json_schema_extra={"writeOnly": True},
    )
    master_data: MasterDataIn = Field(default_factory=lambda: MasterDataIn.model_validate({}))
    custom_fields: dict[Key, Value] = Field(default_factory=dict, max_length=100)
    tags: list[Label] = Field(default_factory=list, max_length=100)
    operation_status: Literal["OPERATING", "GARAGE"] = "OPERATING"


class VehicleIn(VehicleChange):
    """A new vehicle. What its brand needs to be reached is the brand’s kind, see `GET /telematics-brands`."""

    telematics_brand: str = Field(max_length=60, description="ID of the brand.")


class VehiclesIn(JsonBody):
    """Many vehicles: all are added or none."""

    items: list[VehicleIn] = Field(min_length=1, max_length=MOST_ITEMS)


def _one_or_many(body: Any) -> str:
    return "many" if isinstance(body, dict) and "items" in body else "one"


OneOrMany = Annotated[
    Annotated[VehicleIn, Tag("one")] | Annotated[VehiclesIn, Tag("many")], Discriminator(_one_or_many)
]


class MasterDataOut(Schema):
    vin: str
    license_plate: str
    brand: str
    model: str
    custom_name: str
    fuel_type: str
    year_of_production: int | None
    transmission: str
    vehicle_type: str


class VehicleOut(Schema):
    """A vehicle. A unit’s password is never shown."""

    id: str
    name: str
    telematics_brand: str
    telematics_unit_id: str
    credentials_id: str | None
    master_data: MasterDataOut
    custom_fields: dict[str, str]
    tags: list[str]
    operation_status: OperationStatus
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    changed_at: str = Field(json_schema_extra={"format": "date-time"})


class WrittenVehicleOut(VehicleOut):
    """A vehicle that was added or changed. `notes` tell what is odd about it, such as a VIN’s check digit."""

    notes: list[str]


class WrittenVehiclesOut(Schema):
    items: list[WrittenVehicleOut]


class VehiclePage(Schema):
    items: list[VehicleOut]
    next_page_token: str | None


class VehicleQuery(PageQuery):
    q: str = Field("", max_length=100, description="Text in name, plate, VIN or unit ID, without regard to spaces.")
    telematics_brand: str = Field("", max_length=60, description="ID of a brand.")
    credentials_id: str = Field("", max_length=26, description="Vehicles that use this credential.")
    operation_status: Literal["", "OPERATING", "GARAGE"] = ""


class MoveIn(JsonBody):
    """All vehicles of one credential are to use another of the same brand."""

    from_credentials_id: str = Field(max_length=26)
    to_credentials_id: str = Field(max_length=26)


class MoveOut(Schema):
    moved: int


@router.get(
    "/vehicles",
    operation_id="list_vehicles",
    **operation(READ, "List vehicles", {200: VehiclePage}, problems=[VALIDATION_ERROR]),
)
def list_vehicles(request: ApiRequest, query: Query[VehicleQuery]) -> HttpResponse:
    rows = request.fleet.vehicles.search(query.q)
    if query.telematics_brand:
        try:
            rows = rows.filter(telematics_brand=find(query.telematics_brand).id)
        except UnknownBrand as error:
            raise ProblemError(VALIDATION_ERROR, errors=[("telematics_brand", str(error))]) from None
    if query.credentials_id:
        rows = rows.filter(credential=query.credentials_id)
    if query.operation_status:
        rows = rows.filter(operation_status=query.operation_status)
    return page(request, query, rows, shown)


@router.post(
    "/vehicles",
    operation_id="add_vehicle",
    **operation(
        LIFECYCLE,
        "Add a vehicle, or many",
        {201: WrittenVehicleOut | WrittenVehiclesOut},
        problems=[
            *BODY_PROBLEMS, REFERENCED_RESOURCE_NOT_FOUND, UNIQUE_IDENTIFIER_ALREADY_EXISTS, CONFLICTING_RESOURCE,
        ],
        sends=EXAMPLE_SENT,
        returns={**EXAMPLE_SHOWN, "notes": []},
        idempotent=True,
    ),
)  # fmt: skip
def add_vehicle(request: ApiRequest, body: Body[OneOrMany]) -> HttpResponse:
    def work() -> HttpResponse:
        if isinstance(body, VehiclesIn):
            return answer({"items": [noted(one) for one in add_many(request, body.items)]}, status=201)
        vehicle = add_one(request, body)
        return answer(noted(vehicle), status=201, etag=etag_of(vehicle.changed_at))

    return idempotently(request, work)


@router.post(
    "/vehicles/move",
    operation_id="move_vehicles",
    **operation(
        LIFECYCLE,
        "Move all vehicles of a credential to another",
        {200: MoveOut},
        problems=[*BODY_PROBLEMS, REFERENCED_RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE],
        sends={"from_credentials_id": "01F62857KMPG2NE2GK1W2N3QYS", "to_credentials_id": "01JAE4S8W5X3RZ6VQF0N6B7C8D"},
        returns={"moved": 184},
        idempotent=True,
    ),
)
def move_vehicles(request: ApiRequest, body: MoveIn) -> HttpResponse:
    def work() -> HttpResponse:
        former = referenced(request, body.from_credentials_id, "from_credentials_id")
        credential = referenced(request, body.to_credentials_id, "to_credentials_id")
        try:
            moved = former.vehicles.all().move(credential, actor=request.actor)
        except ValidationError as error:
            raise ProblemError.of(error, {"credential": "to_credentials_id"}) from None
        return answer({"moved": moved})

    return idempotently(request, work)


@router.get(
    "/vehicles/{id}",
    operation_id="read_vehicle",
    **operation(READ, "Read a vehicle", {200: VehicleOut}, problems=[RESOURCE_NOT_FOUND], returns=EXAMPLE_SHOWN),
)
def read_vehicle(request: ApiRequest, id: str) -> HttpResponse:
    vehicle = vehicle_at(request, id)
    return answer(shown(vehicle), etag=etag_of(vehicle.changed_at))


@router.patch(
    "/vehicles/{id}",
    operation_id="change_vehicle",
    **operation(
        WRITE,
        "Change a vehicle",
        {200: WrittenVehicleOut},
        problems=[
            *BODY_PROBLEMS, REFERENCED_RESOURCE_NOT_FOUND, RESOURCE_NOT_FOUND, UNIQUE_IDENTIFIER_ALREADY_EXISTS,
            RESOURCE_MODIFIED,
        ],
        sends={"operation_status": "GARAGE"},
        returns={**EXAMPLE_SHOWN, "operation_status": "GARAGE", "notes": []},
        if_match=True,
    ),
)  # fmt: skip
def change_vehicle(request: ApiRequest, id: str, body: VehicleChange) -> HttpResponse:
    """Moving it to another credential, with `credentials_id`, needs the permission `vehicle-lifecycle` as well."""
    values, password, credentials_id = model_values(body)
    with transaction.atomic():
        vehicle = vehicle_at(request, id, lock=True)
        must_match(request, vehicle.changed_at)
        try:
            if credentials_id is not None:
                request.caller.must_have(LIFECYCLE)
                vehicle.move(referenced(request, credentials_id, brand=vehicle.telematics_brand), actor=request.actor)
            if values or password:
                vehicle.change(actor=request.actor, password=password, **values)
        except ValidationError as error:
            raise ProblemError.of(error, NAMES) from None
    return answer(noted(vehicle), etag=etag_of(vehicle.changed_at))


@router.delete(
    "/vehicles/{id}",
    operation_id="remove_vehicle",
    **operation(
        LIFECYCLE,
        "Remove a vehicle",
        {204: None},
        problems=[RESOURCE_NOT_FOUND, RESOURCE_MODIFIED],
        if_match=True,
    ),
)
def remove_vehicle(request: ApiRequest, id: str) -> HttpResponse:
    with transaction.atomic():
        vehicle = vehicle_at(request, id, lock=True)
        must_match(request, vehicle.changed_at)
        vehicle.remove(actor=request.actor)
    return no_content()


@router.post(
    "/vehicles/{id}/access-token",
    tags=["Using credentials"],
    operation_id="lend_vehicle_token",
    **operation(
        OEM_ACCESS,
        "Get the manufacturer’s access token for a vehicle",
        {200: LoanOut},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, OEM_SIGN_IN_FAILED],
        returns=LENT,
    ),
)
def lend_vehicle_token(request: ApiRequest, id: str) -> HttpResponse:
    """The token of the credential that the vehicle uses."""
    vehicle = vehicle_at(request, id)
    if vehicle.credential is None:
        words = _("%(vehicle)s is not reached through a credential, so there is nothing to sign in with.")
        raise ProblemError(CONFLICTING_RESOURCE, words % {"vehicle": vehicle.name})
    return lend(request, vehicle.credential, {"vehicle": [None, vehicle.name]})


@router.get(
    "/vehicles/{id}/secret",
    tags=["Using credentials"],
    operation_id="release_vehicle_secret",
    **operation(
        SECRETS,
        "Release the secret that a vehicle is reached with",
        {200: SecretOut},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE],
        returns=RELEASED,
    ),
)
def release_vehicle_secret(request: ApiRequest, id: str) -> HttpResponse:
    """The password of the vehicle’s unit, or the secret of its credential. Each release stands in the audit history."""
    vehicle = vehicle_at(request, id)
    if vehicle.credential is not None:
        return release(request, vehicle.credential, {"vehicle": [None, vehicle.name]})
    request.caller.use_up("secret", RELEASES)
    try:
        password = vehicle.release(actor=request.actor)
    except SealError as error:
        raise ProblemError(INTERNAL_SERVER_ERROR, str(error)) from None
    if not password:
        words = _("%(vehicle)s needs no secret to be reached.")
        raise ProblemError(CONFLICTING_RESOURCE, words % {"vehicle": vehicle.name})
    body = {"id": vehicle.pk, "client_id": vehicle.telematics_unit_id, "settings": {}, "secret": {"password": password}}
    return answer(body, private=True)


def vehicle_at(request: ApiRequest, id: str, *, lock: bool = False) -> Vehicle:
    """The fleet's vehicle of this address. Raises ProblemError resource-not-found."""
    rows = request.fleet.vehicles.filter(pk=id)
    vehicle = (rows.select_for_update() if lock else rows).first()
    if vehicle is None:
        raise not_found(_("vehicle"), id)
    return vehicle


def referenced(request: ApiRequest, id: str, field: str = "credentials_id", *, brand: str = "") -> Credential:
    """The fleet's credential that a body names. Raises ProblemError referenced-resource-not-found when there is none,
    or when it is not of the brand.
    """
    credential = request.fleet.credentials.filter(pk=id).first()
    if credential is None:
        words = _("This fleet has no credential “%(id)s”.") % {"id": id}
    elif brand and credential.brand != brand:
        words = _("The credential “%(name)s” is of the brand %(brand)s.") % {
            "name": credential.name,
            "brand": credential.brand,
        }
    else:
        return credential
    raise ProblemError(REFERENCED_RESOURCE_NOT_FOUND, words, errors=[(field, words)])


def add_one(request: ApiRequest, body: VehicleIn, prefix: str = "") -> Vehicle:
    values, password, credentials_id = model_values(body)
    brand = values.pop("telematics_brand")
    credential = None
    if credentials_id is not None:
        credential = referenced(request, credentials_id, f"{prefix}credentials_id", brand=shared_brand(brand))
    try:
        return Vehicle.add(
            fleet=request.fleet,
            actor=request.actor,
            telematics_brand=brand,
            credential=credential,
            password=password,
            **values,
        )
    except ValidationError as error:
        raise ProblemError.of(error, NAMES, prefix) from None


def add_many(request: ApiRequest, bodies: list[VehicleIn]) -> list[Vehicle]:
    """All or none."""
    with transaction.atomic():
        return [add_one(request, body, f"items.{number}.") for number, body in enumerate(bodies)]


def shared_brand(text: str) -> str:
    """The id of a brand of shared credentials; "" for others, of which the vehicle's own rules speak."""
    try:
        brand = find(text)
    except UnknownBrand:
        return ""
    return brand.id if brand.kind == "shared" else ""


def model_values(body: VehicleChange) -> tuple[dict[str, Any], str, str | None]:
    """What was sent, by the model's names; the unit's password; the credential's id."""
    values = body.model_dump(exclude_unset=True)
    master = values.pop("master_data", {})
    password, credentials_id = values.pop("password", ""), values.pop("credentials_id", None)
    return values | {MASTER[name]: value for name, value in master.items()}, password, credentials_id


def shown(vehicle: Vehicle) -> dict[str, Any]:
    """A vehicle as VehicleOut has it."""
    return {
        "id": vehicle.pk,
        "name": vehicle.name,
        "telematics_brand": vehicle.telematics_brand,
        "telematics_unit_id": vehicle.telematics_unit_id,
        "credentials_id": vehicle.credential_id,
        "master_data": {theirs: getattr(vehicle, ours) for theirs, ours in MASTER.items()},
        "custom_fields": vehicle.custom_fields,
        "tags": vehicle.tags,
        "operation_status": vehicle.operation_status,
        "created_at": moment(vehicle.created_at),
        "changed_at": moment(vehicle.changed_at),
    }


def noted(vehicle: Vehicle) -> dict[str, Any]:
    """A vehicle as WrittenVehicleOut has it."""
    odd = vins.check_digit_is_wrong(vehicle.vin) if vehicle.vin else False
    notes = [_("The check digit of the VIN is not right. European VINs need none.")] if odd else []
    return {**shown(vehicle), "notes": notes}
