"""The API of vehicles."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Body, Query, Router

from credentials.brands import UnknownBrand, find
from credentials.models import Credential
from fleetcontrol.api.idempotency import idempotently
from fleetcontrol.api.operations import (
    BODY_PROBLEMS,
    ApiRequest,
    Id,
    answer,
    etag_of,
    example_page,
    must_match,
    no_content,
    not_found,
    operation,
    page,
)
from fleetcontrol.api.problems import (
    CONFLICTING_RESOURCE,
    REFERENCED_RESOURCE_NOT_FOUND,
    RESOURCE_MODIFIED,
    RESOURCE_NOT_FOUND,
    UNIQUE_IDENTIFIER_ALREADY_EXISTS,
    VALIDATION_ERROR,
    ProblemError,
)
from fleetcontrol.db.reading import Reader, loaded
from fleetcontrol.imports.api import router as import_router
from vehicles.api_schema import (
    API_NAMES,
    NEW_VEHICLE_EXAMPLE,
    VEHICLE_EXAMPLE,
    VEHICLES,
    MoveIn,
    MoveOut,
    OneOrMany,
    Reference,
    VehicleChange,
    VehicleIn,
    VehicleOut,
    VehiclePage,
    VehicleQuery,
    VehiclesIn,
    WrittenVehicleOut,
    WrittenVehiclesOut,
    model_values,
    written_vehicle,
)
from vehicles.models import Rejected, Vehicle

router = Router(tags=["Vehicles"])
REFERENCED = Reader(Credential, Reference, filters=["id"])
READ, WRITE, LIFECYCLE = "vehicles.ro", "vehicles", "vehicle-lifecycle"
imports = import_router(
    "vehicle",
    read=READ,
    write=LIFECYCLE,
    change=WRITE,
    example="name,telematics_brand,telematics_unit_id,license_plate\nVan 14,CLOUDBOXX,0123456789ABCDEF,HH-NL 14\n",
)


@router.get(
    "/vehicles",
    operation_id="list_vehicles",
    **operation(READ, "List vehicles", {200: VehiclePage}, query=VehicleQuery, returns=example_page(VEHICLE_EXAMPLE)),
)
def list_vehicles(request: ApiRequest, query: Query[VehicleQuery]) -> HttpResponse:
    try:
        brand = find(query.telematics_brand).id if query.telematics_brand else ""
    except UnknownBrand as error:
        raise ProblemError(VALIDATION_ERROR, errors=[("telematics_brand", str(error))]) from None
    filters: dict[str, Any] = {
        "telematics_brand": brand,
        "credential_id": query.credentials_id,
        "operation_status": query.operation_status,
    }
    if query.q:
        given = {name: value for name, value in filters.items() if value}
        return page(request, query, VEHICLES, rows=request.fleet.vehicles.search(query.q).filter(**given))
    return page(request, query, VEHICLES, **filters)


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
        sends=NEW_VEHICLE_EXAMPLE,
        returns={**VEHICLE_EXAMPLE, "notes": []},
        etag=True,
        idempotent=True,
        links=["read_vehicle", "change_vehicle", "lend_vehicle_token", "release_vehicle_secret", "remove_vehicle"],
    ),
)  # fmt: skip
def add_vehicle(request: ApiRequest, body: Body[OneOrMany]) -> HttpResponse:
    def work() -> HttpResponse:
        if not isinstance(body, VehicleIn):
            many, place = (body.items, "items.") if isinstance(body, VehiclesIn) else (body.root, "")
            return answer({"items": [written_vehicle(one) for one in add_many(request, many, place)]}, status=201)
        vehicle = add_one(request, body)
        response = answer(written_vehicle(vehicle), status=201, etag=etag_of(vehicle.changed_at))
        response.headers["Location"] = f"/vehicles/{vehicle.pk}"
        return response

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
    **operation(
        READ, "Read a vehicle", {200: VehicleOut}, problems=[RESOURCE_NOT_FOUND], returns=VEHICLE_EXAMPLE, etag=True
    ),
)
def read_vehicle(request: ApiRequest, id: Id) -> HttpResponse:
    vehicle = VEHICLES.one(request.fleet.pk, id=id)
    if vehicle is None:
        raise not_found(_("vehicle"), id)
    return answer(vehicle, etag=etag_of(vehicle["changed_at"]))


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
        returns={**VEHICLE_EXAMPLE, "operation_status": "GARAGE", "notes": []},
        etag=True,
        if_match=True,
    ),
)  # fmt: skip
def change_vehicle(request: ApiRequest, id: Id, body: VehicleChange) -> HttpResponse:
    """Moving it to another credential with `credentials_id` needs the permission `vehicle-lifecycle` as well."""
    values, password, credentials_id = model_values(body)
    with transaction.atomic():
        vehicle = vehicle_at(request, id, lock=True)
        must_match(request, vehicle.changed_at)
        try:
            if vehicle.credential_id and "credentials_id" in body.model_fields_set and credentials_id is None:
                words = _("A vehicle’s credential cannot be taken away. Name another one.")
                raise ValidationError({"credential": words})
            if credentials_id is not None:
                request.caller.must_have(LIFECYCLE)
                vehicle.move(referenced(request, credentials_id, brand=vehicle.telematics_brand), actor=request.actor)
            if values or password:
                vehicle.change(actor=request.actor, password=password, **values)
        except ValidationError as error:
            raise ProblemError.of(error, API_NAMES) from None
    return answer(written_vehicle(vehicle), etag=etag_of(vehicle.changed_at))


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
def remove_vehicle(request: ApiRequest, id: Id) -> HttpResponse:
    with transaction.atomic():
        vehicle = vehicle_at(request, id, lock=True)
        must_match(request, vehicle.changed_at)
        vehicle.remove(actor=request.actor)
    return no_content()


def vehicle_at(request: ApiRequest, id: str, *, lock: bool = False) -> Vehicle:
    """The fleet's vehicle of this path. Raises ProblemError resource-not-found."""
    rows = request.fleet.vehicles.filter(pk=id)
    vehicle = (rows.select_for_update() if lock else rows).first()
    if vehicle is None:
        raise not_found(_("vehicle"), id)
    return vehicle


def referenced(request: ApiRequest, id: str, field: str = "credentials_id", *, brand: str = "") -> Credential:
    """The fleet's credential that a body names, with what `Reference` has. Raises ProblemError
    referenced-resource-not-found when there is none, or when it is of another brand than `brand`.
    """
    found = REFERENCED.one(request.fleet.pk, id=id)
    if found is None:
        words = _("This fleet has no credential “%(id)s”.") % {"id": id}
    elif brand and found["brand"] != brand:
        words = _("The credential “%(name)s” is of the brand %(brand)s.") % found
    else:
        credential = loaded(Credential, found)
        credential.fleet = request.fleet
        return credential
    raise ProblemError(REFERENCED_RESOURCE_NOT_FOUND, words, errors=[(field, words)])


def add_one(request: ApiRequest, body: VehicleIn) -> Vehicle:
    try:
        return Vehicle.add(fleet=request.fleet, actor=request.actor, **new_values(request, body, {}))
    except ValidationError as error:
        raise ProblemError.of(error, API_NAMES) from None


def add_many(request: ApiRequest, bodies: list[VehicleIn], place: str) -> list[Vehicle]:
    """Add all vehicles or none. The problem names the errors of all of them; `place` is where the body has them."""
    known: dict[tuple[str, str], Credential] = {}
    many, missing = [], []
    for number, body in enumerate(bodies):
        try:
            many.append(new_values(request, body, known, f"{place}{number}."))
        except ProblemError as problem:
            missing.append(problem)
    if missing:
        errors = [error for problem in missing for error in problem.errors]
        raise ProblemError(missing[0].problem, missing[0].detail, errors=errors)
    try:
        return Vehicle.objects.add_many(fleet=request.fleet, actor=request.actor, many=many)
    except Rejected as rejected:
        problems = [ProblemError.of(error, API_NAMES, f"{place}{number}.") for number, error in rejected.errors.items()]
        worst = next((one for one in problems if one.problem is VALIDATION_ERROR), problems[0])
        errors = [error for one in problems for error in one.errors]
        raise ProblemError(worst.problem, worst.detail, errors=errors) from None


def new_values(
    request: ApiRequest, body: VehicleIn, known: dict[tuple[str, str], Credential], prefix: str = ""
) -> dict[str, Any]:
    """The arguments of `Vehicle.draft`. `known` caches credentials that were looked up. Raises ProblemError."""
    values, password, credentials_id = model_values(body)
    key = (credentials_id or "", shared_brand_id(values["telematics_brand"]))
    if credentials_id is not None and key not in known:
        known[key] = referenced(request, credentials_id, f"{prefix}credentials_id", brand=key[1])
    return {**values, "credential": known.get(key), "password": password}


def shared_brand_id(text: str) -> str:
    """The id of a brand with shared credentials, else "": the rules of `Vehicle` report the others."""
    try:
        brand = find(text)
    except UnknownBrand:
        return ""
    return brand.id if brand.kind == "shared" else ""
