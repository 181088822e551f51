"""The API of OEM credentials and of the catalogue of brands."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from ninja import Query, Router

from credentials.api_schema import (
    BRAND_EXAMPLE,
    CREDENTIAL_EXAMPLE,
    CREDENTIALS,
    NEW_CREDENTIAL_EXAMPLE,
    AllCredentialsQuery,
    BrandId,
    BrandPage,
    CredentialChange,
    CredentialIn,
    CredentialOut,
    CredentialPage,
    CredentialQuery,
    VerdictOut,
    brand_answer,
)
from credentials.brands import Brand, UnknownBrand, catalogue, find
from credentials.models import Credential, CredentialInUse
from fleetcontrol.api.idempotency import idempotently
from fleetcontrol.api.operations import (
    BODY_PROBLEMS,
    ApiRequest,
    Id,
    PageQuery,
    answer,
    etag_of,
    example_page,
    must_match,
    no_content,
    not_found,
    operation,
    page,
    page_of_few,
)
from fleetcontrol.api.problems import (
    CONFLICTING_RESOURCE,
    RESOURCE_MODIFIED,
    RESOURCE_NOT_FOUND,
    UNIQUE_IDENTIFIER_ALREADY_EXISTS,
    VALIDATION_ERROR,
    ProblemError,
    by_field,
)
from fleetcontrol.imports.api import router as import_router

router = Router(tags=["OEM credentials"])
READ, WRITE = "telematics-credentials.ro", "telematics-credentials"
imports = import_router(
    "credential",
    read=READ,
    write=WRITE,
    example="name,brand,client_id,client_secret\nNIU Hamburg,NIU,client1,supersecret\n",
)
CHECKS = 60  # that one client may ask for in a minute


@router.get(
    "/telematics-brands",
    tags=["Brands"],
    operation_id="list_brands",
    **operation(
        READ, "List the catalogue of brands", {200: BrandPage}, query=PageQuery, returns=example_page(BRAND_EXAMPLE)
    ),
)
def list_brands(request: ApiRequest, query: Query[PageQuery]) -> HttpResponse:
    return page_of_few(request, [brand_answer(brand) for brand in catalogue().values()], query)


@router.get(
    "/credentials",
    operation_id="list_all_credentials",
    **operation(
        READ,
        "List credentials of all brands",
        {200: CredentialPage},
        query=AllCredentialsQuery,
        returns=example_page(CREDENTIAL_EXAMPLE),
    ),
)
def list_all_credentials(request: ApiRequest, query: Query[AllCredentialsQuery]) -> HttpResponse:
    try:
        brand = find(query.brand).id if query.brand else ""
    except UnknownBrand as error:
        raise ProblemError(VALIDATION_ERROR, errors=[("brand", str(error))]) from None
    return credentials_page(request, query, brand)


@router.get(
    "/telematics-brands/{brand}/credentials",
    operation_id="list_credentials",
    **operation(
        READ,
        "List credentials of a brand",
        {200: CredentialPage},
        query=CredentialQuery,
        problems=[RESOURCE_NOT_FOUND],
        returns=example_page(CREDENTIAL_EXAMPLE),
    ),
)
def list_credentials(request: ApiRequest, brand: BrandId, query: Query[CredentialQuery]) -> HttpResponse:
    return credentials_page(request, query, brand_at(brand).id)


@router.post(
    "/telematics-brands/{brand}/credentials",
    operation_id="add_credential",
    **operation(
        WRITE,
        "Add a credential",
        {201: CredentialOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, UNIQUE_IDENTIFIER_ALREADY_EXISTS, CONFLICTING_RESOURCE],
        sends=NEW_CREDENTIAL_EXAMPLE,
        returns=CREDENTIAL_EXAMPLE,
        etag=True,
        idempotent=True,
        links=[
            "read_credential",
            "change_credential",
            "check_credential",
            "lend_credential_token",
            "release_credential_secret",
            "remove_credential",
        ],
    ),
)
def add_credential(request: ApiRequest, brand: BrandId, body: CredentialIn) -> HttpResponse:
    oem = brand_at(brand)

    def work() -> HttpResponse:
        try:
            credential = Credential.add(
                fleet=request.fleet,
                actor=request.actor,
                brand=oem.id,
                name=body.name,
                values=texts(body.model_extra),
                note=body.note,
                ends_on=body.ends_on,
            )
        except ValidationError as error:
            raise ProblemError.of(error) from None
        response = answer(CREDENTIALS.of(credential), status=201, etag=etag_of(credential.changed_at))
        response.headers["Location"] = f"/telematics-brands/{credential.brand}/credentials/{credential.pk}"
        return response

    return idempotently(request, work)


@router.get(
    "/telematics-brands/{brand}/credentials/{id}",
    operation_id="read_credential",
    **operation(
        READ,
        "Read a credential",
        {200: CredentialOut},
        problems=[RESOURCE_NOT_FOUND],
        returns=CREDENTIAL_EXAMPLE,
        etag=True,
    ),
)
def read_credential(request: ApiRequest, brand: BrandId, id: Id) -> HttpResponse:
    credential = CREDENTIALS.one(request.fleet.pk, id=id, brand=brand_at(brand).id)
    if credential is None:
        raise not_found(_("credential"), id)
    return answer(credential, etag=etag_of(credential["changed_at"]))


@router.patch(
    "/telematics-brands/{brand}/credentials/{id}",
    operation_id="change_credential",
    **operation(
        WRITE,
        "Replace the secret, note or end date",
        {200: CredentialOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, RESOURCE_MODIFIED],
        sends={"client_secret": "evenmoresecret"},
        returns=CREDENTIAL_EXAMPLE,
        etag=True,
        if_match=True,
    ),
)
def change_credential(request: ApiRequest, brand: BrandId, id: Id, body: CredentialChange) -> HttpResponse:
    """The same secret again is neither an error nor a change, so a request whose answer was lost can be repeated."""
    changes = body.model_dump(exclude_unset=True, include={"note", "ends_on"})
    if fixed := {"id", "name", "telematics_brand", "settings"} & (body.model_extra or {}).keys():
        words = _("This cannot be changed. A different client ID, name or brand is a new credential.")
        raise ProblemError(VALIDATION_ERROR, errors=[(field, words) for field in sorted(fixed)])
    values = texts(body.model_extra)
    with transaction.atomic():
        credential = credential_at(request, brand, id, lock=True)
        must_match(request, credential.changed_at)
        try:
            if values:
                rotate(request, credential, values)
            if changes:
                credential.change(actor=request.actor, **changes)
        except ValidationError as error:
            raise ProblemError.of(error) from None
    return answer(CREDENTIALS.of(credential), etag=etag_of(credential.changed_at))


@router.delete(
    "/telematics-brands/{brand}/credentials/{id}",
    operation_id="remove_credential",
    **operation(
        WRITE,
        "Delete a credential that no vehicle uses",
        {204: None},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, RESOURCE_MODIFIED],
        if_match=True,
    ),
)
def remove_credential(request: ApiRequest, brand: BrandId, id: Id) -> HttpResponse:
    with transaction.atomic():
        credential = credential_at(request, brand, id, lock=True)
        must_match(request, credential.changed_at)
        try:
            credential.remove(actor=request.actor)
        except CredentialInUse as error:
            words = ngettext(
                "%(count)s vehicle uses “%(name)s”. Move it to another credential first.",
                "%(count)s vehicles use “%(name)s”. Move them to another credential first.",
                error.count,
            )
            raise ProblemError(CONFLICTING_RESOURCE, words % {"count": error.count, "name": credential.name}) from None
    return no_content()


@router.post(
    "/telematics-brands/{brand}/credentials/{id}/check",
    operation_id="check_credential",
    **operation(
        WRITE,
        "Sign in with the stored secret",
        {200: VerdictOut},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE],
        returns={
            "outcome": "works", "reason": "The connection works.", "status": "WORKING",
            "checked_at": "2026-10-17T14:30:00Z",
        },
        idempotent=True,
    ),
)  # fmt: skip
def check_credential(request: ApiRequest, brand: BrandId, id: Id) -> HttpResponse:
    """The answer is the outcome; a refusal by the manufacturer is an outcome too. It takes up to 10 seconds."""
    credential = credential_at(request, brand, id)
    request.caller.use_up("check", CHECKS)

    def work() -> HttpResponse:
        try:
            verdict = credential.verify(actor=request.actor)
        except ObjectDoesNotExist:  # deleted while FleetControl signed in
            raise not_found(_("credential"), id) from None
        return answer(
            {
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "status": credential.status,
                "checked_at": credential.checked_at,
            }
        )

    return idempotently(request, work)


def credentials_page(request: ApiRequest, query: CredentialQuery, brand: str) -> HttpResponse:
    """A page of the credentials of a brand, or of all brands if `brand` is empty."""
    if query.q:
        rows = request.fleet.credentials.filter(Q(name__icontains=query.q) | Q(identifier__icontains=query.q))
        return page(request, query, CREDENTIALS, rows=rows.filter(brand=brand) if brand else rows)
    return page(request, query, CREDENTIALS, brand=brand)


def brand_at(text: str) -> Brand:
    """The brand in the path. Raises ProblemError resource-not-found."""
    try:
        return find(text)
    except UnknownBrand as error:
        raise ProblemError(RESOURCE_NOT_FOUND, str(error)) from None


def credential_at(request: ApiRequest, brand: str, id: str, *, lock: bool = False) -> Credential:
    """The fleet's credential of this path. Raises ProblemError resource-not-found."""
    rows = request.fleet.credentials.filter(pk=id, brand=brand_at(brand).id)
    credential = (rows.select_for_update() if lock else rows).first()
    if credential is None:
        raise not_found(_("credential"), id)
    return credential


def rotate(request: ApiRequest, credential: Credential, values: dict[str, str]) -> None:
    """Replace the secret; do nothing when it is the same secret."""
    try:
        credential.rotate(actor=request.actor, values=values)
    except ValidationError as error:
        if [one.code for errors in by_field(error).values() for one in errors] != ["same_secret"]:
            raise


def texts(values: dict[str, Any] | None) -> dict[str, str]:
    """The fields of the brand in a body. Raises ProblemError for a value that is not a text."""
    values = values or {}
    if wrong := [key for key, value in values.items() if not isinstance(value, str)]:
        raise ProblemError(VALIDATION_ERROR, errors=[(key[:60], _("Write a text in quotes.")) for key in wrong])
    return values
