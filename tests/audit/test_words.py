"""An audit event reads as a phrase that follows the name of its actor."""

import pytest
from django.utils import translation

from fleetcontrol.audit import words as audit_words
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST

pytestmark = pytest.mark.django_db


def latest(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("id")


def test_a_replaced_secret_names_both_versions(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet, name="BMW Germany")
    credential.rotate(actor=TEST, values={"client_secret": "another"})
    words = audit_words.phrase(latest("credential.rotate"))
    assert words == "replaced the secret of BMW Germany (version 1 → 2)"


def test_a_moved_vehicle_names_both_credentials(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet, name="Old"), name="Golf 03")
    vehicle.move(factory.a_credential(fleet, name="New"), actor=TEST)
    assert audit_words.phrase(latest("vehicle.move")) == "moved Golf 03 from Old to New"


def test_a_changed_vehicle_names_the_fields_and_not_the_password(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(
        fleet, telematics_brand="OKAI", telematics_unit_id="123456789012345", password="one", name="Scooter"
    )
    vehicle.change(actor=TEST, license_plate="HH-NL 9", password="two", operation_status="GARAGE")
    event = latest("vehicle.change")
    with translation.override("en"):
        assert audit_words.phrase(event) == "changed Scooter: licence plate, operation status, password"
        assert ("Operation status", "Operating", "In the garage") in audit_words.changes(event)
        assert ("Password", "replaced", "replaced") in audit_words.changes(event)


def test_an_action_without_words_is_named(fleet: Fleet) -> None:
    event = AuditEvent.record(fleet, TEST, "fleet.paint", fleet)
    assert audit_words.phrase(event) == "fleet.paint: Nordlicht Logistik"
