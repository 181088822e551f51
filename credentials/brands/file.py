"""Reading a file of brands, strictly.

The models below declare the tables of such a file; the functions turn them into the catalogue's `Brand`. An unknown
key, a wrong type or a reference to nothing stops the start with one sentence that names file, brand and key.

An operator's file adds brands. It may also complete and correct a built-in one: what OEMs change from time to time,
and texts. It cannot change the kind, or which fields exist, identify or are secret: stored credentials depend on that.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import lazy
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints

from credentials.brands.field import Choice, Field, Kind, StoredAs
from credentials.brands.pattern import compile_error, is_slow
from credentials.brands.schema import LONGEST_LIFE, LONGEST_UNIT_ID, Address, Brand, SignIn, Unit
from fleetcontrol import outbound

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise
    from pydantic_core import ErrorDetails

_BRAND_ID = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_FIELD_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN_KEYS = ("name", "brand", "note", "ends_on")  # every credential has them
_CHOICE_VALUE = re.compile(r"[A-Za-z0-9_-]+")
_HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
_VIN = "[A-HJ-NPR-Z0-9]{17}"
_LONGEST = 20_000
_MAX_LENGTHS = {
    Kind.IDENTIFIER: 254,
    Kind.SECRET: 4_000,
    Kind.PEM_CERTIFICATE: _LONGEST,
    Kind.PEM_KEY: _LONGEST,
    Kind.URL: 500,
}
_BUILT_IN = (
    "is built in and cannot be changed; of a built-in brand you may change hosts, sign_in, portal, steps and note, of "
    "its unit_id label, pattern, wrong and example, and of its fields label, help, missing, wrong and example, and the "
    "hosts of an address; choose another id for a brand of your own"
)
_LONGEST_LIFE = 366 * 24 * 3600
_LARGEST_FILE = 2**20  # bytes
_SLOW = (
    "may take too long on a value of %d characters; make repetitions possessive, such as ++ and *+, or say how often, "
    "such as {1,20}, and put none inside another"
)


def read(path: Path, known: Mapping[str, Brand] | None = None) -> dict[str, Brand]:
    """The brands of a file, added to those already known. Raises ImproperlyConfigured."""
    brands = dict(known or {})
    for brand_id, table in _load(path).items():
        try:
            brands[brand_id] = _brand(brand_id, table, brands.get(brand_id))
        except Mistake as mistake:
            sentence = f"{path}, brand {brand_id}, key {mistake.key}: {mistake.what}."
            raise ImproperlyConfigured(sentence) from None
    return brands


def changes(path: Path, built_in: Mapping[str, Brand]) -> dict[str, list[str]]:
    """The keys that a file gives for built-in brands, such as {"TESLA": ["sign_in.url"]}."""
    return {brand_id: _keys(table) for brand_id, table in _load(path).items() if brand_id in built_in}


def _keys(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The keys of a table with those of the tables in it, as TOML writes them."""
    keys = []
    for key, value in table.items():
        path = f"{prefix}{key}"
        has_keys_of_its_own = isinstance(value, dict) and re.fullmatch(r"sign_in|unit_id|fields(\.\w+)?", path)
        keys += _keys(value, f"{path}.") if has_keys_of_its_own else [path]
    return keys


class Mistake(ValueError):
    """What is wrong at a key. A validator gives the key as seen from the table that it validates."""

    def __init__(self, key: str, what: str) -> None:
        self.key, self.what = key, what
        super().__init__(what)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ImproperlyConfigured(f"The brand file {path} is larger than 1 MB.")
        return tomllib.loads(content.decode().replace("\r\n", "\n"))
    except OSError as error:
        raise ImproperlyConfigured(f"The brand file {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImproperlyConfigured(f"The brand file {path} is not TOML: {error}.") from None


# The shape of a file: types of values


def _by_language(texts: object) -> object:
    """A text without a language becomes a table with one text."""
    if isinstance(texts, str):
        return {"en": texts}
    if not isinstance(texts, dict) or not texts:
        raise Mistake("", "must be a text, or one per language such as en and de")
    return texts


def _check_not_empty(text: str) -> str:
    if not text.strip():
        raise Mistake("", "must be a text that is not empty")
    return text


def _check_pattern(pattern: str) -> str:
    if error := compile_error(pattern):
        raise Mistake("", f"is not a regular expression: {error}")
    return pattern


def _check_host(host: str) -> str:
    if not _HOST.fullmatch(host):
        raise Mistake("", f'"{host}" must be a host name such as auth.example.com or *.example.com')
    return host


def _check_https(url: str) -> str:
    if url and not url.startswith("https://"):
        raise Mistake("", "must start with https://")
    return url


def _check_field_key(key: str) -> str:
    if not _FIELD_KEY.fullmatch(key) or key in _TAKEN_KEYS:
        raise Mistake("", f"must be small letters and not one of {', '.join(_TAKEN_KEYS)}")
    return key


def _check_choices(choices: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    for key, texts in choices.items():
        if not _CHOICE_VALUE.fullmatch(texts.get("value", key)):
            raise Mistake(f"{key}.value", "must be letters, digits, hyphens and underscores")
    return choices


# A required key that is left out gets the same sentence as one with an empty text.
_REQUIRED: Any = pydantic.Field("", validate_default=True)

NonEmpty = Annotated[str, AfterValidator(_check_not_empty)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
HttpsUrl = Annotated[str, AfterValidator(_check_https)]
Hosts = list[Annotated[str, AfterValidator(_check_host)]]
FieldKey = Annotated[str, AfterValidator(_check_field_key)]
# Texts for people by language, or one text for all of them.
Texts = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]{2})?$")], str],
    BeforeValidator(_by_language),
]
# The same, with `value` among the languages: what an address or audience gets in the choice's place.
ChoiceTexts = Annotated[
    dict[Annotated[str, StringConstraints(pattern=r"^([a-z]{2}(-[a-z]{2})?|value)$")], str],
    BeforeValidator(_by_language),
]


# The shape of a file: tables


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class UnitTable(Table):
    label: Texts = {}
    pattern: Pattern = ""
    wrong: Texts = {}
    example: str = ""
    usual: Pattern = ""
    from_vin: bool = False


class FieldTable(Table):
    kind: Annotated[Kind, pydantic.Field(strict=False)] = _REQUIRED
    label: Texts = {}
    help: Texts = {}
    missing: Texts = {}
    required: bool = True
    pattern: Pattern = ""
    wrong: Texts = {}
    example: str = ""
    choices: Annotated[dict[str, ChoiceTexts], AfterValidator(_check_choices)] = {}
    hosts: Hosts = []
    max_length: Annotated[int, pydantic.Field(ge=1, le=_LONGEST)] | None = None

    @pydantic.model_validator(mode="after")
    def check_choices(self) -> FieldTable:
        if (self.kind is Kind.CHOICE) != bool(self.choices):
            raise Mistake("choices", 'belong to a field of kind "choice", and to no other')
        return self


class AddressTable(Table):
    url: NonEmpty = _REQUIRED
    audience: str = ""


class SignInTable(Table):
    url: NonEmpty = _REQUIRED
    body: Literal["form", "json"] = "form"
    client: Literal["body", "basic"] = "body"
    grant: Literal["client_credentials", "password"] = "client_credentials"
    audience: str = ""
    scopes: list[str] = []
    mutual_tls: bool = False
    by_choice: dict[str, dict[str, AddressTable]] = {}
    longest_life: Annotated[int, pydantic.Field(ge=1, le=_LONGEST_LIFE)] = LONGEST_LIFE


class UnitCorrectionTable(Table):
    label: Texts = {}
    pattern: Pattern = ""
    wrong: Texts = {}
    example: str = ""
    usual: Pattern = ""


class FieldCorrectionTable(Table):
    label: Texts = {}
    help: Texts = {}
    missing: Texts = {}
    wrong: Texts = {}
    example: str = ""
    hosts: Hosts = []


class SignInCorrectionTable(SignInTable):
    url: NonEmpty = ""


class CorrectionTable(Table):
    """What an operator may change of a built-in brand. What is left out stays as it is."""

    sign_in: SignInCorrectionTable | None = None
    hosts: Hosts = []
    portal: HttpsUrl = ""
    unit_id: UnitCorrectionTable = UnitCorrectionTable()
    fields: dict[str, FieldCorrectionTable] = {}
    steps: list[Texts] = []
    note: Texts = {}


class BrandTable(Table):
    sign_in: SignInTable | None = None
    hosts: Hosts = []
    portal: HttpsUrl = ""
    name: NonEmpty = _REQUIRED
    kind: Literal["shared", "individual", "none"] = _REQUIRED
    unit_id: UnitTable = UnitTable()
    fields: dict[FieldKey, FieldTable] = {}
    steps: list[Texts] = []
    note: Texts = {}
    tile: str = ""

    @pydantic.model_validator(mode="after")
    def check_fields(self) -> BrandTable:
        kinds = [field.kind for field in self.fields.values()]
        for kind in (Kind.IDENTIFIER, Kind.PEM_CERTIFICATE, Kind.PEM_KEY, Kind.PASSPHRASE):
            if kinds.count(kind) > 1:
                raise Mistake("fields", f'only one field may be of kind "{kind}"')
        if (Kind.PEM_CERTIFICATE in kinds) != (Kind.PEM_KEY in kinds):
            raise Mistake("fields", "a certificate and its private key come together")
        has_secret = any(kind.is_secret for kind in kinds)
        if has_secret != (self.kind != "none") or (self.kind == "none" and kinds):
            raise Mistake("fields", 'a brand of kind "none" has none, any other has a secret among them')
        return self

    @pydantic.model_validator(mode="after")
    def check_hosts_of_addresses(self) -> BrandTable:
        for key, field in self.fields.items():
            if field.kind is Kind.URL and not (field.hosts or self.hosts):
                raise Mistake(f"fields.{key}.hosts", "must name the hosts an address may have")
        return self


# From tables to the catalogue


def _brand(brand_id: str, table: object, built_in: Brand | None) -> Brand:
    if not _BRAND_ID.fullmatch(brand_id) or not isinstance(table, dict):
        raise Mistake(brand_id, "must be a table with an id such as MERCEDES_BENZ")
    brand = _corrected(built_in, table) if built_in else _new(brand_id, table)
    patterns = [("unit_id", brand.unit_id.pattern, LONGEST_UNIT_ID)]
    patterns += [(f"fields.{field.key}", field.pattern, field.max_length) for field in brand.fields]
    for key, pattern, longest in patterns:
        if is_slow(pattern, longest):
            raise Mistake(f"{key}.pattern", _SLOW % longest)
    return brand


def _new(brand_id: str, table: dict[str, Any]) -> Brand:
    entry = _validated(BrandTable, table)
    fields = tuple(_field(key, field, entry.hosts) for key, field in entry.fields.items())
    brand = Brand(
        brand_id,
        name=entry.name,
        kind=entry.kind,
        unit_id=_unit(entry.unit_id),
        fields=fields,
        hosts=tuple(dict.fromkeys([*entry.hosts, *(host for field in fields for host in field.hosts)])),
        steps=tuple(_in_readers_language(step) for step in entry.steps),
        note=_in_readers_language(entry.note),
        portal=entry.portal,
        tile=entry.tile or entry.name[:2].upper(),
    )
    return _with_sign_in(brand, _sign_in(entry.sign_in)) if entry.sign_in else brand


def _corrected(brand: Brand, table: dict[str, Any]) -> Brand:
    """A built-in brand with what an operator changes of it. Hosts are added to the brand's own."""
    entry = _validated(CorrectionTable, table)
    known = {field.key for field in brand.fields}
    for key in entry.fields:
        if key not in known:
            raise Mistake(f"fields.{key}", _BUILT_IN)
    fields = tuple(_corrected_field(field, entry.fields.get(field.key), entry.hosts) for field in brand.fields)
    brand = replace(
        brand,
        fields=fields,
        unit_id=replace(brand.unit_id, **_given(entry.unit_id)),
        hosts=tuple(dict.fromkeys([*brand.hosts, *entry.hosts, *(host for field in fields for host in field.hosts)])),
        steps=tuple(_in_readers_language(step) for step in entry.steps) or brand.steps,
        note=_in_readers_language(entry.note) or brand.note,
        portal=entry.portal or brand.portal,
    )
    if entry.sign_in is None:
        return brand
    return _with_sign_in(brand, _corrected_sign_in(brand.sign_in, entry.sign_in))


def _corrected_field(field: Field, table: FieldCorrectionTable | None, hosts_of_brand: list[str]) -> Field:
    if field.kind is Kind.URL:
        field = replace(field, hosts=tuple(dict.fromkeys([*field.hosts, *hosts_of_brand])))
    if table is None:
        return field
    changes = _given(table)
    if "hosts" in changes:
        if field.kind is not Kind.URL:
            raise Mistake(f"fields.{field.key}.hosts", "belong to an address")
        changes["hosts"] = tuple(dict.fromkeys([*field.hosts, *table.hosts]))
    return replace(field, **changes)


def _corrected_sign_in(sign_in: SignIn | None, table: SignInCorrectionTable) -> SignIn:
    if sign_in is None:
        if not table.url:
            raise Mistake("sign_in.url", "must be a text that is not empty")
        return _sign_in(table)
    entered = _sign_in(table)
    return replace(sign_in, **{key: getattr(entered, key) for key in table.model_fields_set})


def _given(table: Table) -> dict[str, Any]:
    """What a table names, with its texts in the reader's language."""
    values = {key: getattr(table, key) for key in table.model_fields_set}
    return {key: _in_readers_language(value) if isinstance(value, dict) else value for key, value in values.items()}


def _unit(table: UnitTable) -> Unit:
    vin_is_wrong = _("A VIN has 17 characters: digits and capitals without I, O and Q.")
    return Unit(
        label=_in_readers_language(table.label) or _("Unit id"),
        pattern=table.pattern or (_VIN if table.from_vin else ""),
        wrong=_in_readers_language(table.wrong) or (vin_is_wrong if table.from_vin else ""),
        example=table.example,
        usual=table.usual,
        from_vin=table.from_vin,
    )


def _field(key: str, table: FieldTable, hosts_of_brand: list[str]) -> Field:
    return Field(
        key=key,
        kind=table.kind,
        stored_as=StoredAs.of(table.kind),
        label=_in_readers_language(table.label) or key,
        help=_in_readers_language(table.help),
        missing=_in_readers_language(table.missing),
        required=table.required,
        pattern=table.pattern,
        wrong=_in_readers_language(table.wrong),
        example=table.example,
        choices=tuple(_choice(key, texts) for key, texts in table.choices.items()),
        hosts=tuple(table.hosts or hosts_of_brand) if table.kind is Kind.URL else (),
        max_length=table.max_length or _MAX_LENGTHS.get(table.kind, 200),
    )


def _choice(key: str, texts: dict[str, str]) -> Choice:
    by_language = {language: text for language, text in texts.items() if language != "value"}
    return Choice(key, _in_readers_language(by_language) or key, texts.get("value", key))


def _sign_in(table: SignInTable) -> SignIn:
    by_choice = {
        field: {choice: Address(address.url, address.audience) for choice, address in addresses.items()}
        for field, addresses in table.by_choice.items()
    }
    return SignIn(
        url=table.url,
        body=table.body,
        client=table.client,
        grant=table.grant,
        audience=table.audience,
        scopes=tuple(table.scopes),
        mutual_tls=table.mutual_tls,
        by_choice=by_choice,
        longest_life=table.longest_life,
    )


def _with_sign_in(brand: Brand, sign_in: SignIn) -> Brand:
    brand = replace(brand, sign_in=sign_in)
    _check_sign_in(sign_in, brand)
    return brand


def _check_sign_in(sign_in: SignIn, brand: Brand) -> None:
    """Refuse a sign-in that needs fields the brand does not have, or that may lead to a foreign host."""
    if sign_in.mutual_tls and Kind.PEM_KEY not in {field.kind for field in brand.fields}:
        raise Mistake("sign_in.mutual_tls", "needs a field with a certificate and one with its key")
    if sign_in.grant == "password" and {"username", "password"} - {field.key for field in brand.fields}:
        raise Mistake("sign_in.grant", "needs the fields username and password")
    if not brand.identifier_field:
        raise Mistake("sign_in.url", "needs a field of kind identifier to sign in with")
    _check_placeholders(sign_in, brand)
    _check_choices_with_addresses(sign_in, brand)
    for url in brand.sign_in_urls:
        if not brand.allows(outbound.host_of(url)):
            raise Mistake("sign_in.url", f"{url} must be https and of one of the brand's hosts")


def _check_placeholders(sign_in: SignIn, brand: Brand) -> None:
    """Every placeholder stands for a choice, or for an address field that is the whole URL.

    So all addresses that FleetControl will speak to are known when it starts. An address field checks its own hosts.
    """
    kinds = {field.key: field.kind for field in brand.settings_fields}
    for key in sign_in.needs:
        is_whole_url = kinds.get(key) is Kind.URL and sign_in.url == f"{{{key}}}"
        if kinds.get(key) is not Kind.CHOICE and not is_whole_url:
            raise Mistake("sign_in.url", f"{{{key}}} must be a choice, or an address that is the whole url")


def _check_choices_with_addresses(sign_in: SignIn, brand: Brand) -> None:
    choices = {field.key: {choice.key for choice in field.choices} for field in brand.settings_fields}
    for field, addresses in sign_in.by_choice.items():
        for choice, address in addresses.items():
            if choice not in choices.get(field, ()):
                raise Mistake(f"sign_in.by_choice.{field}.{choice}", "must be a choice of one of the brand's fields")
            if "{" in address.url + address.audience:
                raise Mistake(f"sign_in.by_choice.{field}.{choice}", "has no placeholders: it is one address")


def _in_readers_language(texts: dict[str, str]) -> StrOrPromise:
    if len(texts) > 1:
        return _pick_text(tuple(texts.items()))
    return next(iter(texts.values()), "")


def _text_now(texts: tuple[tuple[str, str], ...]) -> str:
    """The text of the active language, else the English one, else the first."""
    by_language = dict(texts)
    active = get_language() or "en"
    for language in (active, active.split("-")[0], "en"):
        if language in by_language:
            return by_language[language]
    return texts[0][1]


_pick_text = lazy(_text_now, str)


# From pydantic's errors to one sentence


def _validated[T: Table](model: type[T], table: dict[str, Any]) -> T:
    """The table as a model. Raises Mistake for the first thing that is wrong, a misspelt key before all else."""
    try:
        return model.model_validate(table)
    except pydantic.ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    raise _mistake(next((error for error in errors if error["type"] == "extra_forbidden"), errors[0]), model)


def _mistake(error: ErrorDetails, model: type[Table]) -> Mistake:
    # pydantic counts the items of a list, and marks the key of a table that is wrong itself.
    path = [part for part in error["loc"] if isinstance(part, str) and part != "[key]"]
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, Mistake):
        return Mistake(".".join([*path, reason.key] if reason.key else path), reason.what)
    return Mistake(".".join(path), _sentence(error, path, model))


def _sentence(error: ErrorDetails, path: list[str], model: type[Table]) -> str:
    match error["type"]:
        case "extra_forbidden" if (
            model is CorrectionTable and path[-1] in _table_at(path[:-1], BrandTable).model_fields
        ):
            return _BUILT_IN
        case "extra_forbidden":
            return f"is not known; the keys here are {', '.join(sorted(_table_at(path[:-1], model).model_fields))}"
        case "literal_error" | "enum":
            return f"must be one of {', '.join(re.findall(r"'(\w+)'", error['ctx']['expected']))}"
        case "string_type" if isinstance(error["loc"][-1], int):
            return _SENTENCES["list_type"]
        case "int_type" | "greater_than_equal" | "less_than_equal":
            return f"must be a number from 1 to {_LONGEST_LIFE if path[-1] == 'longest_life' else _LONGEST}"
        case other:
            return _SENTENCES.get(other, error["msg"])


_SENTENCES = {
    "string_type": "must be a text",
    "string_pattern_mismatch": "must be a language such as en or de, with a text",
    "list_type": "must be a list of texts",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "bool_type": "must be true or false",
}


def _table_at(path: list[str], model: type[Table]) -> type[Table]:
    is_correction = model is CorrectionTable
    match path:
        case ["unit_id"]:
            return UnitCorrectionTable if is_correction else UnitTable
        case ["sign_in"]:
            return SignInTable
        case ["sign_in", "by_choice", _field, _choice]:
            return AddressTable
        case ["fields", _key]:
            return FieldCorrectionTable if is_correction else FieldTable
        case _:
            return model
