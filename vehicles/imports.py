"""Vehicles from a file: which columns there are, how a row is cleaned, and what is written.

The rules are the model's own: lengths and words of its fields, its VIN, its brand's unit, `reach`. This
module only applies them to text, and quickly: a value that fits is not sent through the model's validators, one that
does not is, for their words. Empty cells say nothing: they take a default, or in an update leave what is there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import Ids
from fleetcontrol.imports.checks import NEW
from fleetcontrol.imports.importer import Importer, OnDuplicate, Options, Say
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed, fingerprint, seal
from vehicles import imports_sql as sql
from vehicles import reach
from vehicles import vin as vins
from vehicles.imports_columns import FIELDS, KEYS, WORDS
from vehicles.models import Vehicle

_VIN = re.compile(vins.PATTERN)
_TEXTS = ("name", "license_plate", "make", "model", "custom_name", "fuel_type", "transmission", "vehicle_type")
_LONGEST = {one.name: one.max_length or 0 for one in Vehicle._meta.fields if one.name in _TEXTS}
_LONGEST_UNIT = Vehicle._meta.get_field("telematics_unit_id").max_length or 0
_SHORTEST_LIMIT = min(_LONGEST.values())
_BRANDS_KEPT = 1000
_CHOICES = 500


class VehicleImporter(Importer):
    """See `Importer`."""

    kind = "vehicle"
    list_page = "vehicles:index"
    same_for_all = ("telematics_brand", "credential")
    table = "vehicles_vehicle"
    staging = sql.STAGING
    fields = FIELDS
    keys = KEYS

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        super().__init__(fleet, actor, options, given)
        self._ids = Ids()
        self._scope = f"fleet:{fleet.pk}"
        self._brands: dict[str, brands.Brand | str] = {}
        self._updates = options.on_duplicate is OnDuplicate.UPDATE

    @sensitive_variables("cells", "password")
    def stage(self, cells: Sequence[str], say: Say) -> Sequence[str]:
        (
            name, brand_text, unit, credential, password, vin, plate, make, model, custom_name, fuel, year,
            transmission, vehicle_type, custom_fields, tags, status,
        ) = map(str.strip, cells)  # fmt: skip
        texts = (name, plate, make, model, custom_name, fuel, transmission, vehicle_type)
        if max(map(len, texts)) > _SHORTEST_LIMIT:
            for key, text in zip(_TEXTS, texts, strict=True):
                if len(text) > _LONGEST[key]:
                    _checked(key, text, say)
        brand = self._brand(brand_text, say)
        good_vin = _vin(vin, say) if vin else ""
        own_unit = unit
        if brand is not None:
            rule = brand.unit_id
            unit = self._unit(brand, unit or (good_vin if rule.from_vin else ""), say)
            if not unit and not own_unit and not (rule.from_vin and vin):
                say("telematics_unit_id", "", WORDS["vehicle_unit_not_empty"], if_new=self._updates)
            for key, words, is_missing in _reach_errors(brand.id, brand.kind, bool(credential), bool(password)):
                value = "" if key == "password" else credential
                say(key, value, words.messages[0], if_new=self._updates and is_missing)
        vehicle_id = self._ids.next()
        sealed = digest = ""
        if password:
            sealed = seal(password, f"vehicle:{vehicle_id}").token.decode()
            digest = fingerprint(password, self._scope)
        return (
            vehicle_id, name or plate or good_vin or unit, "" if name else "t",
            brand.id if brand else "", brand.kind if brand else "", unit, "" if own_unit else "t",
            credential, sealed, digest, good_vin, plate, make, model, custom_name, fuel,
            _checked("year", year, say) if year else "", transmission, vehicle_type,
            _custom_fields(custom_fields, say) if custom_fields else "", _tags(tags, say) if tags else "",
            _checked("operation_status", status.upper(), say) if status else "",
        )  # fmt: skip

    def look_up(self, cursor: Any) -> None:
        cursor.execute(sql.REFERENCES, self.params)
        words = str(_("There is no credential “%(name)s” in this fleet."))
        cursor.execute(sql.MISSING_REFERENCES, {"cause": words})
        cursor.execute(sql.WRONG_BRANDS, {"cause": str(WORDS["vehicle_credential_of_same_fleet_and_brand"])})

    def check_updates(self, cursor: Any) -> None:
        words = str(_("The telematics brand of a vehicle cannot be changed: it is %(brand)s."))
        cursor.execute(sql.CHANGED_BRANDS, {"cause": words})
        words = str(WORDS["vehicle_credential_of_same_fleet_and_brand"])
        cursor.execute(sql.WRONG_BRANDS_OF_UPDATES, {"cause": words})

    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        if not self._updates:
            return []
        cursor.execute(sql.changes(self.given), {"most": most})
        return [[line, label, json.loads(changes)] for line, label, changes in cursor.fetchall()]

    @classmethod
    def counted(cls, count: int) -> str:
        return ngettext("%(count)d vehicle", "%(count)d vehicles", count) % {"count": count}

    @classmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        if key == "telematics_brand":
            return [(brand.id, brand.name) for brand in brands.catalogue().values()]
        found = fleet.credentials.order_by("name").values_list("name", "brand")[:_CHOICES]
        return [(name, f"{name} ({brands.find(brand).name})") for name, brand in found]

    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        params = {**self.params, **pages}
        cursor.execute(sql.INSERT.format(new=NEW), params)
        written: int = cursor.rowcount
        cursor.execute(sql.insert_events(self.given), params)
        return written

    def update(self, cursor: Any) -> int:
        self._seal_for_their_owners(cursor)
        cursor.execute(sql.update(self.given), self.params)
        changed: int = cursor.rowcount
        return changed

    def _seal_for_their_owners(self, cursor: Any) -> None:
        """Passwords were sealed for the ids of new vehicles; those of changed vehicles need their own."""
        cursor.execute(sql.NEW_PASSWORDS)
        for line, made_for, owner, token in cursor.fetchall():
            password = Sealed(bytes(token)).open(f"vehicle:{made_for}")
            sealed = seal(password, f"vehicle:{owner}").token
            cursor.execute("UPDATE import_row SET unit_password = %s WHERE line = %s", [sealed, line])

    def _brand(self, text: str, say: Say) -> brands.Brand | None:
        if not text:
            say("telematics_brand", "", _("Enter the telematics brand."), if_new=self._updates)
            return None
        brand = self._brands.get(text)
        if brand is None:
            try:
                brand = brands.find(text)
            except brands.UnknownBrand as error:
                brand = str(error)
            if len(self._brands) < _BRANDS_KEPT:
                self._brands[text] = brand
        if isinstance(brand, str):
            say("telematics_brand", text, brand)
            return None
        return brand

    def _unit(self, brand: brands.Brand, unit: str, say: Say) -> str:
        """The unit's id as the brand's own cleaning gives it; what that would give back as it is is not sent there."""
        rule = brand.unit_id
        kept = vins.clean(unit) if rule.from_vin else unit
        is_plain = len(kept) <= _LONGEST_UNIT and kept.isascii() and kept.isprintable()
        if not kept or (is_plain and (not rule.pattern or re.fullmatch(rule.pattern, kept))):
            return kept
        try:
            return rule.clean(unit)
        except ValidationError as error:
            say("telematics_unit_id", unit, error.messages[0])
            return ""


def _vin(text: str, say: Say) -> str:
    vin = vins.clean(text)
    if not _VIN.match(vin):
        if len(vin) != 17:
            say("vin", text, _("A VIN has 17 characters, this one has %(count)s."), count=len(vin))
        else:
            say("vin", text, vins.WORDS)
        return ""
    if vins.check_digit_is_wrong(vin):
        say("vin", text, _("The check digit of this VIN is wrong. European VINs need none."), note=True)
    return vin


@lru_cache(maxsize=256)
def _reach_errors(brand: str, kind: str, *has: bool) -> list[tuple[str, ValidationError, bool]]:
    """The model's own words for a credential or password that is missing or too much: field, words, is it missing."""
    credential, password = has
    present = {"credential": credential, "password": password}
    errors = reach.errors(brands.stored(brand), kind, credential=credential, password=password)
    return [(key, found[0], not present[key]) for key, found in errors.items()]


def _checked(key: str, text: str, say: Say) -> str:
    """The text if the model's field takes it, else "" and the field's own words."""
    try:
        return _clean(key, text)
    except ValidationError as error:
        say(key, text, error.messages[0])
        return ""


@lru_cache(maxsize=4096)
def _clean(key: str, text: str) -> str:
    field: Any = Vehicle._meta.get_field(key)
    return str(field.clean(text, None))


def _custom_fields(text: str, say: Say) -> str:
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        found = None
    if isinstance(found, dict) and "\\u0000" not in text:
        return text
    say("custom_fields", text, _('Custom fields are written as a JSON object, such as {"cost centre": "4711"}.'))
    return ""


def _tags(text: str, say: Say) -> str:
    """Tags between commas, or a JSON list of them, as PostgreSQL's array."""
    try:
        found = json.loads(text) if text.startswith("[") else [tag.strip() for tag in text.split(",")]
        field: Any = Vehicle._meta.get_field("tags")
        tags = field.clean([tag for tag in found if tag], None)
    except (json.JSONDecodeError, RecursionError):
        say("tags", text, _("Tags stand between commas or in a JSON list."))
        return ""
    except ValidationError as error:
        say("tags", text, error.messages[0])
        return ""
    quoted = ['"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"' for tag in tags]
    return "{" + ",".join(quoted) + "}"
