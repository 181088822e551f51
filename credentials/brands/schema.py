"""What a brand is: the fields its OEM issues, how its units are named, how to sign in with it.

A brand's definition is the one place that knows its fields. Forms, admin, API, import columns and
the masked detail are made from it, and all of them clean what they were given with `Brand.clean`.
`brands.py` has the catalogue of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from datetime import date
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from credentials.brands import pem
from credentials.brands.field import Field, Kind, Role, host_among, tidy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_PLACE = re.compile(r"\{([a-z0-9_]+)\}")


@dataclass(frozen=True, slots=True)
class Unit:
    """How the brand names a telematics unit. `from_vin`: the unit is built in and is named by the
    vehicle's VIN.
    """

    label: StrOrPromise
    pattern: str = ""
    wrong: StrOrPromise = ""
    example: str = ""
    from_vin: bool = False

    def clean(self, value: str) -> str:
        """The unit's id as it is kept: a VIN in capitals, other ids as the OEM prints them.

        Raises ValidationError with one sentence.
        """
        value = re.sub(r"[\s-]", "", tidy(value)).upper() if self.from_vin else tidy(value)
        as_field = Field(
            "telematics_unit_id",
            Kind.TEXT,
            Role.SETTING,
            label=self.label,
            pattern=self.pattern,
            wrong=self.wrong,
            max_length=64,
        )
        return as_field.clean(value)


@dataclass(frozen=True, slots=True)
class SignIn:
    """How to get a token: an OAuth request to `url`. {key} in url and audience stands for a
    setting.
    """

    url: str
    body: str = "form"  # or json
    client: str = "body"  # or basic: client id and secret in the Authorization header
    grant: str = "client_credentials"  # or password
    audience: str = ""
    scopes: tuple[str, ...] = ()
    mutual_tls: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """The settings that stand in url and audience."""
        return tuple(dict.fromkeys(_PLACE.findall(self.url + self.audience)))

    def filled(self, template: str, brand: Brand, settings: Mapping[str, str]) -> str:
        """`template`, which is url or audience, with the settings in their places."""
        for key in self.needs:
            value = settings[key]
            value = next((c.value for c in brand.field(key).choices if c.key == value), value)
            template = template.replace(f"{{{key}}}", value)
        return template


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What `Brand.clean` makes of typed values. `secret` maps the brand's secret fields to their
    values.

    `facts` are what may be shown of a secret later: subject, fingerprint and end of a certificate.
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

    `kind` is shared (one credential serves many vehicles), individual (every unit has its own
    password, kept with the vehicle) or none. `hosts` are the only ones FleetControl speaks to for
    this brand. Fields by their role are sorted once, because an import cleans a hundred thousand rows with one brand.
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
    secret_fields: tuple[Field, ...] = default(init=False, repr=False, compare=False)
    settings_fields: tuple[Field, ...] = default(init=False, repr=False, compare=False)
    identifier_field: Field | None = default(init=False, repr=False, compare=False)
    _has_pem: bool = default(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        def sort(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the way to set what a frozen dataclass makes of its fields

        sort("secret_fields", tuple(f for f in self.fields if f.role is Role.SECRET))
        sort("settings_fields", tuple(f for f in self.fields if f.role is Role.SETTING))
        sort("identifier_field", next((f for f in self.fields if f.role is Role.IDENTIFIER), None))
        sort("_has_pem", any(f.kind.is_pem for f in self.fields))

    def __str__(self) -> str:
        return self.name

    def field(self, key: str) -> Field:
        """The field of this key. Raises KeyError."""
        for one in self.fields:
            if one.key == key:
                return one
        raise KeyError(key)

    def allows(self, host: str) -> bool:
        """Whether a host is one of this brand's."""
        return host_among(host, self.hosts)

    def clean(self, values: Mapping[str, Any], *, partial: bool = False) -> Cleaned:
        """Typed values, checked and sorted by where they are kept.

        With `partial`, only the secret fields are taken, as for replacing a secret. Raises
        ValidationError with the fields' keys as keys.
        """
        fields = self.secret_fields if partial else self.fields
        errors: dict[str, ValidationError] = self._unknown(values, fields)
        kept: dict[str, str] = {}
        for one in fields:
            try:
                kept[one.key] = one.clean(values.get(one.key))
            except ValidationError as error:
                errors[one.key] = error
        certificate = self._certificate(kept, errors) if self._has_pem else None
        if errors:
            raise ValidationError(dict(errors))
        named = self.identifier_field
        identifier = kept[named.key] if named and not partial else ""
        settings = {} if partial else {f.key: kept[f.key] for f in self.settings_fields if kept[f.key]}
        secret = {f.key: kept[f.key] for f in self.secret_fields if kept[f.key]}
        if certificate is None:
            return Cleaned(identifier, settings, secret)
        return Cleaned(identifier, settings, secret, certificate.ends_on, certificate.facts(), certificate.notes())

    def _unknown(self, values: Mapping[str, Any], fields: tuple[Field, ...]) -> dict[str, ValidationError]:
        errors: dict[str, ValidationError] = {}
        taken = {f.key for f in fields}
        for key in values.keys() - taken:
            if any(f.key == key for f in self.fields):
                text = _("“%(key)s” cannot be changed. A different value is a different credential.")
            else:
                text = _("%(brand)s has no field “%(key)s”. Its fields are: %(fields)s.")
            params = {
                "key": key,
                "brand": self.name,
                "fields": ", ".join(f.key for f in fields) or "–",
            }
            errors[key] = ValidationError(text, params=params)
        return errors

    def _certificate(self, kept: dict[str, str], errors: dict[str, ValidationError]) -> pem.Certificate | None:
        """Read certificate and key together; what is wrong with them is added to `errors` at its
        field.
        """
        keys = {f.kind: f.key for f in self.fields}
        cert_key, pem_key = keys.get(Kind.PEM_CERTIFICATE, ""), keys.get(Kind.PEM_KEY, "")
        if not kept.get(cert_key) and not kept.get(pem_key):
            return None
        try:
            return pem.read(
                kept.get(cert_key, ""),
                kept.get(pem_key, ""),
                kept.get(keys.get(Kind.PASSPHRASE, ""), ""),
            )
        except pem.PemError as error:
            place = {
                "certificate": cert_key,
                "key": pem_key,
                "passphrase": keys.get(Kind.PASSPHRASE) or pem_key,
            }
            errors.setdefault(place[error.part], ValidationError(error.sentence, params=error.params))
            return None
