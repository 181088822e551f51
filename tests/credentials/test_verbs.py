"""The verbs of credentials and vehicles: what they do, what they refuse, and which audit event they write."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from credentials.models import Credential, CredentialInUse
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("id")


def test_a_credential_is_added_with_version_1_of_its_secret(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet, name="Mercedes-Benz fleet Berlin")
    assert (credential.identifier, credential.secret.version) == ("client1", 1)
    assert credential.secret.open() == {"client_secret": factory.SECRET}
    assert last_event().action == "credential.add"
    assert factory.SECRET not in str(last_event().changes)


def test_every_error_of_a_new_credential_is_told_at_once(fleet: Fleet) -> None:
    factory.a_credential(fleet, name="Taken")
    with pytest.raises(ValidationError) as caught:
        factory.a_credential(fleet, name="TAKEN", values={"client_id": "", "client_secret": ""})
    assert set(caught.value.error_dict) == {"name", "client_id", "client_secret"}
    assert fleet.credentials.count() == 1


def test_a_brand_without_shared_credentials_says_what_it_needs_instead(fleet: Fleet) -> None:
    with pytest.raises(ValidationError, match="password of its own unit"):
        factory.a_credential(fleet, brand="OKAI")
    with pytest.raises(ValidationError, match="needs no credential"):
        factory.a_credential(fleet, brand="CLOUDBOXX")
    with pytest.raises(ValidationError, match="Did you mean NIU"):
        factory.a_credential(fleet, brand="NUI")


def test_the_former_version_of_a_secret_is_kept_sealed_and_the_one_before_erased(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    for value in ("second", "third"):
        credential.rotate(values={"client_secret": value}, actor=TEST)
    third, second, first = credential.secrets.all()
    assert (third.open(), third.is_current) == ({"client_secret": "third"}, True)
    assert second.open() == {"client_secret": "second"}
    assert first.value is None
    assert first.erased_at is not None


def test_only_note_and_end_date_of_a_credential_can_change(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    credential.change(note="Contract 4711", actor=TEST)
    assert last_event().changes == {"note": ["", "Contract 4711"]}
    with pytest.raises(ValidationError, match="different credential"):
        credential.change(identifier="client2", actor=TEST)


def test_a_credential_in_use_cannot_be_removed_and_an_unused_one_can(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    vehicle = factory.a_vehicle(fleet, credential)
    with pytest.raises(CredentialInUse) as caught:
        credential.remove(actor=TEST)
    assert caught.value.count == 1
    vehicle.remove(actor=TEST)
    credential.remove(actor=TEST)
    assert not Credential.objects.exists()
    assert last_event().action == "credential.remove"


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
    assert last_event().changes == {"password": ["replaced", "replaced"]}


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
