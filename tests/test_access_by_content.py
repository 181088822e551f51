"""Beyond the table of addresses: foreign ids in what is sent, other methods, what asks for a fresh sign-in."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from credentials.models import Credential
from fleetcontrol.models import Fleet, User
from tests import factory
from tests.conftest import signed_in
from tests.test_access import FLEET_PAGES, Page, addresses, ask
from vehicles.models import Vehicle

__all__ = ["addresses"]  # a fixture
pytestmark = pytest.mark.django_db
# What gives power asks; what takes it away, such as revoking a client, is quick.
FRESH = {
    "fleetcontrol:member_invite",
    "fleetcontrol:member_change",
    "fleetcontrol:member_remove",
    "fleetcontrol:invitation_resend",
    "fleetcontrol:invitation_revoke",
    "fleetcontrol:settings",
    "fleetcontrol:settings_remove",
    "fleetcontrol:client_add",
    "fleetcontrol:client_change",
    "fleetcontrol:client_replace",
}


@pytest.fixture
def foreign(charlie: User) -> tuple[Credential, Vehicle]:
    """A credential and a vehicle of Charlie's fleet."""
    fleet = Fleet.objects.get(memberships__user=charlie)
    credential = factory.a_credential(fleet, name="Charlie's account")
    return credential, factory.a_vehicle(fleet, credential, name="Charlie's van")


@pytest.fixture
def own(fleet: Fleet) -> tuple[Credential, Vehicle]:
    credential = factory.a_credential(fleet, name="Our account")
    return credential, factory.a_vehicle(fleet, credential, name="Our van")


def sent(browser: Client, name: str, fleet: Fleet, data: dict[str, Any], *args: str) -> str:
    """The page after the data was sent, in the body and as the query."""
    answer = browser.post(reverse(name, args=[fleet.slug, *args], query=data), data)
    assert answer.status_code in (302, 404, 409, 422)
    return answer.content.decode()


def test_a_vehicle_takes_no_credential_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: Any, foreign: tuple[Credential, Vehicle]
) -> None:
    vehicle, theirs = own[1], foreign[0]
    for name in ("vehicles:change", "vehicles:move"):
        page = sent(as_bob, name, fleet, {"name": "Our van", "credential": theirs.pk}, vehicle.pk)
        assert theirs.name not in page
    sent(as_bob, "vehicles:add", fleet, {"telematics_unit_id": "u-1", "credential": theirs.pk}, "MERCEDES_BENZ")
    assert not Vehicle.objects.filter(fleet=fleet).exclude(credential=own[0]).exists()


def test_vehicles_of_another_fleet_are_not_moved(
    as_bob: Client, fleet: Fleet, own: tuple[Credential, Vehicle], foreign: tuple[Credential, Vehicle]
) -> None:
    target = factory.a_credential(fleet, name="Our other account")
    both = {"vehicle": [own[1].pk, foreign[1].pk], "credential": target.pk, "to": target.pk, "confirmed": "yes"}
    sent(as_bob, "vehicles:move_many", fleet, both)
    sent(as_bob, "credentials:move", fleet, both, own[0].pk)
    foreign[1].refresh_from_db()
    assert foreign[1].credential == foreign[0]


def test_vehicles_are_not_moved_to_a_credential_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: tuple[Credential, Vehicle], foreign: tuple[Credential, Vehicle]
) -> None:
    data = {"vehicle": [own[1].pk], "all": "on", "credential": foreign[0].pk, "to": foreign[0].pk, "confirmed": "yes"}
    for page in (
        sent(as_bob, "vehicles:move_many", fleet, data),
        sent(as_bob, "credentials:move", fleet, data, own[0].pk),
    ):
        assert foreign[0].name not in page
    own[1].refresh_from_db()
    assert own[1].credential == own[0]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("vehicles:index", {"credential": "credential", "vehicle": "vehicle"}),
        ("vehicles:export", {"credential": "credential"}),
        ("vehicles:move_many", {"vehicle": "vehicle"}),
        ("credentials:index", {"q": "account"}),
        ("credentials:export", {"q": "account"}),
        ("vehicles:index", {"q": "van"}),
    ],
)
def test_a_query_shows_nothing_of_another_fleet(
    as_bob: Client, fleet: Fleet, own: Any, foreign: tuple[Credential, Vehicle], name: str, query: dict[str, str]
) -> None:
    ids = {"credential": foreign[0].pk, "vehicle": foreign[1].pk}
    answer = as_bob.get(reverse(name, args=[fleet.slug]), {key: ids.get(value, value) for key, value in query.items()})
    text = b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[attr-defined]
    assert b"Charlie" not in text


def test_a_leaked_secret_is_not_looked_for_in_another_fleet(as_bob: Client, fleet: Fleet, foreign: Any) -> None:
    page = as_bob.post(reverse("credentials:find_secret", args=[fleet.slug]), {"value": factory.SECRET})
    assert "Charlie" not in page.content.decode()


def test_the_history_of_another_fleets_people_is_not_filtered_for(
    as_alice: Client, fleet: Fleet, charlie: User
) -> None:
    page = as_alice.get(reverse("fleetcontrol:audit", args=[fleet.slug]), {"who": f"user:{charlie.pk}"})
    assert "<details>" not in page.content.decode()


@pytest.mark.parametrize("page", FLEET_PAGES, ids=[page.name for page in FLEET_PAGES])
def test_no_other_method_opens_a_page(page: Page, fleet: Fleet, addresses: Any, charlie: User) -> None:
    address = reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])
    for method in ("head", "options", "put", "patch", "delete"):
        assert ask(signed_in(charlie), method, address).status_code in (404, 405), method
        assert ask(Client(), method, address).status_code == 302, method


@pytest.mark.parametrize("page", [page for page in FLEET_PAGES if page.post != 405], ids=lambda page: page.name)
def test_who_is_asked_to_prove_again_who_they_are(page: Page, fleet: Fleet, addresses: Any, alice: User) -> None:
    address = reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])
    answer = ask(signed_in(alice, fresh=False), "post", address)
    asked = answer.headers.get("Location", "").startswith(reverse("account_reauthenticate"))
    assert asked is (page.name in FRESH)
