"""What a brand is: the fields its OEM issues, how its units are named, how to sign in with it.

Only a brand's definition knows its fields. Forms, admin, API, import columns and the page of a credential derive from
it, and all of them clean their input with `Brand.clean`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from dataclasses import field as default
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials.brands import pem
from credentials.brands.field import Field, Kind, StoredAs, host_among
from fleetcontrol.db.texts import compact

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")
# Seconds that a token is kept at most, unless the brand says that its tokens live longer.
LONGEST_LIFE = 24 * 3600
LONGEST_UNIT_ID = 64


@dataclass(frozen=True, slots=True)
class Unit:
    """How the brand identifies a telematics unit. With `from_vin` the unit is built into the vehicle, and the
    vehicle's VIN identifies it. An ID that does not match `usual` is taken, with a note.
    """

    label: StrOrPromise
    pattern: str = ""
    wrong: StrOrPromise = ""
    example: str = ""
    usual: str = ""
    from_vin: bool = False
    # Built once, because an import cleans a hundred thousand ids with one unit.
    _field: Field = default(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        field = Field(
            "telematics_unit_id",
            Kind.IDENTIFIER,
            StoredAs.SETTING,
            label=self.label,
            pattern=self.pattern,
            wrong=self.wrong,
            max_length=LONGEST_UNIT_ID,
        )
        object.__setattr__(self, "_field", field)  # how a frozen dataclass sets what it derives from its fields

    def clean(self, value: str) -> str:
        """The unit's id as it is stored: a VIN in capitals, other ids as the OEM prints them.

        Raises ValidationError with one sentence.
        """
        return self._field.clean(compact(value) if self.from_vin else value)

    def note(self, value: str) -> StrOrPromise:
        """A sentence about an id that is unusual for the brand, else ""."""
        if not self.usual or re.fullmatch(self.usual, value):
            return ""
        return _("This is not what such an ID usually looks like: %(example)s.") % {"example": self.example}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to sign in and for which audience, in place of the usual ones."""

    url: str
    audience: str = ""


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to get a token: an OAuth request to `url`. A {key} in url and audience is a placeholder for a setting.

    `by_choice` has the addresses of choices that a placeholder cannot express, by field and choice. Tokens are kept for
    `longest_life` seconds at most.
    """

    url: str
    body: str = "form"  # or json
    client: str = "body"  # or basic: client id and secret in the Authorization header
    grant: str = "client_credentials"  # or password
    audience: str = ""
    scopes: tuple[str, ...] = ()
    mutual_tls: bool = False
    by_choice: Mapping[str, Mapping[str, Address]] = default(default_factory=dict)
    longest_life: int = LONGEST_LIFE

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings that url and audience have placeholders for."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.url + self.audience)))

    def chosen(self, settings: Mapping[str, str]) -> SignIn:
        """The sign-in with the address of the choices among the settings."""
        for field, addresses in self.by_choice.items():
            if address := addresses.get(settings.get(field, "")):
                return replace(self, url=address.url, audience=address.audience, by_choice={})
        return self

    def filled(self, template: str, brand: Brand, settings: Mapping[str, str]) -> str:
        """`template`, which is url or audience, with the settings in place of their placeholders."""
        for key in self.needs:
            value = settings[key]
            value = next((choice.value for choice in brand.field(key).choices if choice.key == value), value)
            template = template.replace(f"{{{key}}}", value)
        return template


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Typed values after `Brand.clean`. `secret` maps the keys of the brand's secret fields to their values.

    `facts` is what pages may show of a secret later: subject, fingerprint and end of a certificate. `notes` are
    sentences about values that are accepted but deserve a look.
    """

    identifier: str = ""
    settings: Mapping[str, str] = default(default_factory=dict)
    secret: Mapping[str, str] = default(default_factory=dict, repr=False)
    ends_on: date | None = None
    facts: Mapping[str, str] = default(default_factory=dict)
    notes: tuple[StrOrPromise, ...] = ()


@dataclass(frozen=True, slots=True)
class Brand:
    """An OEM's entry in the catalogue.

    `kind` is shared (one credential serves many vehicles), individual (every unit has its own password, stored with
    the vehicle) or none. FleetControl speaks to no other hosts than `hosts` for this brand.
    """

    id: str
    name: str = ""
    kind: str = "shared"
    unit_id: Unit = default(default_factory=lambda: Unit(""))
    fields: tuple[Field, ...] = ()
    sign_in: SignIn | None = None
    hosts: tuple[str, ...] = ()
    steps: tuple[StrOrPromise, ...] = ()
    note: StrOrPromise = ""
    portal: str = ""
    tile: str = ""
    # Sorted once, because an import cleans a hundred thousand rows with one brand.
    secret_fields: tuple[Field, ...] = default(init=False, repr=False, compare=False)
    settings_fields: tuple[Field, ...] = default(init=False, repr=False, compare=False)
    identifier_field: Field | None = default(init=False, repr=False, compare=False)
    _has_pem: bool = default(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        derived = {
            "secret_fields": tuple(field for field in self.fields if field.stored_as is StoredAs.SECRET),
            "settings_fields": tuple(field for field in self.fields if field.stored_as is StoredAs.SETTING),
            "identifier_field": next((field for field in self.fields if field.stored_as is StoredAs.IDENTIFIER), None),
            "_has_pem": any(field.kind.is_pem for field in self.fields),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # how a frozen dataclass sets what it derives from its fields

    def __str__(self) -> str:
        return self.name

    def field(self, key: str) -> Field:
        """The field of this key. Raises KeyError."""
        for field in self.fields:
            if field.key == key:
                return field
        raise KeyError(key)

    def allows(self, host: str) -> bool:
        """Whether a host is one of this brand's."""
        return host_among(host, self.hosts)

    @property
    def needed_to_sign_in(self) -> tuple[Field, ...]:
        """The fields without which the OEM cannot be asked, required or not."""
        if self.sign_in is None:
            return ()
        mutual_tls = self.sign_in.mutual_tls
        return tuple(one for one in self.fields if one.key in self.sign_in.needs or (mutual_tls and one.kind.is_pem))

    @property
    def optional_to_save(self) -> tuple[Field, ...]:
        """The fields that a credential may be saved without, and then cannot be checked."""
        return tuple(one for one in self.needed_to_sign_in if not one.required)

    @property
    def sign_in_urls(self) -> tuple[str, ...]:
        """Every address that FleetControl may sign in at; none if people type the address themselves."""
        if self.sign_in is None or self.sign_in.url.startswith("{"):
            return ()
        urls = [self.sign_in.url]
        for key in self.sign_in.needs:
            choices = self.field(key).choices
            urls = [url.replace(f"{{{key}}}", choice.value) for url in urls for choice in choices]
        by_choice = (one.url for addresses in self.sign_in.by_choice.values() for one in addresses.values())
        return tuple(dict.fromkeys([*urls, *by_choice]))

    def clean(self, values: Mapping[str, Any], *, partial: bool = False) -> Cleaned:
        """Typed values, checked and sorted by where they are stored.

        With `partial` only the secret fields are accepted, as for replacing a secret. Raises ValidationError with the
        fields' keys as keys.
        """
        fields = self.secret_fields if partial else self.fields
        errors = self._errors_of_unknown_keys(values, fields)
        cleaned: dict[str, str] = {}
        for field in fields:
            try:
                cleaned[field.key] = field.clean(values.get(field.key))
            except ValidationError as error:
                errors[field.key] = error
        certificate = self._read_certificate(cleaned, errors) if self._has_pem else None
        if errors:
            raise ValidationError(dict(errors))
        identifier = cleaned[self.identifier_field.key] if self.identifier_field and not partial else ""
        settings = {} if partial else {f.key: cleaned[f.key] for f in self.settings_fields if cleaned[f.key]}
        secret = {f.key: cleaned[f.key] for f in self.secret_fields if cleaned[f.key]}
        if certificate is None:
            return Cleaned(identifier, settings, secret)
        return Cleaned(identifier, settings, secret, certificate.ends_on, certificate.facts(), certificate.notes())

    @sensitive_variables()
    def clean_unit_password(self, password: str) -> str:
        """A unit's own password as it is stored. Raises ValidationError with one sentence."""
        return self.secret_fields[0].clean(password) if self.kind == "individual" and self.secret_fields else password

    def _errors_of_unknown_keys(
        self, values: Mapping[str, Any], fields: tuple[Field, ...]
    ) -> dict[str, ValidationError]:
        errors: dict[str, ValidationError] = {}
        for key in values.keys() - {field.key for field in fields}:
            if any(field.key == key for field in self.fields):
                sentence = _("“%(key)s” cannot be changed. A different value is a different credential.")
            else:
                sentence = _("%(brand)s has no field “%(key)s”. Its fields are: %(fields)s.")
            params = {
                "key": key,
                "brand": self.name,
                "fields": ", ".join(field.key for field in fields) or "–",
            }
            errors[key] = ValidationError(sentence, params=params)
        return errors

    def _read_certificate(
        self, cleaned: Mapping[str, str], errors: dict[str, ValidationError]
    ) -> pem.Certificate | None:
        """Read certificate and key together. What is wrong with them is added to `errors` at its field."""
        keys = {field.kind: field.key for field in self.fields}
        certificate = cleaned.get(keys[Kind.PEM_CERTIFICATE], "")
        private_key = cleaned.get(keys[Kind.PEM_KEY], "")
        passphrase = cleaned.get(keys.get(Kind.PASSPHRASE, ""), "")
        if not certificate and not private_key:
            return None
        try:
            return pem.read(certificate, private_key, passphrase)
        except pem.PemError as error:
            key_of_part = {
                "certificate": keys[Kind.PEM_CERTIFICATE],
                "key": keys[Kind.PEM_KEY],
                "passphrase": keys.get(Kind.PASSPHRASE, keys[Kind.PEM_KEY]),
            }
            errors.setdefault(key_of_part[error.part], ValidationError(error.sentence, params=error.params))
            return None
