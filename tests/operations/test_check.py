"""The health check fails when FleetControl cannot work."""

import pytest
from django.test import Client, override_settings

from fleetcontrol.people.models import Fleet
from tests.support import factory

# The check has a connection of its own, which sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


def test_health_passes_without_sign_in(client: Client) -> None:
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["status"]) == (200, "pass")


def test_health_fails_when_the_key_does_not_open_what_is_stored(client: Client, fleet: Fleet) -> None:
    factory.a_credential(fleet)
    with override_settings(FERNET_KEYS=["another key"]):
        answer = client.get("/health/")
    assert answer.status_code == 503
    assert "FERNET_KEYS" in answer.json()["problems"][0]
