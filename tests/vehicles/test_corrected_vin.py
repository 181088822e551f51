"""A corrected VIN: the unit of a brand whose unit is the VIN follows, and the wrong VIN is free again."""

from functools import partial
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support.api import Api
from tests.support.factory import TEST, a_credential
from tests.support.forms import version_shown
from tests.support.import_files import import_by_command
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
run = partial(import_by_command, "import_vehicles")
WRONG, RIGHT = "5YJ3E1EA7KF000009", "5YJ3E1EA7KF000007"


def a_tesla(fleet: Fleet, vin: str = WRONG, **values: object) -> Vehicle:
    credential = fleet.credentials.first() or a_credential(fleet, "Tesla Europe", brand="TESLA")
    return Vehicle.add(fleet=fleet, actor=TEST, telematics_brand="TESLA", credential=credential, vin=vin, **values)


def is_corrected(vehicle: Vehicle) -> bool:
    """Whether unit and VIN are right and another vehicle can take the wrong VIN, as its name too."""
    vehicle.refresh_from_db()
    a_tesla(vehicle.fleet)
    return (vehicle.vin, vehicle.telematics_unit_id) == (RIGHT, RIGHT)


def test_by_page(client: Client, fleet: Fleet, bob: User) -> None:
    vehicle = a_tesla(fleet, name="VIN typo")
    client.force_login(bob)
    page = f"/f/{fleet.slug}/vehicles/{vehicle.pk}/change/"
    version = version_shown(client, page)
    values = {"name": "VIN typo", "vin": RIGHT, "credential": vehicle.credential_id, "operation_status": "OPERATING"}
    assert client.post(page, values | version).status_code == 302
    assert is_corrected(vehicle)
    changes = AuditEvent.objects.get(action="vehicle.change").changes
    assert changes == {"vin": [WRONG, RIGHT], "telematics_unit_id": [WRONG, RIGHT]}


def test_by_api(fleet: Fleet) -> None:
    vehicle = a_tesla(fleet, name="VIN typo")
    answer = Api(fleet).patch(f"/vehicles/{vehicle.pk}", {"master_data": {"vin": RIGHT}})
    assert answer.status_code == 200, answer.content
    assert is_corrected(vehicle)


@pytest.mark.parametrize(
    "row",
    [
        f"name,vin\nVIN typo,{RIGHT}\n",
        f"name,telematics_brand,vin\nVIN typo,TESLA,{RIGHT}\n",
        f"name,telematics_unit_id,vin\nVIN typo,{WRONG},{RIGHT}\n",
        f"telematics_brand,telematics_unit_id,vin\nTESLA,{WRONG},{RIGHT}\n",
    ],
)
def test_by_import(fleet: Fleet, tmp_path: Path, row: str) -> None:
    vehicle = a_tesla(fleet, name="VIN typo")
    code, summary, problems = run(fleet, row, "--on-duplicate=update", tmp_path=tmp_path)
    assert (code, summary["updated"]) == (0, 1), problems
    assert AuditEvent.objects.get(action="vehicle.change").target_label == "VIN typo"
    assert is_corrected(vehicle)


def test_a_name_made_from_the_vin_follows(fleet: Fleet, tmp_path: Path) -> None:
    by_hand, imported = a_tesla(fleet), a_tesla(fleet, "5YJ3E1EA7KF000008")
    by_hand.change(actor=TEST, vin=RIGHT)
    assert by_hand.name == RIGHT
    row = "name,vin\n5YJ3E1EA7KF000008,5YJ3E1EA7KF000006\n"
    assert run(fleet, row, "--on-duplicate=update", tmp_path=tmp_path)[0] == 0
    imported.refresh_from_db()
    assert imported.name == imported.telematics_unit_id == "5YJ3E1EA7KF000006"


def test_a_unit_that_is_not_the_vin_stays(fleet: Fleet, tmp_path: Path) -> None:
    vehicle = Vehicle.add(
        fleet=fleet, actor=TEST, telematics_brand="CLOUDBOXX", telematics_unit_id="0123456789ABCDEF", vin=WRONG
    )
    vehicle.change(actor=TEST, vin="5YJ3E1EA7KF000006")
    row = f"name,telematics_brand,vin\n{vehicle.name},CLOUDBOXX,{RIGHT}\n"
    assert run(fleet, row, "--on-duplicate=update", tmp_path=tmp_path)[1]["updated"] == 1
    vehicle.refresh_from_db()
    assert (vehicle.telematics_unit_id, vehicle.vin) == ("0123456789ABCDEF", RIGHT)


def test_a_unit_that_another_vehicle_has_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    holder = a_tesla(fleet, "5YJ3E1EA7KF000008", name="Holder", telematics_unit_id=RIGHT)
    vehicle = a_tesla(fleet, name="VIN typo")
    with pytest.raises(ValidationError, match="already has a vehicle with this telematics unit"):
        vehicle.change(actor=TEST, vin=RIGHT)
    code, _, problems = run(fleet, f"name,vin\nVIN typo,{RIGHT}\n", "--on-duplicate=update", tmp_path=tmp_path)
    assert code == 1
    assert problems == [
        {
            "line": "2",
            "column": "vin",
            "value": RIGHT,
            "reason": "This fleet already has a vehicle with this telematics unit.",
        }
    ]
    assert holder.telematics_unit_id == RIGHT
