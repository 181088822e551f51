"""The verbs of vehicles: what they do, what they refuse, and which audit event they write."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db


def test_a_vehicle_takes_unit_and_name_from_its_vin_where_the_unit_is_built_in(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    vehicle = Vehicle.add(
        fleet=fleet, actor=TEST, credential=credential, telematics_brand="mercedes-benz", vin="wba71ef0-x0e12 3456"
    )
    assert (vehicle.telematics_unit_id, vehicle.name) == ("WBA71EF0X0E123456",) * 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"telematics_brand": "MERCEDES_BENZ"}, "credential"),
        ({"telematics_brand": "CLOUDBOXX", "password": "pw"}, "password"),
        ({"telematics_brand": "OKAI", "telematics_unit_id": "490154203237518"}, "password"),
        ({"telematics_brand": "CLOUDBOXX", "vin": "WBA71EF0X0E12345"}, "vin"),
        ({"telematics_brand": "CLOUDBOXX", "vin": "WBA71EF0X0E12345\x00"}, "vin"),
        ({"telematics_brand": "CLOUDBOXX", "year": 1776}, "year"),
        ({"telematics_brand": "NOBODY"}, "telematics_brand"),
    ],
)
def test_what_a_vehicle_lacks_or_has_too_much_is_told_at_its_field(
    fleet: Fleet, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        factory.a_vehicle(fleet, **fields)
    assert field in caught.value.error_dict
    assert not fleet.vehicles.exists()


def test_a_vehicle_with_a_credential_of_another_fleet_is_refused_in_words(fleet: Fleet) -> None:
    foreign = factory.a_credential(factory.a_fleet(name="Other"))
    with pytest.raises(ValidationError, match="fleet and brand"):
        factory.a_vehicle(fleet, foreign)


def test_name_vin_and_unit_are_unique_in_the_fleet_and_all_told_at_once(fleet: Fleet) -> None:
    facts: dict[str, Any] = {"name": "Van 1", "vin": "WBA71EF0X0E123456", "telematics_unit_id": "0123456789abcdef"}
    factory.a_vehicle(fleet, **facts)
    with pytest.raises(ValidationError) as caught:
        factory.a_vehicle(fleet, **facts)
    assert set(caught.value.error_dict) == {"name", "vin", "telematics_unit_id"}
    factory.a_vehicle(factory.a_fleet(name="Other"), **facts)


def test_a_unit_password_is_sealed_for_its_vehicle(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(
        fleet, telematics_brand="OKAI", telematics_unit_id="490154203237518", password="geheim-4711"
    )
    vehicle.change(password="geheim-4712", actor=TEST)
    assert Vehicle.objects.get(pk=vehicle.pk).open_password() == "geheim-4712"
    assert AuditEvent.objects.latest("id").changes == {"password": ["replaced", "replaced"]}


def test_many_vehicles_move_in_one_statement_with_an_event_each(
    fleet: Fleet, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    old, new = factory.a_credential(fleet, name="Old"), factory.a_credential(fleet, name="New")
    vehicles = [factory.a_vehicle(fleet, old) for _number in range(3)]
    # The check for vehicles that may not move, a savepoint, the move, and the release of the savepoint.
    with django_assert_num_queries(4):  # type: ignore[operator]
        assert old.vehicles.filter(name__gte=vehicles[1].name).move(new, actor=TEST) == 2
    assert (old.vehicles.count(), new.vehicles.count()) == (1, 2)
    events = AuditEvent.objects.filter(action="vehicle.move")
    assert {event.target_id for event in events} == {vehicles[1].pk, vehicles[2].pk}
    assert events[0].changes == {"credential": ["Old", "New"]}


def test_no_vehicle_moves_when_one_is_of_another_brand(fleet: Fleet) -> None:
    mercedes, niu = factory.a_credential(fleet), factory.a_credential(fleet, brand="NIU")
    factory.a_vehicle(fleet, mercedes)
    factory.a_vehicle(fleet, niu)
    with pytest.raises(ValidationError, match="brand is another"):
        fleet.vehicles.all().move(mercedes, actor=TEST)
    assert niu.vehicles.count() == 1
