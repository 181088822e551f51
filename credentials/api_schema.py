"""Bodies and answers of the API of OEM credentials, and the examples that its description shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from ninja.params.functions import Path as PathParameter
from pydantic import ConfigDict, Field, SecretStr

from credentials.brands import Brand, StoredAs, catalogue
from credentials.models import Credential, Status
from credentials.oem.verdict import Outcome
from fleetcontrol.api.operations import Day, JsonBody, PageQuery
from fleetcontrol.db.reading import Column, Reader

NEW_CREDENTIAL_EXAMPLE = {"name": "Mercedes-Benz fleet Berlin", "client_id": "client1", "client_secret": "supersecret"}
CREDENTIAL_EXAMPLE: dict[str, Any] = {
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
BRAND_EXAMPLE = {
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
REPORT_EXAMPLE = {"refused_token": "eyJhbGciOi…"}
LOAN_EXAMPLE = {
    "access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 287, "expires_at": "2026-10-17T14:35:00Z",
}  # fmt: skip
SECRET_EXAMPLE = {
    "id": "01F62857KMPG2NE2GK1W2N3QYS", "client_id": "client1", "settings": {},
    "secret": {"client_secret": "supersecret"},
}  # fmt: skip


BrandId = Annotated[
    str,
    PathParameter(description="The ID of a brand, in any case, with hyphens or underscores.", example="MERCEDES_BENZ"),
]
"""The brand in the path of an operation."""


def _brand_fields(schema: dict[str, Any], *, secret_only: bool) -> None:
    """Add the catalogue's fields to a schema as properties, so that the authors of clients find them."""
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
            field["description"] = f"For the brands {field['description'].replace(' ', ', ')}."
    schema["additionalProperties"] = False


class CredentialIn(JsonBody):
    """A new credential: its name, and the fields of its brand (see `GET /telematics-brands`)."""

    model_config = ConfigDict(extra="allow", json_schema_extra=lambda schema: _brand_fields(schema, secret_only=False))
    name: str = Field(min_length=1, max_length=100)
    note: str = Field("", max_length=500)
    ends_on: Day | None = Field(None, description="The day on which the OEM ends it, if that is known.")


class CredentialChange(JsonBody):
    """A new secret, note or end date. A different client ID is a new credential."""

    model_config = ConfigDict(extra="allow", json_schema_extra=lambda schema: _brand_fields(schema, secret_only=True))
    note: str = Field("", max_length=500)
    ends_on: Day | None = None


class CredentialOut(Schema):
    """A credential, without its secret."""

    id: str
    name: str
    telematics_brand: Annotated[str, Column("brand")]
    client_id: Annotated[str, Column("identifier")] = Field(
        description="The client ID or user name by which the OEM knows the account."
    )
    settings: dict[str, str] = Field(description="The fields of the brand that are not secret, such as the region.")
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
    q: str = Field("", max_length=100, description="Text that the name or the client ID contains.")


class AllCredentialsQuery(CredentialQuery):
    brand: str = Field("", max_length=60, description="The ID of a brand.")


class VerdictOut(Schema):
    """The outcome of a sign-in: works, refused, scopes_missing, no_answer, or cannot_check."""

    outcome: Outcome
    reason: str = Field(description="One or two sentences for people.")
    status: Status
    checked_at: str | None = Field(json_schema_extra={"format": "date-time"})


class LoanIn(JsonBody):
    """What a program may say when it asks for a token: that the one it has is refused."""

    refused_token: SecretStr | None = Field(
        None,
        max_length=16_384,
        description="A token that the manufacturer no longer accepts. If FleetControl keeps it, a new one takes its "
        "place, at most once a minute.",
        json_schema_extra={"writeOnly": True},
    )


class LoanOut(Schema):
    """An access token of the manufacturer."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int = Field(description="For how many more seconds it works.")
    expires_at: str = Field(json_schema_extra={"format": "date-time"})


class SecretOut(Schema):
    """A stored secret in plain text, with the other fields that are needed to use it."""

    id: str
    client_id: str
    settings: dict[str, str]
    secret: dict[str, str] = Field(description="The secret fields of the brand.")


class BrandField(Schema):
    key: str = Field(description="The name of the property in a credential.")
    role: str = Field(description="`identifier`, `secret` or `setting`.")
    required: bool
    max_length: int
    choices: list[str] = Field(description="The allowed values. Empty when any value is allowed.")


class BrandOut(Schema):
    """A telematics brand. Its vehicles need a credential if `kind` is `shared`, a password for each unit if it is
    `individual`, and neither if it is `none`.
    """

    id: str
    name: str
    kind: str
    fields: list[BrandField]
    unit_id_from_vin: bool = Field(description="Whether the unit is built in and the VIN is its ID.")
    signs_in: bool = Field(description="Whether FleetControl can sign in to check a credential and to get a token.")


class BrandPage(Schema):
    items: list[BrandOut]
    next_page_token: str | None


CREDENTIALS = Reader(Credential, CredentialOut, filters=("id", "brand"))


def brand_answer(brand: Brand) -> dict[str, Any]:
    """A brand as BrandOut describes it."""
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
