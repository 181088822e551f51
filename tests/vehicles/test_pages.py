"""A fleet manager finds, adds, changes, moves and removes vehicles on their pages."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from credentials.models import Credential
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.forms import version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
VIN = "WDB9634031L000001"  # its check digit is wrong
FORM = {"operation_status": "OPERATING"}


@pytest.fixture
def credential(fleet: Fleet) -> Credential:
    return factory.a_credential(fleet, name="Mercedes-Benz Berlin")


def at(fleet: Fleet, page: str, **kwargs: Any) -> str:
    query = kwargs.pop("query", None)
    return reverse(f"vehicles:{page}", kwargs={"fleet": fleet.slug} | kwargs, query=query)


def listed(client: Client, fleet: Fleet, **query: str) -> str:
    return client.get(at(fleet, "index", query=query)).content.decode()


def test_a_vehicle_is_found_by_the_end_of_its_vin_and_the_hit_is_marked(
    fleet: Fleet, as_vera: Client, credential: Credential
) -> None:
    factory.a_vehicle(fleet, credential, name="Golf", vin=VIN)
    factory.a_vehicle(fleet, credential, name="Polo", vin="WDB9634031L000002")
    page = listed(as_vera, fleet, q="l000001")
    assert "WDB9634031<mark>L000001</mark>" in page and "Polo" not in page
    assert "1–1 of 1 vehicle" in page


@pytest.mark.parametrize("q", ["HH-NL 1412", "hhnl1412", "nl 14", "Umzüge", "UMZÜGE", "z"])
def test_a_search_looks_at_any_part_and_not_at_case_spaces_and_hyphens(fleet: Fleet, as_vera: Client, q: str) -> None:
    factory.a_vehicle(fleet, name="Großer Umzüge-Wagen", license_plate="HH-NL 1412")
    assert "Nothing matches" not in listed(as_vera, fleet, q=q)


@pytest.mark.parametrize("q", ["%", "_", "\\", "<b>", "\x00", "'", "a" * 300])
def test_a_strange_search_finds_nothing_and_breaks_nothing(fleet: Fleet, as_vera: Client, q: str) -> None:
    factory.a_vehicle(fleet, name="Golf")
    page = listed(as_vera, fleet, q=q)
    assert "<b>" not in page
    assert ("Golf" in page) == (q == "\x00")


def test_the_list_is_filtered_by_brand_and_credential(fleet: Fleet, as_vera: Client, credential: Credential) -> None:
    factory.a_vehicle(fleet, credential, name="Bus")
    factory.a_vehicle(fleet, name="Scooter")
    assert "Scooter" not in listed(as_vera, fleet, credential=credential.pk)
    assert "Bus" not in listed(as_vera, fleet, credential="none")
    assert "Bus" not in listed(as_vera, fleet, brand="CLOUDBOXX")
    assert "No vehicles in this selection" in listed(as_vera, fleet, brand="nonsense")


def test_a_vehicle_is_added_with_what_its_brand_needs(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    answer = as_bob.post(
        at(fleet, "add", brand="MERCEDES_BENZ"),
        FORM
        | {"vin": VIN.lower(), "credential": credential.pk, "tags": "pool, east, pool", "custom_fields": "Depot: 9"},
        follow=True,
    )
    vehicle = Vehicle.objects.get()
    assert (vehicle.name, vehicle.telematics_unit_id, vehicle.tags) == (VIN, VIN, ["pool", "east"])
    assert vehicle.custom_fields == {"Depot": "9"}
    assert "The check digit of the VIN is wrong" in answer.content.decode()


def test_every_problem_is_told_at_once_and_only_the_password_is_gone(fleet: Fleet, as_bob: Client) -> None:
    typed = {"telematics_unit_id": "12", "vin": "SHORT", "license_plate": "HH-NL 9", "password": factory.SECRET}
    answer = as_bob.post(at(fleet, "add", brand="OKAI"), FORM | typed)
    page = answer.content.decode()
    assert answer.status_code == 422 and "<title>Error:" in " ".join(page.split())
    for words in ("An IMEI has 15 digits", "A VIN has 17 characters", "again. Secrets are cleared"):
        assert words in page
    assert 'value="HH-NL 9"' in page and factory.SECRET not in page
    assert answer["Cache-Control"].count("no-store") == 1


def test_without_a_credential_of_the_brand_the_page_says_what_comes_first(fleet: Fleet, as_bob: Client) -> None:
    page = as_bob.get(at(fleet, "add", brand="TESLA")).content.decode()
    assert "Add a credential first" in page and "<form" in page and 'name="vin"' not in page


def test_a_change_touches_only_what_was_changed(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    vehicle = factory.a_vehicle(fleet, credential, name="Bus", vin=VIN, custom_fields={"Deep": True, "Seats": 4})
    values = {"name": "Bus", "vin": VIN, "credential": credential.pk, "license_plate": "HH-NL 9"}
    change = at(fleet, "change", id=vehicle.pk)
    typed = FORM | values | {"custom_fields": "Deep: true\r\nSeats: 4\r\n"}
    as_bob.post(change, typed | version_shown(as_bob, change))
    vehicle.refresh_from_db()
    assert (vehicle.license_plate, vehicle.custom_fields) == ("HH-NL 9", {"Deep": True, "Seats": 4})
    assert AuditEvent.objects.get(action="vehicle.change").changes == {"license_plate": ["", "HH-NL 9"]}


def test_a_name_that_is_taken_is_refused_at_its_field(fleet: Fleet, as_bob: Client) -> None:
    factory.a_vehicle(fleet, name="Bus")
    other = factory.a_vehicle(fleet, name="Other")
    values = {"name": "Bus", "telematics_unit_id": other.telematics_unit_id}
    change = at(fleet, "change", id=other.pk)
    answer = as_bob.post(change, FORM | values | version_shown(as_bob, change))
    assert answer.status_code == 422 and "already has a vehicle of this name" in answer.content.decode()


def test_one_vehicle_moves_to_another_credential_of_its_brand(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    vehicle = factory.a_vehicle(fleet, credential)
    other = factory.a_credential(fleet, name="Other")
    tesla = factory.a_credential(fleet, name="Tesla", brand="TESLA")
    for wrong in (tesla.pk, "", "\x00", "nonsense"):
        assert as_bob.post(at(fleet, "move", id=vehicle.pk), {"credential": wrong}).status_code == 422
    move = at(fleet, "move", id=vehicle.pk)
    assert as_bob.post(move, {"credential": other.pk} | version_shown(as_bob, move)).status_code == 302
    vehicle.refresh_from_db()
    assert vehicle.credential == other


def test_ticked_vehicles_move_together(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    chosen = [factory.a_vehicle(fleet, credential).pk for _number in range(3)]
    stays = factory.a_vehicle(fleet, credential)
    other = factory.a_credential(fleet, name="Other")
    foreign = factory.a_vehicle(factory.a_fleet("Foreign"))
    address = at(fleet, "move_many", query={"vehicle": [*chosen, foreign.pk, "\x00"]})
    assert "Move 3 vehicles" in as_bob.get(address).content.decode()
    assert as_bob.post(address, {"credential": other.pk}).status_code == 302
    assert other.vehicles.count() == 3
    stays.refresh_from_db()
    assert stays.credential == credential


def test_vehicles_of_several_brands_do_not_move_together(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    mixed = [factory.a_vehicle(fleet, credential).pk, factory.a_vehicle(fleet).pk]
    page = as_bob.get(at(fleet, "move_many", query={"vehicle": mixed})).content.decode()
    assert "several brands" in page and "Move 2" not in page


def test_a_vehicle_is_removed_after_a_question(fleet: Fleet, as_bob: Client) -> None:
    vehicle = factory.a_vehicle(fleet, name="Bus")
    assert "Remove Bus?" in as_bob.get(at(fleet, "remove", id=vehicle.pk)).content.decode()
    assert Vehicle.objects.exists()
    assert "Bus removed." in as_bob.post(at(fleet, "remove", id=vehicle.pk), follow=True).content.decode()
    assert not Vehicle.objects.exists()


def test_a_viewer_sees_no_action_they_may_not_do(fleet: Fleet, as_vera: Client, credential: Credential) -> None:
    vehicle = factory.a_vehicle(fleet, credential)
    pages = listed(as_vera, fleet) + as_vera.get(at(fleet, "detail", id=vehicle.pk)).content.decode()
    for page in ("change", "move", "remove"):
        assert at(fleet, page, id=vehicle.pk) not in pages
    assert at(fleet, "choose_brand") not in pages
