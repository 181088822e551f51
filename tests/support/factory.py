"""Objects for tests. Plain functions that call the models' verbs and take keyword overrides."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from django.utils.text import slugify

from credentials.models import Credential
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.models import Fleet, Membership, Role, User
from vehicles.models import Vehicle

TEST = Actor("command", "test", "test")
SECRET = "hunter2-Fj4kd9-supersecret"
_numbers = count(1)


def a_fleet(name: str = "Nordlicht Logistik", **fields: Any) -> Fleet:
    return Fleet.add(name=name, slug=fields.pop("slug", slugify(name)), actor=TEST, **fields)


def a_user(name: str = "Alice", **fields: Any) -> User:
    return User.objects.create_user(
        fields.pop("email", f"{slugify(name)}@example.com"), "pw-of-tests", name=name, **fields
    )


def a_member(fleet: Fleet, role: Role, name: str = "Alice", **fields: Any) -> User:
    user = a_user(name, **fields)
    Membership.add(fleet=fleet, user=user, role=role, actor=TEST)
    return user


def a_credential(fleet: Fleet, name: str = "", brand: str = "MERCEDES_BENZ", **fields: Any) -> Credential:
    values = {"client_id": "client1", "client_secret": SECRET} | fields.pop("values", {})
    return Credential.add(
        fleet=fleet,
        actor=TEST,
        brand=brand,
        name=name or f"Credential {next(_numbers)}",
        values=values,
        **fields,
    )


def a_tesla(fleet: Fleet, secret: str = "right-1", name: str = "", region: str = "EU", **fields: Any) -> Credential:
    """Add a credential of a brand that can be checked. How the demo OEM answers depends on its secret."""
    return a_credential(fleet, name, "TESLA", values={"client_secret": secret, "region": region}, **fields)


def a_vehicle(fleet: Fleet, credential: Credential | None = None, **fields: Any) -> Vehicle:
    """Add a vehicle of the credential's brand, or a CloudBoxx without a credential."""
    number = next(_numbers)
    if credential is not None:
        fields = {
            "telematics_brand": credential.brand,
            "telematics_unit_id": f"WBA71EF0X0E{number:06}",
        } | fields
    else:
        fields = {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": f"{number:016x}"} | fields
    return Vehicle.add(fleet=fleet, actor=TEST, credential=credential, **{"name": f"Vehicle {number:04}"} | fields)


def many_vehicles(credential: Credential, numbers: Iterable[int]) -> None:
    """Add vehicles of the credential without their audit events, where a test needs more than verbs can add quickly."""
    Vehicle.objects.bulk_create(
        Vehicle(
            fleet_id=credential.fleet_id,
            name=f"Transporter {number:04}",
            telematics_brand=credential.brand,
            telematics_kind="shared",
            telematics_unit_id=f"unit-{number}",
            credential=credential,
        )
        for number in numbers
    )
