"""The bodies and answers of the API of OEM credentials, with the examples of its description."""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, SecretStr

from credentials.brands import Brand, StoredAs, catalogue
from credentials.models import Credential, Status
from credentials.oem.verdict import Outcome
from fleetcontrol.api.operations import Day, JsonBody, PageQuery
from fleetcontrol.db.reading import Reader, Row, from_json

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
BRAND = {
    "id": "NIU",
    "name": "NIU",
    "kind": "shared",
    "fields": [
        {"key": "client_id", "role": "identifier", "required": True, "max_length": 200, "choices": []},
        {"key": "client_secret", "role": "secret", "required": True, "max_length": 200, "choices": []},
    ],
    "unit_id_from_vin": False,
    "signs_in": False,
}
REPORTED = {"refused_token": "eyJhbGciOi…"}
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
                {"type": "string", "maxLength": 0, "writeOnly": field.stored_as is StoredAs.SECRET, "description": ""},
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


class LoanIn(JsonBody):
    """What a program may say when it asks for a token."""

    refused_token: SecretStr | None = Field(
        None,
        max_length=16_384,
        description="A token that the manufacturer took no longer. If it is the one that FleetControl keeps, it is "
        "replaced, at most once a minute.",
        json_schema_extra={"writeOnly": True},
    )


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


class BrandPage(Schema):
    items: list[BrandOut]
    next_page_token: str | None


def shown(row: Row) -> dict[str, Any]:
    """A credential as CredentialOut has it."""
    (
        id, name, brand, identifier, settings, note, ends_on, status, checked_at, last_worked_at, last_used_at,
        created_at, changed_at,
    ) = row  # fmt: skip
    return {
        "id": id,
        "name": name,
        "telematics_brand": brand,
        "client_id": identifier,
        "settings": from_json(settings),
        "note": note,
        "ends_on": ends_on,
        "status": status,
        "checked_at": checked_at,
        "last_worked_at": last_worked_at,
        "last_used_at": last_used_at,
        "created_at": created_at,
        "changed_at": changed_at,
    }


READER = Reader(
    Credential,
    (
        "id", "name", "brand", "identifier", "settings", "note", "ends_on", "status", "checked_at", "last_worked_at",
        "last_used_at", "created_at", "changed_at",
    ),
    shown,
    {"id": "id = %(id)s", "brand": "brand = %(brand)s"},
)  # fmt: skip


def shown_brand(brand: Brand) -> dict[str, Any]:
    """A brand as BrandOut has it."""
    return {
        "id": brand.id,
        "name": brand.name,
        "kind": brand.kind,
        "fields": [
            {
                "key": field.key,
                "role": field.stored_as,
                "required": field.required,
                "max_length": field.max_length,
                "choices": [choice.key for choice in field.choices],
            }
            for field in brand.fields
        ],
        "unit_id_from_vin": brand.unit_id.from_vin,
        "signs_in": brand.sign_in is not None,
    }
