"""The demo: two fleets to try FleetControl with, made through the models' own verbs.

People and plates are invented (no German district has an X), VINs follow the rules of their makers and have correct
check digits, secrets are random.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.contrib.auth.hashers import make_password
from django.db import transaction

from credentials.models import SILENT_TIMES, VERDICT_FIELDS, Credential
from credentials.oem.verdict import Outcome, Verdict
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.accounts import new_person
from fleetcontrol.people.models import Fleet, Membership, Role, User
from vehicles.models import OperationStatus, Vehicle
from vehicles.vin import check_digit

PEOPLE = {"Alice": Role.ADMINISTRATOR, "Bob": Role.MANAGER, "Vera": Role.VIEWER}
DOMAIN = "demo.example"
VERDICTS = {
    "works": Outcome.WORKS,
    "refused": Outcome.REFUSED,
    "scopes": Outcome.SCOPES_MISSING,
    "timeout": Outcome.NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """`number` vehicles of one brand, with a new credential if the brand shares one.

    `models` are the make, the model and, for a VIN, its first eight characters.
    """

    brand: str
    number: int
    models: tuple[tuple[str, str, str], ...] = ()
    credential: str = ""
    note: str = ""
    verdict: str = ""  # outcome of the credential's check, a key of VERDICTS
    ends_in: int | None = None  # days
    settings: dict[str, str] = field(default_factory=dict)


VANS = (("Mercedes-Benz", "eSprinter", "W1V3KCFZ"), ("Mercedes-Benz", "eVito", "W1V44760"))
CARS = (("Mercedes-Benz", "EQA", "W1N2437A"), ("Mercedes-Benz", "EQB", "W1N2436A"))
TESLAS = (("Tesla", "Model 3", "LRW3E7EK"), ("Tesla", "Model Y", "XP7YGCEE"))
PEUGEOTS = (("Peugeot", "e-Expert", "VF3VAZKX"), ("Opel", "Vivaro-e", "W0VVAZKX"))
FIATS = (("Fiat", "500e", "ZFA3320A"),)
BMWS = (("BMW", "iX1", "WBY11EF0"), ("BMW", "i4", "WBY71AW0"))
BOXED = (("Volkswagen", "Caddy", "WV1ZZZSK"), ("Renault", "Kangoo", "VF1RFK00"))

NORDLICHT = (
    Batch("MERCEDES_BENZ", 80, VANS, "Mercedes-Benz North", "Contract 2024, region north", "works"),
    Batch("MERCEDES_BENZ", 25, CARS, "Mercedes-Benz South", "Ends with the leasing contract", "works", ends_in=12),
    Batch("TESLA", 30, TESLAS, "Tesla Europe", verdict="refused", settings={"region": "EU"}),
    Batch("STELLANTIS", 20, PEUGEOTS, "Stellantis vans", settings={"username": "nordlicht-api"}),
    Batch("FREE2MOVE", 15, FIATS, "Free2Move city cars", verdict="timeout"),
    Batch("HIGH_MOBILITY", 15, BMWS, "High Mobility", "BMW by way of High Mobility", "scopes"),
    Batch("NIU", 30, (("NIU", "NQi", ""),), "NIU scooters"),
    Batch("SEGWAY", 0, (), "Segway pilot", "For the pilot in spring, not used yet", "works", settings={"region": "EU"}),
    Batch("OKAI", 10, (("OKAI", "EB300", ""),)),
    Batch("CLOUDBOXX", 25, BOXED),
)
HAFENSTADT = (
    Batch("MERCEDES_BENZ", 20, CARS, "Mercedes-Benz car sharing", verdict="works"),
    Batch("CLOUDBOXX", 10, BOXED),
)


def make(password: str) -> None:
    """Make both fleets and their people, who sign in with this password."""
    with transaction.atomic():
        hashed = make_password(password)
        people = {name: _person(name, hashed) for name in [*PEOPLE, "Charlie"]}
        alice = Actor.of(people["Alice"])
        nordlicht = Fleet.add(
            name="Nordlicht Logistik", slug="demo", actor=Actor.command("quickstart"), administrator=people["Alice"]
        )
        for name in ("Bob", "Vera"):
            Membership.add(fleet=nordlicht, user=people[name], role=PEOPLE[name], actor=alice)
        _fill(nordlicht, Actor.of(people["Bob"]), NORDLICHT)
        hafenstadt = Fleet.add(
            name="Hafenstadt Carsharing", actor=Actor.command("quickstart"), administrator=people["Charlie"]
        )
        charlie = Actor.of(people["Charlie"])
        Membership.add(fleet=hafenstadt, user=people["Bob"], role=Role.VIEWER, actor=charlie)
        _fill(hafenstadt, charlie, HAFENSTADT)


def _person(name: str, hashed: str) -> User:
    """Make a person. Alice may use the Django admin too."""
    person = new_person(email=f"{name.lower()}@{DOMAIN}", name=name)
    person.password = hashed
    person.is_staff = person.is_superuser = name == "Alice"
    person.save()
    return person


def _fill(fleet: Fleet, actor: Actor, batches: tuple[Batch, ...]) -> None:
    numbers = count(101)
    for batch in batches:
        credential = _credential(fleet, actor, batch) if batch.credential else None
        for vehicle in _vehicles(batch, numbers):
            Vehicle.add(fleet=fleet, actor=actor, telematics_brand=batch.brand, credential=credential, **vehicle)


def _credential(fleet: Fleet, actor: Actor, batch: Batch) -> Credential:
    values = {"client_id": f"{fleet.slug}-{secrets.token_hex(6)}", **batch.settings}
    if batch.brand == "STELLANTIS":
        values |= {"password": secrets.token_urlsafe(18), **_certificate(days=20)}
    else:
        values["client_secret"] = secrets.token_urlsafe(24)
    ends_on = datetime.now(UTC).date() + timedelta(days=batch.ends_in) if batch.ends_in else None
    credential = Credential.add(
        fleet=fleet,
        actor=actor,
        brand=batch.brand,
        name=batch.credential,
        values=values,
        note=batch.note,
        ends_on=ends_on,
    )
    if batch.verdict:
        _settle(credential, actor, batch.verdict)
    if batch.number:
        credential.record_use()
    return credential


def _settle(credential: Credential, actor: Actor, code: str) -> None:
    """Record what a check would have found, without asking the OEM."""
    before = credential.status
    for _time in range(SILENT_TIMES if VERDICTS[code] is Outcome.NO_ANSWER else 1):
        credential.apply_verdict(Verdict(VERDICTS[code], credential.oem, code))
    credential.save(update_fields=VERDICT_FIELDS)
    changes = {"status": [before, credential.status], "reason": [None, code]}
    AuditEvent.record(credential.fleet, actor, "credential.verify", credential, changes)


def _vehicles(batch: Batch, numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
    """The fields of a batch's vehicles."""
    for (make, model, vin_start), number, _one in zip(
        cycle(batch.models or [("", "", "")]), numbers, range(batch.number)
    ):
        year = 2021 + number % 5
        in_garage = number % 17 == 0
        yield {
            "name": f"{model} {number}",
            "telematics_unit_id": _unit(batch.brand, number),
            "password": secrets.token_urlsafe(9) if batch.brand == "OKAI" else "",
            "vin": vin(vin_start, year, number) if vin_start else "",
            "license_plate": f"XN-L {number}E" if vin_start else "",
            "make": make,
            "model": model,
            "year": year,
            "fuel_type": "ELECTRIC",
            "tags": ["depot Hamburg" if number % 2 else "depot Bremen"],
            "operation_status": OperationStatus.GARAGE if in_garage else OperationStatus.OPERATING,
        }


def _unit(brand: str, number: int) -> str:
    """The id of a telematics unit, as its maker prints it. "" if the VIN identifies the unit."""
    if brand == "NIU":
        return f"NBSG4C7B{40600 + number}G5M"
    if brand == "OKAI":
        return f"86123405{number:07}"
    if brand == "CLOUDBOXX":
        return f"{0xC10B0000 + number:016X}"
    return ""


def vin(start: str, year: int, number: int) -> str:
    """A VIN that starts with these eight characters, with its model year (2010 to 2030) and check digit (ISO 3779)."""
    without = f"{start}0{'ABCDEFGHJKLMNPRSTVWXY'[year - 2010]}N{number:06}"
    return f"{start}{check_digit(without)}{without[9:]}"


def _certificate(days: int) -> dict[str, str]:
    """A client certificate with its key, as the brand's fields take them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Nordlicht Logistik")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    return {
        "certificate": signed.public_bytes(Encoding.PEM).decode(),
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
