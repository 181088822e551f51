"""The demo, which is the first thing a newcomer sees."""

import pytest
from django.db.models import Count

from credentials.models import Credential
from fleetcontrol.management import demo
from fleetcontrol.people.models import Fleet, Membership, User
from vehicles.models import Vehicle
from vehicles.vin import check_digit_is_wrong

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def with_demo(db: None) -> None:
    demo.make("silver-harbour")


def test_two_fleets_with_people_of_each_role() -> None:
    members = Membership.objects.order_by("pk").values_list("fleet__slug", "user__name", "role")
    assert set(members) == {
        ("demo", "Alice", "administrator"),
        ("demo", "Bob", "manager"),
        ("demo", "Vera", "viewer"),
        ("hafenstadt-carsharing", "Charlie", "administrator"),
        ("hafenstadt-carsharing", "Bob", "viewer"),
    }
    assert all(person.check_password("silver-harbour") for person in User.objects.all())


def test_credentials_of_several_brands_in_several_states_one_of_them_unused() -> None:
    credentials = Credential.objects.filter(fleet__slug="demo")
    assert len(set(credentials.values_list("brand", flat=True))) >= 5
    assert set(credentials.values_list("status", flat=True)) == {
        "UNCHECKED", "WORKING", "REJECTED", "UNREACHABLE", "SCOPES_MISSING",
    }  # fmt: skip
    unused = credentials.annotate(count=Count("vehicles")).filter(count=0)
    assert [credential.name for credential in unused] == ["Segway pilot"]
    assert unused[0].last_used_at is None


def test_vehicles_have_right_vins_and_some_need_no_credential() -> None:
    vehicles = Vehicle.objects.filter(fleet=Fleet.objects.get(slug="demo"))
    assert vehicles.count() == 250
    assert vehicles.filter(credential=None).count() == 35
    vins = vehicles.exclude(vin="").values_list("vin", flat=True)
    assert len(vins) == 210
    assert not [vin for vin in vins if check_digit_is_wrong(vin)]
