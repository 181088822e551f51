"""The verbs of credentials: what they do, what they refuse, and which audit event they write."""

import pytest
from django.core.exceptions import ValidationError

from credentials.models import Credential, CredentialInUse
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.factory import TEST

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
