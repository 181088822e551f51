"""The columns of a file of vehicles, by every name they go by, and the values that tell one vehicle from another."""

from django.utils.translation import gettext_lazy as _

from fleetcontrol.imports.columns import Field
from fleetcontrol.imports.importer import Key
from vehicles.models import Vehicle

WORDS = {one.name: getattr(one, "violation_error_message", "") for one in Vehicle._meta.constraints}
"""The model's own words for each of its rules."""

FIELDS = (
    Field("name", _("Name"), "vehicle vehiclename fahrzeug fahrzeugname bezeichnung"),
    Field("telematics_brand", _("Telematics brand"), "oem telematikmarke"),
    Field("telematics_unit_id", _("Telematics unit ID"), "unitid unit qnr imei serialnumber seriennummer geraeteid"),
    Field("credential", _("Credential"), "credentials credentialsid credentialid credentialname zugangsdaten"),
    Field("password", _("Unit password"), "unitpassword passwort kennwort", is_secret=True),
    Field(
        "vin",
        _("VIN"),
        "vehicleidentificationnumber chassisnumber fin fahrgestellnummer fahrzeugidentnummer "
        "fahrzeugidentifizierungsnummer fahrzeugidentifikationsnummer",
    ),
    Field(
        "license_plate",
        _("Licence plate"),
        "licenceplate plate platenumber registration kennzeichen amtlicheskennzeichen",
    ),
    Field("make", _("Make"), "brand manufacturer hersteller marke fabrikat"),
    Field("model", _("Model"), "modell"),
    Field("custom_name", _("Own name"), "eigenername"),
    Field("fuel_type", _("Fuel type"), "fuel kraftstoff kraftstoffart antrieb"),
    Field("year", _("Year"), "modelyear yearofproduction productionyear baujahr modelljahr"),
    Field("transmission", _("Transmission"), "gearbox getriebe"),
    Field("vehicle_type", _("Vehicle type"), "fahrzeugart fahrzeugtyp"),
    Field("custom_fields", _("Custom fields"), "eigenefelder"),
    Field("tags", _("Tags"), "tag labels schlagwoerter"),
    Field("operation_status", _("Operation status"), "status betriebsstatus"),
)
KEYS = (
    Key(
        "vin",
        ("r.vin",),
        ("v.vin",),
        _("This VIN stands on line %(first)s already."),
        WORDS["vehicle_vin_unique_in_fleet"],
    ),
    Key(
        "telematics_unit_id",
        ("r.telematics_brand", "r.telematics_unit_id"),
        ("v.telematics_brand", "v.telematics_unit_id"),
        _("This telematics unit stands on line %(first)s already."),
        WORDS["vehicle_unit_unique_in_fleet_and_brand"],
        derived="r.unit_is_derived IS TRUE",
    ),
    Key(
        "name",
        ("r.name",),
        ("v.name",),
        _("This name stands on line %(first)s already."),
        WORDS["vehicle_name_unique_in_fleet"],
        derived="r.name_is_derived IS TRUE",
    ),
)
