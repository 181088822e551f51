"""Replacing a secret without an outage, and going back to the former one."""

from datetime import date, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from credentials import brands
from credentials.models import Credential, CredentialSecret, NothingToRevertTo, ReplacedMeanwhile, SecretRefused, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealError
from tests.support import factory
from tests.support.factory import TEST

pytestmark = pytest.mark.django_db
JONAS = Actor("user", "7", "Jonas Petersen")


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    values = {"client_secret": "right-1", "region": "EU"}
    return factory.a_credential(fleet, name="Tesla Europe", brand="TESLA", values=values, verify_first=True)


def test_a_secret_that_works_takes_over_and_the_former_is_kept(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, verify_first=True, ends_on=date(2030, 1, 1))
    assert (credential.secret.version, credential.status) == (2, Status.WORKING)
    assert credential.ends_on == date(2030, 1, 1)
    former = credential.former_secret
    assert former is not None
    assert former.open() == {"client_secret": "right-1"}
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.changes) == ("credential.rotate", {"version": [1, 2]})


@pytest.mark.parametrize("secret", ["wrong-2", "trouble-2", "scopes-2"])
def test_a_secret_that_does_not_work_changes_nothing(credential: Credential, secret: str) -> None:
    before = Credential.objects.values().get(pk=credential.pk)
    events = AuditEvent.objects.count()
    with pytest.raises(SecretRefused):
        credential.rotate(values={"client_secret": secret}, actor=TEST, verify_first=True)
    assert Credential.objects.values().get(pk=credential.pk) == before
    assert [s.version for s in credential.secrets.all()] == [1]
    assert AuditEvent.objects.count() == events


def test_without_a_check_it_takes_over_as_not_checked(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "wrong-2"}, actor=TEST)
    assert (credential.status, credential.status_detail) == (Status.UNCHECKED, "")


def test_the_same_secret_again_is_no_replacement(credential: Credential) -> None:
    with pytest.raises(ValidationError, match="in use already"):
        credential.rotate(values={"client_secret": " right-1 "}, actor=TEST)


def test_a_leaked_secret_is_erased_at_once(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, why="leaked")
    assert credential.former_secret is None
    with pytest.raises(SealError, match="erased"):
        credential.secrets.get(version=1).open()
    assert AuditEvent.objects.latest("id").changes["reason"] == [None, "leaked"]


def test_going_back_takes_one_step_and_can_be_taken_back_too(credential: Credential) -> None:
    credential.change(ends_on=date(2029, 5, 5), actor=TEST)
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST, ends_on=date(2030, 1, 1))
    credential.revert(actor=TEST)
    assert (credential.secret.version, credential.ends_on) == (1, date(2029, 5, 5))
    assert credential.secret.open() == {"client_secret": "right-1"}
    assert AuditEvent.objects.latest("id").changes == {"version": [2, 1]}
    credential.revert(actor=TEST)
    assert (credential.secret.version, credential.ends_on) == (2, date(2030, 1, 1))
    assert credential.secret.open() == {"client_secret": "right-2"}


def test_versions_are_never_counted_twice(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    credential.revert(actor=TEST)
    credential.rotate(values={"client_secret": "right-3"}, actor=TEST)
    assert [(s.version, s.is_current) for s in credential.secrets.all()] == [(3, True), (2, False), (1, False)]
    assert credential.former_secret is not None
    assert credential.former_secret.version == 1


def test_after_24_hours_there_is_nothing_to_go_back_to_and_it_is_erased(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    assert CredentialSecret.objects.all().erase_due(actor=Actor.system()) == 0
    credential.secrets.filter(version=1).update(erase_after=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NothingToRevertTo):
        credential.revert(actor=TEST)
    assert CredentialSecret.objects.all().erase_due(actor=Actor.system()) == 1
    assert credential.secrets.get(version=1).value is None
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.actor_kind) == ("credential.erase", "system")


def test_the_second_of_two_people_is_told_what_the_first_did(credential: Credential) -> None:
    credential.rotate(values={"client_secret": "right-2"}, actor=JONAS, expected_version=1)
    with pytest.raises(ReplacedMeanwhile) as caught:
        credential.rotate(values={"client_secret": "right-3"}, actor=TEST, expected_version=1)
    assert str(caught.value) == "Jonas Petersen replaced this secret meanwhile. Version 2 is in use."
    with pytest.raises(ReplacedMeanwhile):
        credential.revert(actor=TEST, expected_version=1)
    assert credential.secret.open() == {"client_secret": "right-2"}


def test_a_day_that_is_over_is_no_end(fleet: Fleet, credential: Credential) -> None:
    yesterday = timezone.localdate() - timedelta(days=1)
    with pytest.raises(ValidationError, match="This day is over"):
        credential.rotate(values={"client_secret": "right-2"}, actor=TEST, ends_on=yesterday)
    with pytest.raises(ValidationError, match="This day is over"):
        credential.change(ends_on=yesterday, actor=TEST)
    with pytest.raises(ValidationError, match="This day is over"):
        factory.a_credential(fleet, ends_on=yesterday)
    Credential.objects.filter(pk=credential.pk).update(ends_on=yesterday)
    credential.change(note="It ended; we know.", ends_on=yesterday, actor=TEST)


def test_a_replaced_secret_has_its_turn_in_the_rounds_soon(credential: Credential) -> None:
    Credential.objects.filter(pk=credential.pk).update(next_check_at=timezone.now() + timedelta(hours=5))
    credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
    assert credential.next_check_at is None


def test_a_brand_that_was_taken_out_of_the_catalogue_is_shown_and_not_replaced(
    fleet: Fleet, credential: Credential, as_bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.a_vehicle(fleet, credential)
    left = {brand_id: brand for brand_id, brand in brands.catalogue().items() if brand_id != "TESLA"}
    monkeypatch.setattr(brands, "catalogue", lambda: left)
    for page in (
        f"/f/{fleet.slug}/credentials/",
        f"/f/{fleet.slug}/credentials/{credential.pk}/",
        f"/f/{fleet.slug}/vehicles/",
    ):
        assert "TESLA" in as_bob.get(page).content.decode()
    assert credential.verify(actor=TEST).code == "no_credential"
    with pytest.raises(ValidationError, match="no longer in the catalogue"):
        credential.rotate(values={}, actor=TEST)
