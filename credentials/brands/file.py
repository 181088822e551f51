"""Reading a file of brands, strictly.

An unknown key, a wrong type or a reference to nothing stops the start with one sentence that names
file, brand and key. An operator's file adds brands. Of a built-in brand it may only add what
FleetControl does not know, a way to sign in with its hosts and portal: stored credentials depend on
the rest.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from credentials.brands.field import Choice, Field, Kind, Role
from credentials.brands.schema import Brand, SignIn, Unit
from credentials.brands.table import Table

_BRAND_KEYS = {
    *("name", "kind", "unit_id", "fields", "sign_in", "hosts", "steps", "note", "portal", "tile"),
}
_ADDABLE_KEYS = {"sign_in", "hosts", "portal"}
_UNIT_KEYS = {"label", "pattern", "wrong", "example", "from_vin"}
_FIELD_KEYS = {
    *("kind", "label", "help", "missing", "required", "pattern", "wrong", "example"),
    *("choices", "hosts", "max_length"),
}
_SIGN_IN_KEYS = {"url", "body", "client", "grant", "audience", "scopes", "mutual_tls"}
_TAKEN_KEYS = ("name", "brand", "note", "ends_on")  # every credential has them
_BUILT_IN = "is built in and cannot be changed; choose another id for a brand of your own"
_VIN = "[A-HJ-NPR-Z0-9]{17}"
_LENGTHS = {
    Kind.IDENTIFIER: 254,
    Kind.SECRET: 4_000,
    Kind.PEM_CERTIFICATE: 20_000,
    Kind.PEM_KEY: 20_000,
    Kind.URL: 500,
}


def read(path: Path, known: Mapping[str, Brand] | None = None) -> dict[str, Brand]:
    """The brands of a file, added to those already known. Raises ImproperlyConfigured."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImproperlyConfigured(f"The brand file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The brand file {path} is not TOML: {error}.") from None
    brands = dict(known or {})
    for brand_id, values in document.items():
        table = Table(f"{path}, brand {brand_id}", values if isinstance(values, dict) else {})
        if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,39}", brand_id) or not isinstance(values, dict):
            table.refuse(brand_id, "must be a table with an id such as MERCEDES_BENZ")
        add = _extended if brand_id in brands else _new
        brands[brand_id] = add(table, brands.get(brand_id, Brand(brand_id)))
    return brands


def _new(table: Table, brand: Brand) -> Brand:
    table.only(_BRAND_KEYS)
    hosts = table.hosts()
    name = table.string("name", needed=True)
    fields = _fields(table, hosts)
    hosts = tuple(dict.fromkeys([*hosts, *(host for one in fields for host in one.hosts)]))
    brand = replace(
        brand,
        name=name,
        kind=table.one_of("kind", ("shared", "individual", "none")),
        unit_id=_unit(table.inner("unit_id").only(_UNIT_KEYS)),
        fields=fields,
        hosts=hosts,
        steps=table.texts("steps"),
        note=table.text("note"),
        portal=table.https("portal"),
        tile=table.string("tile") or name[:2].upper(),
    )
    if bool(brand.secret_fields) != (brand.kind != "none") or (brand.kind == "none" and brand.fields):
        table.refuse("fields", 'a brand of kind "none" has none, any other has a secret among them')
    return replace(brand, sign_in=_sign_in(table, brand))


def _extended(table: Table, brand: Brand) -> Brand:
    """A brand that is known, with a way to sign in that it did not have."""
    for key in table.values.keys() - _ADDABLE_KEYS:
        table.refuse(key, _BUILT_IN)
    if brand.sign_in is not None:
        table.refuse(next(iter(table.values), "sign_in"), _BUILT_IN)
    brand = replace(brand, hosts=brand.hosts + table.hosts(), portal=table.https("portal") or brand.portal)
    return replace(brand, sign_in=_sign_in(table, brand))


def _unit(table: Table) -> Unit:
    from_vin = table.boolean("from_vin", default=False)
    vin_is_wrong = _("A VIN has 17 characters: digits and capitals without I, O and Q.")
    return Unit(
        label=table.text("label") or _("Unit id"),
        pattern=table.pattern() or (_VIN if from_vin else ""),
        wrong=table.text("wrong") or (vin_is_wrong if from_vin else ""),
        example=table.string("example"),
        from_vin=from_vin,
    )


def _fields(table: Table, hosts: tuple[str, ...]) -> tuple[Field, ...]:
    tables = table.inner("fields")
    fields = tuple(_field(tables, key, hosts) for key in tables.values)
    for kind in (Kind.IDENTIFIER, Kind.PEM_CERTIFICATE, Kind.PEM_KEY, Kind.PASSPHRASE):
        if sum(f.kind is kind for f in fields) > 1:
            table.refuse("fields", f'only one field may be of kind "{kind}"')
    if len({f.kind for f in fields} & {Kind.PEM_CERTIFICATE, Kind.PEM_KEY}) == 1:
        table.refuse("fields", "a certificate and its private key come together")
    return fields


def _field(tables: Table, key: str, hosts: tuple[str, ...]) -> Field:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key) or key in _TAKEN_KEYS:
        tables.refuse(key, f"must be small letters and not one of {', '.join(_TAKEN_KEYS)}")
    table = tables.inner(key).only(_FIELD_KEYS)
    kind = Kind(table.one_of("kind", tuple(Kind)))
    choices = _choices(table.inner("choices"))
    if (kind is Kind.CHOICE) != bool(choices):
        table.refuse("choices", 'belong to a field of kind "choice", and to no other')
    hosts = table.hosts() or hosts
    if kind is Kind.URL and not hosts:
        table.refuse("hosts", "must name the hosts an address may have")
    role = Role.IDENTIFIER if kind is Kind.IDENTIFIER else Role.SETTING
    return Field(
        key=key,
        kind=kind,
        role=Role.SECRET if kind.is_secret else role,
        label=table.text("label") or key,
        help=table.text("help"),
        missing=table.text("missing"),
        required=table.boolean("required", default=True),
        pattern=table.pattern(),
        wrong=table.text("wrong"),
        example=table.string("example"),
        choices=choices,
        hosts=hosts if kind is Kind.URL else (),
        max_length=table.number("max_length", default=_LENGTHS.get(kind, 200), most=20_000),
    )


def _choices(table: Table) -> tuple[Choice, ...]:
    choices = []
    for key, words in table.values.items():
        value = words.get("value", key) if isinstance(words, dict) else key
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", value):
            table.refuse(f"{key}.value", "must be letters, digits, hyphens and underscores")
        if isinstance(words, dict):
            words = {language: text for language, text in words.items() if language != "value"}
        choices.append(Choice(key, table.worded(key, words or key), value))
    return tuple(choices)


def _sign_in(brand_table: Table, brand: Brand) -> SignIn | None:
    """How to sign in; `brand` is all the rest, which the addresses may refer to."""
    if "sign_in" not in brand_table.values:
        return None
    table = brand_table.inner("sign_in").only(_SIGN_IN_KEYS)
    sign_in = SignIn(
        url=table.string("url", needed=True),
        body=table.one_of("body", ("form", "json"), "form"),
        client=table.one_of("client", ("body", "basic"), "body"),
        grant=table.one_of("grant", ("client_credentials", "password"), "client_credentials"),
        audience=table.string("audience"),
        scopes=table.strings("scopes"),
        mutual_tls=table.boolean("mutual_tls", default=False),
    )
    keys = {f.key for f in brand.fields}
    if sign_in.mutual_tls and Kind.PEM_KEY not in {f.kind for f in brand.fields}:
        table.refuse("mutual_tls", "needs a field with a certificate and one with its key")
    if sign_in.grant == "password" and {"username", "password"} - keys:
        table.refuse("grant", "needs the fields username and password")
    if not brand.identifier_field:
        table.refuse("url", "needs a field of kind identifier to sign in with")
    _check_places(table, sign_in, brand)
    return sign_in


def _check_places(table: Table, sign_in: SignIn, brand: Brand) -> None:
    """Every place stands for a choice, or is an address field that is the whole URL.

    So every address that FleetControl will speak to is known now: https, and of the brand's hosts.
    """
    settings = {f.key: f for f in brand.settings_fields}
    for key in sign_in.needs:
        kind = settings[key].kind if key in settings else None
        if kind is not Kind.CHOICE and not (kind is Kind.URL and sign_in.url == f"{{{key}}}"):
            table.refuse("url", f"{{{key}}} must be a choice, or an address that is the whole url")
    if sign_in.url.startswith("{"):
        return
    urls = [sign_in.url]
    for key in sign_in.needs:
        urls = [u.replace(f"{{{key}}}", c.value) for u in urls for c in settings[key].choices]
    for url in urls:
        host = re.match(r"https://([a-z0-9.-]+)(/|$)", url)
        if not host or not brand.allows(host[1]):
            table.refuse("url", f"{url} must be https and of one of the brand's hosts")
