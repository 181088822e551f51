"""Each list takes as many queries for 1,000 rows as for 10."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from credentials.models import Credential, CredentialSecret
from fleetcontrol.people.models import Fleet, Membership, Role, User
from fleetcontrol.seal import seal
from tests.support import factory
from tests.support.browsers import signed_in

pytestmark = pytest.mark.django_db
MOST = 20  # per page; seven of them are for session, fleet and frame


def credentials(fleet: Fleet, first: int, last: int) -> None:
    made = [
        Credential(fleet=fleet, name=f"Depot {number:04}", brand="NIU", identifier=f"client-{number}")
        for number in range(first, last)
    ]
    Credential.objects.bulk_create(made)
    CredentialSecret.objects.bulk_create(
        CredentialSecret(credential=one, version=1, value=seal("{}", one.pk)) for one in made
    )


def vehicles(fleet: Fleet, first: int, last: int) -> None:
    factory.many_vehicles(fleet.credentials.get(name="Used"), range(first, last))


def members(fleet: Fleet, first: int, last: int) -> None:
    people = User.objects.bulk_create(User(email=f"{number}@example.com") for number in range(first, last))
    Membership.objects.bulk_create(Membership(fleet=fleet, user=one, role=Role.VIEWER) for one in people)


LISTS: list[tuple[str, Callable[[Fleet, int, int], None]]] = [
    ("credentials:index", credentials),
    ("credentials:choose_brand", credentials),
    ("credentials:remove", vehicles),
    ("vehicles:index", vehicles),
    ("vehicles:index", credentials),
    ("members:index", members),
    ("history:index", members),
    ("admin:credentials_credential_changelist", credentials),
    ("admin:credentials_credential_delete", vehicles),
    ("admin:vehicles_vehicle_changelist", vehicles),
    ("admin:people_user_changelist", members),
    ("admin:people_membership_changelist", members),
    ("admin:audit_auditevent_changelist", members),
]


@pytest.mark.parametrize(("name", "fill"), LISTS, ids=[f"{name}-{fill.__name__}" for name, fill in LISTS])
def test_a_list_takes_as_many_queries_for_1000_rows_as_for_10(
    name: str, fill: Callable[[Fleet, int, int], None], fleet: Fleet
) -> None:
    client = signed_in(factory.a_member(fleet, Role.ADMINISTRATOR, is_staff=True, is_superuser=True))
    used = factory.a_credential(fleet, name="Used")
    credentials(fleet, 0, 3)
    vehicles(fleet, 0, 3)
    args = [] if name.startswith("admin:") else [fleet.slug]
    address = reverse(name, args=[*args, used.pk] if name.endswith(("remove", "delete")) else args)
    fill(fleet, 10, 20)
    few = queries(client, address)
    fill(fleet, 20, 1010)
    # One more counts the total, which only a list with a next page needs.
    assert few <= queries(client, address) <= few + 1
    assert few <= MOST


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)
