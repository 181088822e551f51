"""Import vehicles: the columns of a file, the cleaning of its rows, and what is written.

The rules are the model's own: its fields' lengths and sentences, its VIN, its brand's unit ID, what its brand needs.
This module only applies them to text, and fast: it sends only values that do not fit through the model's validators,
for their sentences. An empty cell takes the default; in an update it leaves the value as it is.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials.imports import BrandColumn, known_brand
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import Ids
from fleetcontrol.db.texts import refuse_odd, refuse_untypable_within, tidied, tidied_plate, trimmed, untypable
from fleetcontrol.imports.checks import IS_NEW
from fleetcontrol.imports.columns import Field
from fleetcontrol.imports.importer import FieldCleaner, Importer, Key, OnDuplicate, Options, RowFindings
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed, seal, secret_fingerprint
from fleetcontrol.tabular.words import is_spreadsheet_number
from vehicles import imports_sql as sql
from vehicles import vin as vins
from vehicles.models import Vehicle, reach_errors, require_plain_values

# The sentence of each of the model's constraints.
_SENTENCES = {one.name: getattr(one, "violation_error_message", "") for one in Vehicle._meta.constraints}
# The headers that registers use: INVERS's own, then English, German, French, Spanish, Italian, Dutch and Polish ones.
_FIELDS = (
    Field(
        "name",
        _("Name"),
        "vehicle vehiclename fleetno fleetnumber vehicleno vehiclenumber carname unitname asset assetname "
        "fahrzeug fahrzeugname bezeichnung fahrzeugnr fahrzeugnummer flottennummer wagennummer "
        "nom nomduvehicule vehicule nombre nombredelvehiculo vehiculo nome nomedelveicolo nomeveicolo veicolo "
        "naam voertuig voertuignaam nazwa nazwapojazdu pojazd",
        is_shown=True,
    ),
    Field("telematics_brand", _("Telematics brand"), "oem oemname telematicsoem telematicsprovider telematikmarke"),
    Field(
        "telematics_unit_id",
        _("Telematics unit ID"),
        "unitid unit qnr imei serialnumber serialno serial unitserial deviceid device boxid "
        "seriennummer seriennr geraeteid geraetenummer numerodeserie numerodiserie matricola serienummer "
        "numerseryjny nrseryjny",
    ),
    Field(
        "credential",
        _("Credential"),
        "credentials credentialsid credentialid credentialname zugangsdaten "
        "identifiants credenciales credenziali inloggegevens poswiadczenia",
    ),
    Field(
        "password",
        _("Unit password"),
        "unitpassword passwort kennwort geraetepasswort motdepasse contrasena wachtwoord hasło",
        is_secret=True,
    ),
    Field(
        "vin",
        _("VIN"),
        "vinnumber vinno vehicleidentificationnumber chassisnumber chassisno chassis fin fahrgestellnummer "
        "fahrgestellnr fahrzeugidentnummer fahrzeugidentifizierungsnummer fahrzeugidentifikationsnummer "
        "numerodechassis numerodidentification niv bastidor numerodebastidor telaio numeroditelaio chassisnummer "
        "numervin nrvin nrnadwozia numernadwozia",
        is_shown=True,
    ),
    Field(
        "license_plate",
        _("Licence plate"),
        "licenceplate plate platenumber plateno numberplate licenseplatenumber licenceplatenumber registration "
        "registrationnumber registrationno registrationplate regplate regnumber regno reg "
        "kennzeichen amtlicheskennzeichen kfzkennzeichen nummernschild "
        "immatriculation numerodimmatriculation plaque plaquedimmatriculation matricula placa targa kenteken "
        "rejestracja numerrejestracyjny nrrejestracyjny tablicarejestracyjna",
        is_shown=True,
    ),
    Field(
        "make",
        _("Make"),
        "vehiclemake carmake brand manufacturer hersteller marke fabrikat "
        "marque constructeur marca fabricante costruttore merk fabrikant marka producent",
    ),
    Field(
        "model", _("Model"), "vehiclemodel carmodel modelname modell modellname fahrzeugmodell modele modelo modello"
    ),
    Field("custom_name", _("Own name"), "customname nickname alias eigenername rufname surnom apodo soprannome"),
    Field(
        "fuel_type",
        _("Fuel type"),
        "fuel fuelsource vehiclefuelsource vehiclefueltype kraftstoff kraftstoffart antrieb antriebsart treibstoff "
        "carburant typedecarburant energie combustible tipodecombustible carburante alimentazione brandstof "
        "paliwo rodzajpaliwa",
    ),
    Field(
        "year",
        _("Year"),
        "modelyear vehiclemodelyear vehicleyear yearofproduction productionyear baujahr modelljahr herstellungsjahr "
        "annee anneemodele ano anomodelo anodefabricacion anno annodiproduzione bouwjaar jaar rok rokprodukcji",
    ),
    Field(
        "transmission",
        _("Transmission"),
        "gearbox getriebe getriebeart boitedevitesses transmision cambio trasmissione versnellingsbak transmissie "
        "skrzyniabiegow",
    ),
    Field(
        "vehicle_type",
        _("Vehicle type"),
        "vehicleclass vehiclecategory bodytype fahrzeugart fahrzeugtyp fahrzeugklasse "
        "typedevehicule tipodevehiculo tipodiveicolo tipoveicolo voertuigtype typpojazdu rodzajpojazdu",
    ),
    Field("vehicle_model_id", _("Vehicle model ID"), "modelid vehiclemodelid modellid fahrzeugmodellid"),
    Field("custom_fields", _("Custom fields"), "eigenefelder"),
    Field("tags", _("Tags"), "tag labels schlagwoerter schlagworte etiquettes etiquetas etichette etykiety tagi"),
    Field("operation_status", _("Operation status"), "status vehiclestatus betriebsstatus statut estado stato"),
)
_KEYS = (
    Key(
        "vin",
        ("r.vin",),
        ("v.vin",),
        _("This VIN stands on line %(first)s already."),
        _SENTENCES["vehicle_vin_unique_in_fleet"],
    ),
    Key(
        "telematics_unit_id",
        ("r.telematics_brand", "r.telematics_unit_id"),
        ("v.telematics_brand", "v.telematics_unit_id"),
        _("This telematics unit stands on line %(first)s already."),
        _SENTENCES["vehicle_unit_unique_in_fleet_and_brand"],
        derived="r.unit_is_derived IS TRUE",
    ),
    Key(
        "name",
        ("r.name",),
        ("v.name",),
        _("This name stands on line %(first)s already."),
        _SENTENCES["vehicle_name_unique_in_fleet"],
        derived="r.name_is_derived IS TRUE",
        derived_in_file=_(
            "The row has no name, so it is made from its licence plate, VIN or unit: "
            "it stands on line %(first)s already. Give the vehicle a name."
        ),
        derived_in_fleet=_(
            "The row has no name, so it is made from its licence plate, VIN or unit: "
            "this fleet already has a vehicle of that name. Give the vehicle a name."
        ),
    ),
)

_VIN = re.compile(vins.PATTERN)
_TEXTS = ("name", "license_plate", "make", "model", "custom_name", "fuel_type", "transmission", "vehicle_type")
_LONGEST = {one.name: one.max_length or 0 for one in Vehicle._meta.fields if one.name in _TEXTS}
_LONGEST_UNIT = Vehicle._meta.get_field("telematics_unit_id").max_length or 0
_SHORTEST_LIMIT = min(_LONGEST.values())
_CHOICES = 500
_UNIT, _PASSWORD = (number for number, one in enumerate(_FIELDS) if one.key in ("telematics_unit_id", "password"))
_field_cleaner = FieldCleaner(Vehicle, texts_kept=4096)


class VehicleImporter(Importer):
    kind = "vehicle"
    label = _("Vehicles")
    hint = _("Names, VINs, plates and the credential each uses.")
    order = 1
    command = "import_vehicles"
    list_page = "vehicles:index"
    table = "vehicles_vehicle"
    fields = _FIELDS
    keys = _KEYS
    several_targets = _("Name, VIN and unit of this row belong to different vehicles of the fleet.")
    row_query = sql.ROW_QUERY
    same_for_all = ("telematics_brand", "credential")

    def __init__(self, fleet: Fleet, actor: Actor, options: Options, given: frozenset[str]) -> None:
        super().__init__(fleet, actor, options, given)
        self._ids = Ids()
        self.params["brands_by_vin"] = [one.id for one in brands.catalogue().values() if one.unit_id.from_vin]
        self._fingerprint_scope = f"fleet:{fleet.pk}"
        self._brands = BrandColumn(
            "telematics_brand", brands.find, missing=_("Enter the telematics brand."), if_new=self.is_update
        )

    @sensitive_variables("cells", "row", "password")
    def clean_row(self, cells: Sequence[str], findings: RowFindings) -> Sequence[str]:
        row = "".join(cells)
        is_plain = row.isascii() and row.isprintable()
        (
            name, brand_text, unit, credential, password, vin, plate, make, model, custom_name, fuel, year,
            transmission, vehicle_type, model_id, custom_fields, tags, status,
        ) = map(str.strip if is_plain else tidied, cells)  # fmt: skip
        if not is_plain:
            unit, password, plate = trimmed(cells[_UNIT]), trimmed(cells[_PASSWORD]), tidied_plate(plate)
        texts = (name, plate, make, model, custom_name, fuel, transmission, vehicle_type)
        if not is_plain or max(map(len, texts)) > _SHORTEST_LIMIT:
            for key, text in zip(_TEXTS, texts, strict=True):
                if len(text) > _LONGEST[key] or untypable(text):
                    _field_cleaner.clean(key, text, findings)
        brand = self._brands.read(brand_text, findings)
        good_vin = _clean_vin(vin, findings) if vin else ""
        own_unit = unit
        if brand is not None:
            rule = brand.unit_id
            unit = _clean_unit(brand, unit or (good_vin if rule.from_vin else ""), findings)
            if unit and rule.usual and (note := rule.note(unit)):
                findings.add("telematics_unit_id", unit, note, note=True)
            if not unit and not own_unit and not (rule.from_vin and vin):
                findings.add("telematics_unit_id", "", _SENTENCES["vehicle_unit_not_empty"], if_new=self.is_update)
            for key, error, is_missing in _reach_errors(brand.id, brand.kind, bool(credential), bool(password)):
                value = "" if key == "password" else credential
                findings.add(key, value, error.messages[0], if_new=self.is_update and is_missing)
        vehicle_id = self._ids.next()
        sealed = digest = ""
        if password and (password := _clean_password(brand, password, findings)):
            sealed = seal(password, f"vehicle:{vehicle_id}").token.decode()
            digest = secret_fingerprint(password, self._fingerprint_scope)
        return (
            vehicle_id, name or plate or good_vin or unit, "" if name else "t",
            brand.id if brand else "", brand.kind if brand else "", unit, "" if own_unit else "t",
            credential, sealed, digest, good_vin, plate, make, model, custom_name, fuel,
            _field_cleaner.clean("year", year, findings) if year else "", transmission, vehicle_type,
            _field_cleaner.clean("vehicle_model_id", model_id, findings) if model_id else "",
            _clean_custom_fields(custom_fields, findings) if custom_fields else "",
            _clean_tags(tags, findings) if tags else "",
            _field_cleaner.clean("operation_status", status, findings) if status else "",
        )  # fmt: skip

    def look_up(self, cursor: Any) -> None:
        cursor.execute(sql.REFERENCES, self.params)
        words = str(_("There is no credential of this name in this fleet."))
        cursor.execute(sql.MISSING_REFERENCES, {"cause": words})
        cursor.execute(sql.WRONG_BRANDS, {"cause": str(_SENTENCES["vehicle_credential_of_same_fleet_and_brand"])})

    def add_notes(self, cursor: Any) -> None:
        if "license_plate" in self.given:
            causes = {
                "in_file": str(_("This licence plate stands on line %(first)s too.")),
                "in_fleet": str(_("The vehicle “%(name)s” of this fleet has this licence plate too.")),
            }
            cursor.execute(sql.PLATES_TWICE, self.params | causes)

    def check_updates(self, cursor: Any) -> None:
        words = str(_("The telematics brand of a vehicle cannot be changed: it is %(brand)s."))
        cursor.execute(sql.CHANGED_BRANDS, {"cause": words})
        self._clean_units_without_brand(cursor)
        words = str(_SENTENCES["vehicle_credential_of_same_fleet_and_brand"])
        cursor.execute(sql.WRONG_BRANDS_OF_UPDATES, {"cause": words})
        causes = {
            "name_cause": str(_SENTENCES["vehicle_name_unique_in_fleet"]),
            "unit_cause": str(_SENTENCES["vehicle_unit_unique_in_fleet_and_brand"]),
        }
        cursor.execute(sql.TAKEN_BY_CORRECTED_VINS, self.params | causes)

    def changes(self, cursor: Any, most: int) -> list[list[Any]]:
        if not self.is_update:
            return []
        cursor.execute(sql.changes(self.given), self.params | {"most": most})
        return [[line, label, json.loads(changes)] for line, label, changes in cursor.fetchall()]

    @classmethod
    def means(cls, key: str, text: str) -> bool:
        return key != "operation_status" or _field_cleaner.takes(key, text)

    @classmethod
    def lacking(cls, given: Collection[str], constants: Mapping[str, str], on_duplicate: OnDuplicate) -> str:
        if on_duplicate is OnDuplicate.UPDATE:
            return ""  # the vehicles have it
        if "telematics_brand" not in given:
            return "telematics_brand"
        try:
            brand = brands.find(constants.get("telematics_brand", ""))
        except brands.UnknownBrand:
            return ""
        return "credential" if brand.kind == "shared" and "credential" not in given else ""

    @classmethod
    def counted(cls, count: int) -> str:
        return ngettext("%(count)d vehicle", "%(count)d vehicles", count) % {"count": count}

    @classmethod
    def known(cls, fleet: Fleet, key: str, text: str) -> str:
        if key == "telematics_brand":
            return known_brand(text, brands.find)
        if key == "credential":
            named = models.Q(name__iexact=text.strip()) | models.Q(pk=text.strip())
            return next(iter(fleet.credentials.filter(named).values_list("name", flat=True)[:1]), "")
        return ""

    @classmethod
    def choices(cls, fleet: Fleet, key: str) -> list[tuple[str, str]]:
        if key == "telematics_brand":
            return [(brand.id, brand.name) for brand in brands.catalogue().values()]
        found = fleet.credentials.order_by("name").values_list("name", "brand")[:_CHOICES]
        return [(name, f"{name} ({brands.find(brand).name})") for name, brand in found]

    def insert(self, cursor: Any, pages: Mapping[str, Any]) -> int:
        params = {**self.params, **pages}
        cursor.execute(sql.INSERT.format(is_new=IS_NEW), params)
        written: int = cursor.rowcount
        cursor.execute(sql.insert_events(self.given), params)
        return written

    def update(self, cursor: Any) -> int:
        self._seal_for_their_owners(cursor)
        cursor.execute(sql.update(self.given), self.params)
        changed: int = cursor.rowcount
        return changed

    def _clean_units_without_brand(self, cursor: Any) -> None:
        """Clean the unit IDs of rows that leave their brand to the vehicle that they change."""
        cursor.execute(sql.UNITS_WITHOUT_BRAND)
        for line, text, brand in cursor.fetchall():
            try:
                unit = brands.stored(brand).unit_id.clean(text)
            except ValidationError as error:
                cursor.execute(sql.WRONG_UNIT, [line, error.messages[0]])
            else:
                cursor.execute("UPDATE import_row SET telematics_unit_id = %s WHERE line = %s", [unit, line])

    def _seal_for_their_owners(self, cursor: Any) -> None:
        """Seal the passwords of changed vehicles again: each was sealed for the ID of a new vehicle."""
        cursor.execute(sql.NEW_PASSWORDS)
        for line, new_id, vehicle_id, token in cursor.fetchall():
            password = Sealed(bytes(token)).open(f"vehicle:{new_id}")
            sealed = seal(password, f"vehicle:{vehicle_id}").token
            cursor.execute("UPDATE import_row SET unit_password = %s WHERE line = %s", [sealed, line])


@sensitive_variables()
def _clean_password(brand: brands.Brand | None, password: str, findings: RowFindings) -> str:
    """The password as its brand cleans it; an update need not name the brand."""
    try:
        if brand is not None:
            return brand.clean_unit_password(password)
        refuse_odd(password)
    except ValidationError as error:
        findings.add("password", "", error.messages[0])
        return ""
    return password


def _clean_unit(brand: brands.Brand, unit: str, findings: RowFindings) -> str:
    """The unit's ID as its brand cleans it. An ID that the cleaning would return as it is skips the cleaning."""
    rule = brand.unit_id
    tidy = vins.clean(unit) if rule.from_vin else unit
    is_plain = len(tidy) <= _LONGEST_UNIT and tidy.isascii() and tidy.isprintable()
    is_number = not tidy.isalnum() and is_spreadsheet_number(tidy)
    if not tidy or (is_plain and not is_number and (not rule.pattern or re.fullmatch(rule.pattern, tidy))):
        return tidy
    try:
        return rule.clean(unit)
    except ValidationError as error:
        findings.add("telematics_unit_id", unit, error.messages[0])
        return ""


def _clean_vin(text: str, findings: RowFindings) -> str:
    vin = vins.clean(text)
    if not _VIN.match(vin):
        if len(vin) != 17:
            findings.add("vin", text, _("A VIN has 17 characters, this one has %(count)s."), count=len(vin))
        else:
            findings.add("vin", text, vins.WORDS)
        return ""
    if vins.check_digit_is_wrong(vin):
        findings.add("vin", text, _("The check digit of this VIN is wrong. European VINs need none."), note=True)
    return vin


@lru_cache(maxsize=256)
def _reach_errors(brand: str, kind: str, *has: bool) -> list[tuple[str, ValidationError, bool]]:
    """The model's errors for a credential or password that is missing or superfluous: field, error, is it missing."""
    credential, password = has
    present = {"credential": credential, "password": password}
    errors = reach_errors(brands.stored(brand), kind, credential=credential, password=password)
    return [(key, found[0], not present[key]) for key, found in errors.items()]


def _clean_custom_fields(text: str, findings: RowFindings) -> str:
    """The text itself, if it is a JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or a number of thousands of digits, or too deep
        found = None
    if isinstance(found, dict):
        try:
            refuse_untypable_within(found)
            require_plain_values(found)
        except ValidationError as error:
            findings.add("custom_fields", text, error.messages[0])
        return text
    sentence = _('Custom fields are written as a JSON object, such as {"cost centre": "4711"}.')
    findings.add("custom_fields", text, sentence)
    return ""


def _clean_tags(text: str, findings: RowFindings) -> str:
    """Tags between commas or in a JSON list, as an array literal of PostgreSQL."""
    try:
        found = json.loads(text) if text.startswith("[") else [tag.strip() for tag in text.split(",")]
        if any(isinstance(tag, list | dict) for tag in found):
            raise ValidationError(_("Tags stand between commas or in a JSON list."))
        field: Any = Vehicle._meta.get_field("tags")
        tags = field.clean([tag for tag in found if tag], None)
    except (ValueError, RecursionError):  # no JSON, or a number of thousands of digits, or too deep
        findings.add("tags", text, _("Tags stand between commas or in a JSON list."))
        return ""
    except ValidationError as error:
        findings.add("tags", text, error.messages[0])
        return ""
    quoted = ['"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"' for tag in tags]
    return "{" + ",".join(quoted) + "}"
