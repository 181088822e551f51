"""`insert` writes the same row as Django's `save`."""

from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.db.writing import insert
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import Sealed, seal
from tests.support.factory import a_credential
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db

NOW = timezone.now()
EVERY_KIND: list[tuple[type[models.Model], dict[str, Any], tuple[str, ...]]] = [
    # the model, its values, and the fields that must differ between two rows
    (
        Vehicle,
        {"name": "Ä", "telematics_brand": "OKAI", "telematics_kind": "individual", "telematics_unit_id": "1",
         "year": 2024, "tags": ["ä", '"'], "custom_fields": {"key": 'v"'}, "created_at": NOW, "changed_at": NOW},
        ("name", "telematics_unit_id"),
    ),
    (
        Credential,
        {"name": "Ä", "brand": "NIU", "settings": {"region": "EU"}, "ends_on": NOW.date(), "created_at": NOW,
         "changed_at": NOW, "status_since": NOW},
        ("name",),
    ),
    (
        AuditEvent,
        {"action": "fleet.change", "changes": {"name": [None, "ü\\"]}, "address": "2001:db8::1",
         "target_id": "1"},
        ("target_id",),
    ),
]  # fmt: skip


def stored(row: models.Model, *, without: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = type(row)._default_manager.filter(pk=row.pk).values().get()
    opened = {name: value.token if isinstance(value, Sealed) else value for name, value in values.items()}
    return {name: value for name, value in opened.items() if name not in ("id", "search", "time", *without)}


@pytest.mark.parametrize(("model", "values", "different"), EVERY_KIND)
def test_a_row_is_the_one_that_save_writes(
    fleet: Fleet, model: type[models.Model], values: dict[str, Any], different: tuple[str, ...]
) -> None:
    if model is Vehicle:
        values = values | {"unit_password": seal("x", "y")}
    one = model(fleet_id=fleet.pk, **values)
    other = model(fleet_id=fleet.pk, **values | {name: f"{values[name]}2" for name in different})
    insert(one)
    other.save(force_insert=True)
    assert stored(one, without=different) == stored(other, without=different)
    assert (one._state.adding, one._state.db) == (False, "default")


def test_a_value_that_the_database_gives_is_there_afterwards(fleet: Fleet) -> None:
    event = AuditEvent(action="fleet.change", fleet_id=fleet.pk)
    insert(event)
    assert event.time == AuditEvent.objects.get(pk=event.pk).time


def test_the_database_still_holds_its_rules(fleet: Fleet) -> None:
    a_credential(fleet, "Taken")
    with pytest.raises(IntegrityError, match="credential_name_unique_in_fleet"), transaction.atomic():
        insert(Credential(fleet=fleet, name="taken", brand="NIU"))
