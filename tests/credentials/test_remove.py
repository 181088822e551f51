"""An unused credential is deleted after a question. For one in use, the page lists the vehicles and offers to move."""

import pytest
from django.test import Client
from django.urls import reverse

from credentials.models import Credential, CredentialInUse, CredentialSecret
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST

pytestmark = pytest.mark.django_db


@pytest.fixture
def credential(fleet: Fleet) -> Credential:
    return factory.a_credential(fleet, name="Mercedes-Benz Berlin")


@pytest.fixture
def address(fleet: Fleet, credential: Credential) -> str:
    return reverse("credentials:remove", args=[fleet.slug, credential.pk])


def test_an_unused_credential_is_deleted_after_a_question(as_bob: Client, credential: Credential, address: str) -> None:
    page = as_bob.get(address).content.decode()
    assert "Delete Mercedes-Benz Berlin?" in page and "No vehicles use it" in page
    assert "Mercedes-Benz Berlin deleted." in as_bob.post(address, follow=True).content.decode()
    assert not CredentialSecret.objects.exists()
    gone = AuditEvent.objects.get(action="credential.remove")
    assert (gone.target_label, gone.actor_label) == ("Mercedes-Benz Berlin", "Bob")


def test_in_use_it_is_refused_with_the_vehicles_and_no_button(
    fleet: Fleet, as_bob: Client, credential: Credential, address: str
) -> None:
    for number in range(30):
        factory.a_vehicle(fleet, credential, name=f"Bus {number:02}", vin=f"WDB9634031L0000{number:02}")
    for answer, status in ((as_bob.get(address), 200), (as_bob.post(address), 409)):
        page = answer.content.decode()
        assert answer.status_code == status
        assert "30 vehicles still get their data through this credential" in page
        assert "Bus 24" in page and "Bus 25" not in page and "1–25 of 30 vehicles" in page
        assert "button danger" not in page
    found = as_bob.get(address, {"q": "l000029"}).content.decode()
    assert "Bus 29" in found and "Bus 28" not in found
    assert Credential.objects.filter(pk=credential.pk).exists()


def test_a_vehicle_that_comes_between_question_and_answer_still_refuses(
    fleet: Fleet, as_bob: Client, credential: Credential, address: str
) -> None:
    assert "Delete Mercedes-Benz Berlin?" in as_bob.get(address).content.decode()
    factory.a_vehicle(fleet, credential)
    assert as_bob.post(address).status_code == 409


def test_when_the_last_vehicle_leaves_it_can_be_deleted(
    fleet: Fleet, as_bob: Client, credential: Credential, address: str
) -> None:
    vehicle = factory.a_vehicle(fleet, credential)
    assert as_bob.post(address).status_code == 409
    vehicle.move(factory.a_credential(fleet, name="Other"), actor=TEST)
    assert "Delete Mercedes-Benz Berlin?" in as_bob.get(address).content.decode()
    assert as_bob.post(address).status_code == 302


def test_the_refusal_counts(fleet: Fleet, credential: Credential) -> None:
    factory.a_vehicle(fleet, credential)
    with pytest.raises(CredentialInUse) as caught:
        credential.remove(actor=TEST)
    assert caught.value.count == 1
    assert not AuditEvent.objects.filter(action="credential.remove").exists()
