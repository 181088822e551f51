"""The API of OEM credentials and of the catalogue of brands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import ConfigDict, Field

from credentials.brands import Brand, Role, UnknownBrand, catalogue, find
from credentials.models import Credential, CredentialInUse, SignInFailed, Status
from credentials.sign_in import Outcome
from fleetcontrol.contract import (
    BODY_PROBLEMS,
    ApiRequest,
    Day,
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
    RESOURCE_MODIFIED,
    RESOURCE_NOT_FOUND,
    UNIQUE_IDENTIFIER_ALREADY_EXISTS,
    VALIDATION_ERROR,
    ProblemError,
)
from fleetcontrol.seal import SealError

router = Router(tags=["OEM credentials"])
READ, WRITE = "telematics-credentials.ro", "telematics-credentials"
OEM_ACCESS, SECRETS = "oem-access", "credential-secrets"
CHECKS, LOANS, RELEASES = 60, 600, 60  # of one client in a minute
SENT = {"name": "Mercedes-Benz fleet Berlin", "client_id": "client1", "client_secret": "supersecret"}
SHOWN: dict[str, Any] = {
    "id": "01F62857KMPG2NE2GK1W2N3QYS",
    "name": "Mercedes-Benz fleet Berlin",
    "telematics_brand": "MERCEDES_BENZ",
    "client_id": "client1",
    "settings": {},
    "note": "",
    "ends_on": None,
    "status": "UNCHECKED",
    "checked_at": None,
    "last_worked_at": None,
    "last_used_at": None,
    "created_at": "2026-10-17T14:30:00Z",
    "changed_at": "2026-10-17T14:30:00Z",
}
LENT = {
    "access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 287, "expires_at": "2026-10-17T14:35:00Z",
}  # fmt: skip
RELEASED = {
    "id": "01F62857KMPG2NE2GK1W2N3QYS", "client_id": "client1", "settings": {},
    "secret": {"client_secret": "supersecret"},
}  # fmt: skip


def _brand_fields(schema: dict[str, Any], *, secret_only: bool) -> None:
    """Put the catalogue's fields into a schema, so that each is a property that a client's author finds."""
    for brand in catalogue().values():
        for field in brand.secret_fields if secret_only else brand.fields:
            known = schema["properties"].setdefault(
                field.key,
                {"type": "string", "maxLength": 0, "writeOnly": field.role is Role.SECRET, "description": ""},
            )
            known["maxLength"] = max(known["maxLength"], field.max_length)
            known["description"] = f"{known['description']} {brand.id}".strip()
    for field in schema["properties"].values():
        if isinstance(field.get("description"), str) and field["description"].isupper():
            field["description"] = f"Of the brands {field['description'].replace(' ', ', ')}."
    schema["additionalProperties"] = False


class CredentialIn(JsonBody):
    """A new credential: its name, and the fields that its brand has (see `GET /telematics-brands`)."""

    model_config = ConfigDict(extra="allow", json_schema_extra=lambda schema: _brand_fields(schema, secret_only=False))
    name: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=500)
    ends_on: Day | None = Field(None, description="When the OEM ends it, if that is known.")


class CredentialChange(JsonBody):
    """A new secret, note or end date. A different client ID is a new credential."""

    model_config = ConfigDict(extra="allow", json_schema_extra=lambda schema: _brand_fields(schema, secret_only=True))
    note: str = Field("", max_length=500)
    ends_on: Day | None = None


class CredentialOut(Schema):
    """A credential. Its secret is never shown."""

    id: str
    name: str
    telematics_brand: str
    client_id: str = Field(description="What the OEM calls the account by: the client ID, or the user name.")
    settings: dict[str, str] = Field(description="The brand’s readable fields, such as its region.")
    note: str
    ends_on: str | None = Field(json_schema_extra={"format": "date"})
    status: Status
    checked_at: str | None = Field(json_schema_extra={"format": "date-time"})
    last_worked_at: str | None = Field(json_schema_extra={"format": "date-time"})
    last_used_at: str | None = Field(json_schema_extra={"format": "date-time"})
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    changed_at: str = Field(json_schema_extra={"format": "date-time"})


class CredentialPage(Schema):
    items: list[CredentialOut]
    next_page_token: str | None


class CredentialQuery(PageQuery):
    q: str = Field("", max_length=100, description="Text in the name or the client ID.")


class AllCredentialsQuery(CredentialQuery):
    brand: str = Field("", max_length=60, description="ID of a brand.")


class VerdictOut(Schema):
    """What came of a sign-in: works, refused, scopes_missing, no_answer, or cannot_check."""

    outcome: Outcome
    reason: str = Field(description="One or two sentences for people.")
    status: Status
    checked_at: str | None = Field(json_schema_extra={"format": "date-time"})


class LoanOut(Schema):
    """An access token of the manufacturer."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="How many seconds it still works.")
    expires_at: str = Field(json_schema_extra={"format": "date-time"})


class SecretOut(Schema):
    """A stored secret in plain text, with what is needed to use it."""

    id: str
    client_id: str
    settings: dict[str, str]
    secret: dict[str, str] = Field(description="The brand’s secret fields.")


class BrandField(Schema):
    key: str = Field(description="The property’s name in a credential.")
    role: str = Field(description="identifier, secret or setting.")
    required: bool
    max_length: int
    choices: list[str] = Field(description="The values it may have; empty when any.")


class BrandOut(Schema):
    """A telematics brand. `kind` shared: needs a credential; individual: a password of each unit; none: neither."""

    id: str
    name: str
    kind: str
    fields: list[BrandField]
    unit_id_from_vin: bool = Field(description="Whether the unit is built in and named by the vehicle’s VIN.")
    signs_in: bool = Field(description="Whether FleetControl can sign in, to check a credential or get a token.")


class BrandList(Schema):
    items: list[BrandOut]
    next_page_token: None


@router.get(
    "/telematics-brands",
    tags=["Brands"],
    operation_id="list_brands",
    **operation(READ, "List the catalogue of brands", {200: BrandList}),
)
def list_brands(request: ApiRequest) -> HttpResponse:
    return answer({"items": [shown_brand(brand) for brand in catalogue().values()], "next_page_token": None})


@router.get(
    "/credentials",
    operation_id="list_all_credentials",
    **operation(READ, "List credentials of all brands", {200: CredentialPage}, problems=[VALIDATION_ERROR]),
)
def list_all_credentials(request: ApiRequest, query: Query[AllCredentialsQuery]) -> HttpResponse:
    rows = request.fleet.credentials.all()
    if query.brand:
        try:
            rows = rows.filter(brand=find(query.brand).id)
        except UnknownBrand as error:
            raise ProblemError(VALIDATION_ERROR, errors=[("brand", str(error))]) from None
    return page(request, query, searched(rows, query.q), shown)


@router.get(
    "/telematics-brands/{brand}/credentials",
    operation_id="list_credentials",
    **operation(
        READ, "List credentials of a brand", {200: CredentialPage}, problems=[VALIDATION_ERROR, RESOURCE_NOT_FOUND]
    ),
)
def list_credentials(request: ApiRequest, brand: str, query: Query[CredentialQuery]) -> HttpResponse:
    rows = request.fleet.credentials.filter(brand=brand_at(brand).id)
    return page(request, query, searched(rows, query.q), shown)


@router.post(
    "/telematics-brands/{brand}/credentials",
    operation_id="add_credential",
    **operation(
        WRITE,
        "Add a credential",
        {201: CredentialOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, UNIQUE_IDENTIFIER_ALREADY_EXISTS, CONFLICTING_RESOURCE],
        sends=SENT,
        returns=SHOWN,
        idempotent=True,
    ),
)
def add_credential(request: ApiRequest, brand: str, body: CredentialIn) -> HttpResponse:
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
        return answer(shown(credential), status=201, etag=etag_of(credential.changed_at))

    return idempotently(request, work)


@router.get(
    "/telematics-brands/{brand}/credentials/{id}",
    operation_id="read_credential",
    **operation(READ, "Read a credential", {200: CredentialOut}, problems=[RESOURCE_NOT_FOUND], returns=SHOWN),
)
def read_credential(request: ApiRequest, brand: str, id: str) -> HttpResponse:
    credential = credential_at(request, brand, id)
    return answer(shown(credential), etag=etag_of(credential.changed_at))


@router.patch(
    "/telematics-brands/{brand}/credentials/{id}",
    operation_id="change_credential",
    **operation(
        WRITE,
        "Replace the secret, note or end date",
        {200: CredentialOut},
        problems=[*BODY_PROBLEMS, RESOURCE_NOT_FOUND, RESOURCE_MODIFIED],
        sends={"client_secret": "evenmoresecret"},
        returns=SHOWN,
        if_match=True,
    ),
)
def change_credential(request: ApiRequest, brand: str, id: str, body: CredentialChange) -> HttpResponse:
    changes = body.model_dump(exclude_unset=True, include={"note", "ends_on"})
    values = texts(body.model_extra)
    with transaction.atomic():
        credential = credential_at(request, brand, id, lock=True)
        must_match(request, credential.changed_at)
        fixed = {"id", "name", "telematics_brand", "settings"} & values.keys()
        if fixed:
            words = _("This cannot be changed. A different client ID, name or brand is a new credential.")
            raise ProblemError(VALIDATION_ERROR, errors=[(field, words) for field in sorted(fixed)])
        try:
            if values:
                credential.rotate(actor=request.actor, values=values)
            if changes:
                credential.change(actor=request.actor, **changes)
        except ValidationError as error:
            raise ProblemError.of(error) from None
    return answer(shown(credential), etag=etag_of(credential.changed_at))


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
def remove_credential(request: ApiRequest, brand: str, id: str) -> HttpResponse:
    with transaction.atomic():
        credential = credential_at(request, brand, id, lock=True)
        must_match(request, credential.changed_at)
        try:
            credential.remove(actor=request.actor)
        except CredentialInUse as error:
            words = _("%(count)s vehicles use “%(name)s”. Move them to another credential first.")
            raise ProblemError(CONFLICTING_RESOURCE, words % {"count": error.count, "name": credential.name}) from None
    return no_content()


@router.post(
    "/telematics-brands/{brand}/credentials/{id}/check",
    operation_id="check_credential",
    **operation(
        WRITE,
        "Sign in with the stored secret",
        {200: VerdictOut},
        problems=[RESOURCE_NOT_FOUND, VALIDATION_ERROR, CONFLICTING_RESOURCE],
        returns={
            "outcome": "works", "reason": "The connection works.", "status": "WORKING",
            "checked_at": "2026-10-17T14:30:00Z",
        },
        idempotent=True,
    ),
)  # fmt: skip
def check_credential(request: ApiRequest, brand: str, id: str) -> HttpResponse:
    """Answers what came of it: a refusal by the manufacturer is an answer too. Takes up to 10 seconds."""
    credential = credential_at(request, brand, id)
    request.caller.use_up("check", CHECKS)

    def work() -> HttpResponse:
        try:
            verdict = credential.check(actor=request.actor)
        except ObjectDoesNotExist:  # deleted while FleetControl signed in
            raise not_found(_("credential"), id) from None
        return answer(
            {
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "status": credential.status,
                "checked_at": moment(credential.checked_at),
            }
        )

    return idempotently(request, work)


@router.post(
    "/telematics-brands/{brand}/credentials/{id}/access-token",
    tags=["Using credentials"],
    operation_id="lend_credential_token",
    **operation(
        OEM_ACCESS,
        "Get the manufacturer’s access token",
        {200: LoanOut},
        problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE, OEM_SIGN_IN_FAILED],
        returns=LENT,
    ),
)
def lend_credential_token(request: ApiRequest, brand: str, id: str) -> HttpResponse:
    """FleetControl signs in with the stored secret, which stays where it is, and hands on the token. Many may ask at
    once: there is one sign-in for all of them, and its token is handed out until shortly before it ends.
    """
    return lend(request, credential_at(request, brand, id))


@router.get(
    "/telematics-brands/{brand}/credentials/{id}/secret",
    tags=["Using credentials"],
    operation_id="release_credential_secret",
    **operation(
        SECRETS, "Release the stored secret", {200: SecretOut}, problems=[RESOURCE_NOT_FOUND], returns=RELEASED
    ),
)
def release_credential_secret(request: ApiRequest, brand: str, id: str) -> HttpResponse:
    """For brands without a token to hand on. Each release stands in the audit history."""
    return release(request, credential_at(request, brand, id))


def lend(request: ApiRequest, credential: Credential, for_whom: Mapping[str, Any] | None = None) -> HttpResponse:
    """The answer with the OEM's token. Raises ProblemError."""
    request.caller.use_up("token", LOANS)
    try:
        loan = credential.lend_token(actor=request.actor, for_whom=for_whom)
    except SignInFailed as error:
        raise ProblemError(OEM_SIGN_IN_FAILED if error.possible else CONFLICTING_RESOURCE, error.reason) from None
    except ObjectDoesNotExist:  # deleted while FleetControl signed in
        raise not_found(_("credential"), credential.pk) from None
    left = int((loan.ends_at - timezone.now()).total_seconds())
    body = {"access_token": loan.token.reveal(), "token_type": "bearer", "expires_in": max(0, left)}
    return answer(body | {"expires_at": moment(loan.ends_at)}, private=True)


def release(request: ApiRequest, credential: Credential, for_whom: Mapping[str, Any] | None = None) -> HttpResponse:
    """The answer with the stored secret. Raises ProblemError."""
    request.caller.use_up("secret", RELEASES)
    try:
        secret = credential.release(actor=request.actor, for_whom=for_whom)
    except ObjectDoesNotExist:  # deleted a moment ago
        raise not_found(_("credential"), credential.pk) from None
    except SealError as error:
        raise ProblemError(INTERNAL_SERVER_ERROR, str(error)) from None
    body = {"id": credential.pk, "client_id": credential.identifier, "settings": credential.settings}
    return answer(body | {"secret": secret}, private=True)


def brand_at(text: str) -> Brand:
    """The brand of an address. Raises ProblemError resource-not-found."""
    try:
        return find(text)
    except UnknownBrand as error:
        raise ProblemError(RESOURCE_NOT_FOUND, str(error)) from None


def credential_at(request: ApiRequest, brand: str, id: str, *, lock: bool = False) -> Credential:
    """The fleet's credential of this address. Raises ProblemError resource-not-found."""
    rows = request.fleet.credentials.filter(pk=id, brand=brand_at(brand).id)
    credential = (rows.select_for_update() if lock else rows).first()
    if credential is None:
        raise not_found(_("credential"), id)
    return credential


def searched(rows: Any, text: str) -> Any:
    return rows.filter(Q(name__icontains=text) | Q(identifier__icontains=text)) if text else rows


def texts(values: dict[str, Any] | None) -> dict[str, str]:
    """The brand's fields of a body. Raises ProblemError for one that is not a text."""
    values = values or {}
    if wrong := [key for key, value in values.items() if not isinstance(value, str)]:
        raise ProblemError(VALIDATION_ERROR, errors=[(key[:60], _("Write a text in quotes.")) for key in wrong])
    return values


def shown(credential: Credential) -> dict[str, Any]:
    """A credential as CredentialOut has it."""
    return {
        "id": credential.pk,
        "name": credential.name,
        "telematics_brand": credential.brand,
        "client_id": credential.identifier,
        "settings": credential.settings,
        "note": credential.note,
        "ends_on": credential.ends_on,
        "status": credential.status,
        "checked_at": moment(credential.checked_at),
        "last_worked_at": moment(credential.last_worked_at),
        "last_used_at": moment(credential.last_used_at),
        "created_at": moment(credential.created_at),
        "changed_at": moment(credential.changed_at),
    }


def shown_brand(brand: Brand) -> dict[str, Any]:
    """A brand as BrandOut has it."""
    return {
        "id": brand.id,
        "name": brand.name,
        "kind": brand.kind,
        "fields": [
            {
                "key": field.key,
                "role": field.role,
                "required": field.required,
                "max_length": field.max_length,
                "choices": [choice.key for choice in field.choices],
            }
            for field in brand.fields
        ],
        "unit_id_from_vin": brand.unit_id.from_vin,
        "signs_in": brand.sign_in is not None,
    }
