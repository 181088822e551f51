"""The database refuses invalid rows, even when SQL bypasses the models."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory

pytestmark = pytest.mark.django_db


def refused_by(rule: str, sql: str, params: Sequence[Any] = ()) -> None:
    """Assert that the statement breaks the named rule and changes nothing."""
    with (
        pytest.raises(IntegrityError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, params)
    assert caught.value.__cause__.diag.constraint_name == rule  # type: ignore[union-attr]


def test_two_credentials_of_one_name_that_differ_in_case_are_refused(fleet: Fleet) -> None:
    factory.a_credential(fleet, name="Über Flotte")
    other = factory.a_credential(fleet, name="Other")
    refused_by(
        "credential_name_unique_in_fleet",
        "INSERT INTO credentials_credential SELECT "
        "(jsonb_populate_record(c, jsonb_build_object('id', %s::text, 'name', %s::text))).* "
        "FROM credentials_credential c WHERE id = %s",
        ["01F62857KMPG2NE2GK1W2N3QYS", "ÜBER FLOTTE", other.pk],
    )


def test_a_vehicle_with_a_credential_of_another_fleet_is_refused(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet))
    foreign = factory.a_credential(factory.a_fleet(name="Other"))
    refused_by(
        "vehicle_credential_of_same_fleet_and_brand",
        "UPDATE vehicles_vehicle SET credential_id = %s WHERE id = %s",
        [foreign.pk, vehicle.pk],
    )


def test_a_vehicle_with_a_credential_of_another_brand_is_refused(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet))
    tesla = factory.a_credential(fleet, brand="NIU")
    refused_by(
        "vehicle_credential_of_same_fleet_and_brand",
        "UPDATE vehicles_vehicle SET credential_id = %s WHERE id = %s",
        [tesla.pk, vehicle.pk],
    )


def test_a_shared_brand_vehicle_without_a_credential_is_refused(fleet: Fleet) -> None:
    vehicle = factory.a_vehicle(fleet, factory.a_credential(fleet))
    refused_by(
        "vehicle_reached_as_its_brand_needs",
        "UPDATE vehicles_vehicle SET credential_id = NULL WHERE id = %s",
        [vehicle.pk],
    )


@pytest.mark.parametrize("column", ["identifier", "name", "brand", "id", "fleet_id"])
def test_a_changed_identity_of_a_credential_is_refused(fleet: Fleet, column: str) -> None:
    credential = factory.a_credential(fleet)
    other = factory.a_fleet(name="Other")
    value = other.pk if column == "fleet_id" else "changed"
    refused_by(
        "credential_identity_is_fixed",
        f"UPDATE credentials_credential SET {column} = %s WHERE id = %s",
        [value, credential.pk],
    )


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_auditevent SET actor_label = 'somebody else'",
        "DELETE FROM audit_auditevent",
    ],
)
def test_a_changed_or_deleted_audit_event_is_refused(fleet: Fleet, sql: str) -> None:
    assert AuditEvent.objects.filter(fleet_id=fleet.pk).exists()
    refused_by("audit_event_is_for_good", sql)


def test_a_deleted_credential_in_use_is_refused(fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    factory.a_vehicle(fleet, credential)
    refused_by(
        "vehicle_credential_of_same_fleet_and_brand",
        "WITH versions AS (DELETE FROM credentials_credentialsecret WHERE credential_id = %s) "
        "DELETE FROM credentials_credential WHERE id = %s",
        [credential.pk, credential.pk],
    )
    assert Credential.objects.filter(pk=credential.pk).exists()
