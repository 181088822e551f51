"""A credential on its pages: added with a mistake, corrected, replaced, reverted, found, deleted."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from credentials.models import Credential, Status
from credentials.oem.demo import DemoOem
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.certificates import a_certificate, stellantis
from tests.support.credential_pages import at, words
from tests.support.factory import TEST
from tests.support.forms import version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
TYPED = {"name": "Tesla Europe", "client_id": "client1", "client_secret": "right-1", "region": "EU"}


@pytest.fixture
def credential(fleet: Fleet, oem: DemoOem) -> Credential:
    values = {"client_secret": "right-1", "region": "EU"}
    return factory.a_credential(fleet, name="Tesla Europe", brand="TESLA", values=values, verify_first=True)


def test_check_and_save_refuses_a_wrong_secret_and_keeps_the_rest(fleet: Fleet, as_bob: Client, oem: DemoOem) -> None:
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"client_secret": "wrong-Zx81"})
    assert answer.status_code == 422
    text = words(answer)
    assert "Tesla refused these details. Check the client ID and secret for slips." in text
    assert "Enter “Client secret” again." in text
    assert "invalid_client" in text
    html = answer.content.decode()
    assert 'value="client1"' in html
    assert "wrong-Zx81" not in html
    assert not Credential.objects.exists()
    assert answer.headers["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"


def test_mended_it_is_saved_and_working(fleet: Fleet, as_bob: Client, oem: DemoOem) -> None:
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED, follow=True)
    assert "Tesla Europe saved. Its connection works." in words(answer)
    assert Credential.objects.get().status == Status.WORKING


def test_no_answer_offers_to_save_without_checking(fleet: Fleet, as_bob: Client, oem: DemoOem) -> None:
    oem.stop()
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED)
    assert "You can try again, or save now and check later." in words(answer)
    answer = as_bob.post(at("add", fleet, brand="TESLA"), TYPED | {"unchecked": "1"}, follow=True)
    assert "Tesla Europe saved. Its connection is not checked yet." in words(answer)


def test_a_brand_that_cannot_be_checked_says_so_and_has_one_button(fleet: Fleet, as_bob: Client) -> None:
    answer = as_bob.get(at("add", fleet, brand="NIU"))
    assert "FleetControl cannot check NIU credentials" in words(answer)
    assert "Check and save" not in words(answer)


def test_a_wrong_new_secret_changes_nothing_and_says_so(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    answer = as_bob.post(at("rotate", fleet, credential), {"client_secret": "wrong-2", "over": "1"})
    assert answer.status_code == 422
    assert "Version 1 is still in use, nothing has changed." in words(answer)
    assert credential.secret.open() == {"client_secret": "right-1"}


def test_a_right_new_secret_takes_over_and_can_be_taken_back(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    answer = as_bob.post(at("rotate", fleet, credential), {"client_secret": "right-2", "over": "1"}, follow=True)
    assert "Version 2 is in use. The connection works." in words(answer)
    assert "Go back to version 1" in words(answer)
    answer = as_bob.post(at("revert", fleet, credential), {"over": "2"}, follow=True)
    assert "Version 1 is in use. The connection works." in words(answer)
    assert "Go back to version 2" in words(answer)


def test_of_two_people_the_second_is_told_and_can_replace_it_again(
    fleet: Fleet, as_bob: Client, as_alice: Client, credential: Credential
) -> None:
    as_alice.post(at("rotate", fleet, credential), {"client_secret": "right-2", "over": "1"})
    answer = as_bob.post(at("rotate", fleet, credential), {"client_secret": "right-3", "over": "1"})
    assert "Alice replaced this secret meanwhile. Version 2 is in use." in words(answer)
    over = re.search(r'name="over" value="(\d+)"', answer.content.decode())
    assert over is not None
    answer = as_bob.post(at("rotate", fleet, credential), {"client_secret": "right-3", "over": over[1]}, follow=True)
    assert "Version 3 is in use." in words(answer)


def test_replacing_without_a_check_is_offered_only_when_it_fails_already(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    assert "Replace without checking" not in words(as_bob.get(at("rotate", fleet, credential)))
    credential.rotate(values={"client_secret": "wrong-2"}, actor=TEST)
    credential.verify(actor=TEST)
    text = words(as_bob.get(at("rotate", fleet, credential)))
    assert "Replace without checking" in text
    assert "It does not work at the moment. Tesla refused these details." in text


def test_check_now_says_what_came_of_it(fleet: Fleet, as_bob: Client, credential: Credential, oem: DemoOem) -> None:
    answer = as_bob.post(at("verify", fleet, credential), follow=True)
    assert "Tesla Europe is checked. Its connection works." in words(answer)
    oem.stop()
    assert "Tesla could not be reached." in words(as_bob.post(at("verify", fleet, credential), follow=True))


@pytest.mark.parametrize("page", ["verify", "rotate", "revert", "move", "find_secret"])
def test_viewers_may_do_none_of_it(fleet: Fleet, as_vera: Client, credential: Credential, page: str) -> None:
    address = at(page, fleet, None if page == "find_secret" else credential)
    assert as_vera.post(address, {"client_secret": "right-2"}).status_code == 403
    assert credential.secret.version == 1


def test_the_attention_list_has_the_worst_first_and_three_at_most(fleet: Fleet, as_bob: Client) -> None:
    today = timezone.localdate()
    facts = [
        ("Ends soon", Status.WORKING, today + timedelta(days=9)),
        ("Refused", Status.REJECTED, None),
        ("Silent", Status.UNREACHABLE, None),
        ("Ended", Status.WORKING, today - timedelta(days=1)),
        ("Fine", Status.WORKING, today + timedelta(days=90)),
    ]
    for name, status, end in facts:
        one = factory.a_credential(fleet, name=name)
        factory.a_vehicle(fleet, one)
        Credential.objects.filter(pk=one.pk).update(status=status, ends_on=end)
    text = words(as_bob.get(at("index", fleet)))
    assert re.search(r"Ended has expired\..*Refused can’t sign in\..*Silent can’t be reached\.", text)
    assert "Ends soon expires in 9 days." not in text
    assert "Show all 4" in text
    assert "Ends soon expires in 9 days." in words(as_bob.get(at("index", fleet), {"all": "1"}))


def test_the_coverage_bar_counts_vehicles_by_brand_and_filters(fleet: Fleet, as_bob: Client) -> None:
    tesla, niu = factory.a_credential(fleet, brand="TESLA"), factory.a_credential(fleet, brand="NIU", name="Scooters")
    for one in (tesla, tesla, niu, None):
        factory.a_vehicle(fleet, one)
    answer = as_bob.get(at("index", fleet))
    assert "3 of 4 vehicles have a credential" in words(answer)
    assert re.search(r"Tesla 2 NIU 1 No credential 1", words(answer))
    assert 'width="50.0%"' in answer.content.decode()
    only = words(as_bob.get(at("index", fleet), {"brand": "NIU"}))
    assert "Scooters" in only
    assert "1 credential" in only


def test_the_list_costs_the_same_for_one_and_for_many(fleet: Fleet, as_bob: Client) -> None:
    queries = []
    as_bob.get(at("index", fleet))
    for count in (1, 40):
        for _number in range(count):
            factory.a_vehicle(fleet, factory.a_credential(fleet))
        Credential.objects.update(status=Status.REJECTED)
        with CaptureQueriesContext(connection) as context:
            as_bob.get(at("index", fleet))
        queries.append(len(context))
    assert queries[0] == queries[1]


def test_the_way_out_of_a_refused_delete(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    target = factory.a_credential(fleet, name="Tesla US", brand="TESLA", values={"region": "NA"})
    for _number in range(3):
        factory.a_vehicle(fleet, credential)
    blocked = as_bob.post(at("remove", fleet, credential))
    assert blocked.status_code == 409
    assert "Move all 3 vehicles to" in words(blocked)
    review = as_bob.get(at("move", fleet, credential), {"to": target.pk})
    assert "The two credentials differ: Region" in words(review)
    assert "Europe" in words(review)
    assert credential.vehicles.count() == 3
    answer = as_bob.post(at("move", fleet, credential), {"to": target.pk}, follow=True)
    assert "3 vehicles moved. You can delete Tesla Europe now." in words(answer)
    assert "Delete Tesla Europe?" in words(answer)
    assert AuditEvent.objects.filter(action="vehicle.move").count() == 3
    as_bob.post(at("remove", fleet, credential))
    assert fleet.credentials.get() == target


def test_only_ticked_vehicles_move(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    target = factory.a_credential(fleet, name="Tesla Two", brand="TESLA", values={"region": "EU"})
    first, second = (factory.a_vehicle(fleet, credential) for _number in range(2))
    choice = {"to": target.pk, "vehicle": [first.pk]}
    assert "Move 1 vehicle to Tesla Two?" in words(as_bob.get(at("move", fleet, credential), choice))
    as_bob.post(at("move", fleet, credential), choice)
    assert [v.credential for v in Vehicle.objects.order_by("pk")] == [target, credential]
    assert second.credential == credential


def test_vehicles_do_not_move_to_another_brand_or_fleet(fleet: Fleet, as_bob: Client, credential: Credential) -> None:
    factory.a_vehicle(fleet, credential)
    foreign = factory.a_credential(factory.a_fleet(name="Other"), brand="TESLA", values={"region": "EU"})
    for target in (foreign, factory.a_credential(fleet, brand="NIU")):
        as_bob.post(at("move", fleet, credential), {"to": target.pk})
    assert credential.vehicles.count() == 1


def test_a_leaked_value_is_found_with_what_depends_on_it_and_not_sent_back(
    fleet: Fleet, as_bob: Client, credential: Credential
) -> None:
    credential.rotate(values={"client_secret": "right-17"}, actor=factory.TEST)
    factory.a_vehicle(fleet, credential)
    unit: dict[str, Any] = {
        "telematics_brand": "OKAI",
        "telematics_unit_id": "490154203237518",
        "password": "right-17",
        "name": "Scooter",
    }
    factory.a_vehicle(fleet, **unit)
    answer = as_bob.post(at("find_secret", fleet), {"value": " right-17\n"})
    text = words(answer)
    assert "Tesla Europe Version 2 In use 1 vehicle depends on it." in text
    assert "Scooter The password of its unit." in text
    assert "right-17" not in answer.content.decode()
    assert "No credential and no unit" in words(as_bob.post(at("find_secret", fleet), {"value": "another-value"}))
    events = AuditEvent.objects.filter(action="credential.find_secret", actor_label="Bob")
    assert events.count() == 2
    assert not any("right-17" in str(vars(event)) for event in AuditEvent.objects.all())


def test_guesses_are_counted_and_a_short_secret_is_never_confirmed(fleet: Fleet, as_bob: Client) -> None:
    unit: dict[str, Any] = {"telematics_brand": "OKAI", "telematics_unit_id": "490154203237518", "name": "Scooter"}
    vehicle = factory.a_vehicle(fleet, **unit, password="1234567")
    short = as_bob.post(at("find_secret", fleet), {"value": "1234567"})
    assert short.status_code == 422 and "Enter at least 8 characters" in words(short)
    assert not AuditEvent.objects.filter(action="credential.find_secret").exists()
    answers = [as_bob.post(at("find_secret", fleet), {"value": f"guess-{number:04}"}) for number in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
    assert AuditEvent.objects.filter(action="credential.find_secret").count() == 10
    assert not Vehicle.objects.holding("1234567", fleet.pk)  # nor by any other way that compares fingerprints
    vehicle.change(actor=factory.TEST, password="1234567")
    assert AuditEvent.objects.filter(action="vehicle.change").count() == 1


def test_a_secret_of_another_fleet_is_not_found(fleet: Fleet, as_charlie: Client, charlie: object) -> None:
    factory.a_credential(fleet, name="Theirs")
    other = Fleet.objects.exclude(pk=fleet.pk).get()
    assert "No credential and no unit" in words(as_charlie.post(at("find_secret", other), {"value": factory.SECRET}))


def test_a_certificate_is_shown_by_subject_and_end(fleet: Fleet, as_bob: Client, vera: object) -> None:
    certificate, key = a_certificate()
    typed = stellantis(certificate, key) | {"name": "Stellantis", "unchecked": "1"}
    answer = as_bob.post(at("add", fleet, brand="STELLANTIS"), typed, follow=True)
    assert "CN=client1" in words(answer)
    assert "PRIVATE KEY" not in answer.content.decode()
    assert Credential.objects.get().ends_on is not None


def test_without_what_the_check_needs_it_is_kept_and_says_what_is_missing(
    fleet: Fleet, as_bob: Client, oem: DemoOem
) -> None:
    typed = {"name": "Berlin", "client_id": "client1", "client_secret": "right-1"}
    answer = as_bob.post(at("add", fleet, brand="MERCEDES_BENZ"), typed, follow=True)
    assert "Berlin saved. Its connection is not checked yet." in words(answer)
    assert "FleetControl cannot check this credential without “Token URL”." in words(answer)
    assert fleet.credentials.get().status == Status.UNCHECKED


def test_what_was_left_empty_can_be_given_later_and_then_stays(fleet: Fleet, as_bob: Client, oem: DemoOem) -> None:
    credential = factory.a_credential(fleet, name="Berlin")
    page = at("change", fleet, credential)
    assert "Token URL" in words(as_bob.get(page))
    evil = {"token_url": "https://evil.example/"} | version_shown(as_bob, page)
    assert as_bob.post(page, evil).status_code == 422
    typed = {"token_url": "https://id.mercedes-benz.com/token", "note": "Contract 4711"}
    as_bob.post(page, typed | version_shown(as_bob, page))
    answer = as_bob.post(at("verify", fleet, credential), follow=True)
    assert "Berlin is checked. Its connection works." in words(answer)
    assert "Token URL" not in words(as_bob.get(page))
    with pytest.raises(ValidationError, match="different credential"):
        Credential.objects.get().change(settings={"token_url": "https://id.mercedes-benz.com/other"}, actor=TEST)


def test_what_nobody_used_for_90_days_is_told(fleet: Fleet, as_bob: Client) -> None:
    credential = factory.a_credential(fleet, name="Forgotten")
    assert "Not in use for 90 days" not in words(as_bob.get(at("index", fleet)))
    Credential.objects.filter(pk=credential.pk).update(created_at=timezone.now() - timedelta(days=91))
    assert "Not in use for 90 days" in words(as_bob.get(at("index", fleet)))
    assert "Not in use for 90 days." in words(as_bob.get(at("detail", fleet, credential)))
    credential.record_use()
    assert "Not in use for 90 days" not in words(as_bob.get(at("index", fleet)))
