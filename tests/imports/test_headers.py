"""The headers of real registers find their fields, choices are taken by their labels, and what stands twice is told."""

from functools import partial
from pathlib import Path

import pytest

from credentials.imports import CredentialImporter
from fleetcontrol.imports.columns import match_columns
from fleetcontrol.people.models import Fleet
from tests.support.factory import a_credential, a_vehicle
from tests.support.import_files import import_by_command
from vehicles.imports import VehicleImporter
from vehicles.models import Vehicle

run = partial(import_by_command, "import_vehicles")


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ("Fleet No; Vehicle Name; Vehicle No.; FLEET NUMBER; Fahrzeug-Nr.; Nombre; Voertuig; Nazwa pojazdu", "name"),
        ("Reg Plate; Registration; Reg. No.; Kfz-Kennzeichen; Plaque d'immatriculation; Matrícula; Targa; Kenteken; "
         "Numer rejestracyjny", "license_plate"),
        ("VIN Number; Chassis No; Fahrgestell-Nr.; Numéro de châssis; Bastidor; Telaio; Numer VIN", "vin"),
        ("Vehicle Make; Hersteller; Marque; Marca; Merk; Marka", "make"),
        ("Vehicle Model; Modèle; Modelo; Modello; Modell", "model"),
        ("Vehicle Model Year; Model Year; Année; Año; Anno; Bouwjaar; Rok produkcji", "year"),
        ("Vehicle Fuel Source; Fuel Type; Kraftstoff; Carburant; Combustible; Brandstof; Paliwo", "fuel_type"),
        ("serial; Serial No.; Device ID; Geräte-ID; Numéro de série; Serienummer; IMEI; QNR", "telematics_unit_id"),
        ("Betriebsstatus; Vehicle Status; Statut", "operation_status"),
        ("Kennwort; Mot de passe; Contraseña; Wachtwoord; Hasło", "password"),
        ("Zugangsdaten; Credential name; Credenciales", "credential"),
    ],
)  # fmt: skip
def test_headers_of_vehicle_registers(headers: str, field: str) -> None:
    for header in headers.split("; "):
        assert dict(match_columns(VehicleImporter.fields, [header]).positions) == {field: 0}, header


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ("Läuft ab; Ablaufdatum; Expiry date; Valid until; Gültig bis; Scadenza; Vervaldatum", "ends_on"),
        ("Geheimnis; Client Secret; API secret; Secreto", "client_secret"),
        ("Kennwort; Passwort; Password; Mot de passe", "password"),
        ("Benutzername; User; Login; Utilisateur", "username"),
        ("Bemerkung; Notes; Commentaire; Opmerking; Uwagi", "note"),
        ("Client-ID; App ID", "client_id"),
    ],
)
def test_headers_of_lists_of_credentials(headers: str, field: str) -> None:
    for header in headers.split("; "):
        assert dict(match_columns(CredentialImporter.fields, [header]).positions) == {field: 0}, header


def test_the_likeliest_of_several_columns_is_taken() -> None:
    found = match_columns(VehicleImporter.fields, ["Fleet No", "Vehicle", "Name", "Status", "Operation status"])
    assert dict(found.positions) == {"name": 2, "operation_status": 4}


def test_no_header_means_two_fields() -> None:
    for importer in (VehicleImporter, CredentialImporter):
        keys = [one.key for one in importer.fields]
        names = [name for one in importer.fields for name in {*one.headers}]
        assert sorted(names) == sorted(set(names))
        assert not {name for one in importer.fields for name in one.headers if name in keys and name != one.key}


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["GARAGE", "garage", "In the garage", "In der Werkstatt"])
def test_a_choice_is_taken_by_its_label_in_any_language(fleet: Fleet, tmp_path: Path, status: str) -> None:
    text = f"telematics_brand,qnr,status\nCloudBoxx,0123456789ABCDEF,{status}\n"
    assert run(fleet, text, tmp_path=tmp_path)[0] == 0
    assert Vehicle.objects.get().operation_status == "GARAGE"


@pytest.mark.django_db
@pytest.mark.parametrize("region", ["EU", "eu", "Europe", "Europa"])
def test_a_choice_of_a_brand_is_taken_by_its_label(fleet: Fleet, tmp_path: Path, region: str) -> None:
    text = f"name,brand,client_id,client_secret,region\nOne,SEGWAY,a,b-secret,{region}\n"
    assert import_by_command("import_credentials", fleet, text, tmp_path=tmp_path)[0] == 0
    assert fleet.credentials.get().settings["region"] == "eu"


@pytest.mark.django_db
def test_a_brand_nearly_named_is_asked_about(fleet: Fleet, tmp_path: Path) -> None:
    problems = run(fleet, "telematics_brand,vin\nMercedes,WDB9066331S123456\n", tmp_path=tmp_path)[2]
    assert "Did you mean MERCEDES_BENZ?" in problems[0]["reason"]


@pytest.mark.django_db
def test_a_plate_that_stands_twice_is_a_note(fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_vehicle(fleet, name="Old", license_plate="HH-NL 7")
    plates = ("HH NL 1", "hh-nl1", "HH NL 7")
    rows = [f"Van {number},CLOUDBOXX,FACE00000000000{number},{plate}\n" for number, plate in enumerate(plates)]
    text = "name,telematics_brand,qnr,plate\n" + "".join(rows)
    told = (
        "line 3, plate, note: This licence plate stands on line 2 too.\n"
        "line 4, plate, note: The vehicle “Old” of this fleet has this licence plate too.\n"
    )
    for flag in ("--on-duplicate=fail", "--on-duplicate=update"):
        code, summary, _ = run(fleet, text, flag, tmp_path=tmp_path)
        assert (code, summary["notes"], capsys.readouterr().err) == (0, 2, told)
    assert fleet.vehicles.count() == 4


@pytest.mark.django_db
def test_a_name_made_from_the_plate_says_so_when_it_is_taken(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Berlin")
    a_vehicle(fleet, name="HH-NL 1")
    text = "telematics_brand,qnr,plate\nCLOUDBOXX,1,HH-NL 1\nCLOUDBOXX,2,HH-NL 2\nCLOUDBOXX,3,HH-NL 2\n"
    code, _, problems = run(fleet, text, tmp_path=tmp_path)
    assert code == 1
    reasons = [one["reason"] for one in problems if one["column"] == "name"]
    made = "The row has no name, so it is made from its licence plate, VIN or unit: "
    assert reasons == [
        f"{made}this fleet already has a vehicle of that name. Give the vehicle a name.",
        f"{made}it stands on line 3 already. Give the vehicle a name.",
    ]
