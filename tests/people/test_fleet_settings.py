"""A fleet's settings, the second factor it may require, its creation and its deletion."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client
from django.urls import reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_shown

pytestmark = pytest.mark.django_db


def test_the_name_is_changed_and_the_address_stays(as_alice: Client, fleet: Fleet) -> None:
    page = reverse("fleets:change", args=[fleet.slug])
    as_alice.post(page, {"name": "Südlicht"} | version_shown(as_alice, page))
    fleet.refresh_from_db()
    assert (fleet.name, fleet.slug) == ("Südlicht", "nordlicht-logistik")
    assert AuditEvent.objects.filter(action="fleet.change").exists()


def test_a_second_factor_is_required_only_by_somebody_who_has_one(as_alice: Client, alice: User, fleet: Fleet) -> None:
    page, wanted = (
        reverse("fleets:change", args=[fleet.slug]),
        {"name": fleet.name, "require_second_factor": "on"},
    )
    assert "Set up a second factor for yourself first" in as_alice.post(page, wanted).content.decode()
    TOTP.activate(alice, generate_totp_secret())
    assert as_alice.post(page, wanted | version_shown(as_alice, page)).status_code == 302
    assert Fleet.objects.get(pk=fleet.pk).require_second_factor


def test_a_member_without_second_factor_is_kept_out(as_bob: Client, bob: User, fleet: Fleet) -> None:
    Fleet.objects.update(require_second_factor=True)
    vehicles = reverse("vehicles:index", args=[fleet.slug])
    answer = as_bob.get(vehicles, follow=True)
    assert answer.status_code == 403
    assert "A second factor is needed" in answer.content.decode()
    assert signed_in(bob, factor=True).get(vehicles).status_code == 200


def test_recovery_codes_alone_are_no_second_factor(as_bob: Client, bob: User, fleet: Fleet) -> None:
    Fleet.objects.update(require_second_factor=True)
    Authenticator.objects.create(user=bob, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert as_bob.get(reverse("vehicles:index", args=[fleet.slug])).status_code == 302


def test_a_fleet_is_deleted_by_typing_its_name(as_alice: Client, fleet: Fleet) -> None:
    factory.a_vehicle(fleet, factory.a_credential(fleet))
    page = reverse("fleets:remove", args=[fleet.slug])
    assert as_alice.post(page, {"name": "something"}).status_code == 422
    assert as_alice.post(page, {"name": fleet.name}).status_code == 302
    assert not Fleet.objects.filter(pk=fleet.pk).exists()
    assert AuditEvent.objects.filter(fleet_id=fleet.pk, action="fleet.remove").exists(), "the audit trail stays"


def test_superusers_make_new_fleets_and_nobody_else(as_alice: Client) -> None:
    page = reverse("fleets:add")
    assert as_alice.get(page).status_code == 404
    root = factory.a_user("Root", is_superuser=True)
    browser = signed_in(root)
    assert browser.get(page).status_code == 200
    assert browser.post(page, {"name": "Südlicht"}).status_code == 302
    assert root.memberships.get().fleet.slug == "sudlicht"
    assert browser.post(page, {"name": "Südlicht"}).status_code == 422


def test_a_person_changes_their_name(as_bob: Client, bob: User) -> None:
    page = reverse("people:profile")
    as_bob.post(page, {"name": "Robert"} | version_shown(as_bob, page))
    bob.refresh_from_db()
    assert bob.name == "Robert"
