"""Invitations accepted twice at once, and fleets that are deleted while people, programs and staff use them."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, transaction
from django.test import Client
from django.urls import reverse

from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.db.rules import DEADLOCK, sqlstate_of
from fleetcontrol.people.accounts import join
from fleetcontrol.people.models import Fleet, Invitation, Role, User, is_gone
from tests.support import factory
from tests.support.api import Api, token
from tests.support.browsers import is_signed_in, signed_in
from tests.support.connections import PATIENCE, at_once, before_commit, is_somebody_waiting
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4


def invited(fleet: Fleet, email: str = "nina@example.com") -> Invitation:
    (invitation,) = Invitation.add(fleet=fleet, emails=[email], role=Role.MANAGER, actor=factory.TEST)
    return invitation


def test_of_two_who_join_at_once_with_one_invitation_one_does() -> None:
    for number in range(ROUNDS):
        fleet = factory.a_fleet(f"Fleet {number}")
        link = reverse("invitations:accept", args=[invited(fleet, f"n{number}@example.com").link.split("/")[-2]])
        browsers = [Client(), Client(), Client()]
        typed = {"name": "Nina", "password": "long-enough-99"}
        answers = at_once(*(partial(browser.post, link, typed) for browser in browsers))
        assert {answer.status_code for answer in answers} <= {200, 302, 404}
        assert sum(is_signed_in(browser) for browser in browsers) == 1
        assert fleet.memberships.count() == 1 and User.objects.filter(email=f"n{number}@example.com").count() == 1
        assert AuditEvent.objects.filter(action="invitation.accept", fleet_id=fleet.pk).count() == 1


def test_a_person_who_accepts_twice_at_once_is_welcomed_twice_and_joins_once() -> None:
    nina = factory.a_user("Nina")
    for number in range(ROUNDS):
        fleet = factory.a_fleet(f"Fleet {number}")
        link = reverse("invitations:accept", args=[invited(fleet).link.split("/")[-2]])
        browsers = [signed_in(nina), signed_in(nina)]
        answers = at_once(*(partial(browser.post, link) for browser in browsers))
        assert {answer.status_code for answer in answers} <= {302, 404}
        assert fleet.memberships.count() == 1
        assert AuditEvent.objects.filter(action="invitation.accept", fleet_id=fleet.pk).count() == 1


def test_two_invitations_of_one_address_accepted_at_once_make_one_account(rf: Any) -> None:
    one, other = factory.a_fleet("One"), factory.a_fleet("Other")
    invitations = [invited(one), invited(other)]
    request = rf.get("/")
    results = at_once(*(lambda each=each: join([each], request, email=each.email, name="Nina") for each in invitations))
    assert sum(isinstance(result, User) for result in results) == 1 and results.count(None) == 1
    assert User.objects.get().memberships.count() == 1


@pytest.mark.parametrize("verb", ["revoke", "resend", "accept"])
def test_an_invitation_that_is_taken_meanwhile_is_gone(verb: str) -> None:
    fleet, nina = factory.a_fleet(), factory.a_user("Nina")
    alice = factory.a_member(fleet, Role.ADMINISTRATOR)
    invitation = invited(fleet)

    def act() -> Any:
        if verb == "accept":
            return signed_in(nina).post(reverse("invitations:accept", args=[invitation.link.split("/")[-2]]))
        return signed_in(alice).post(reverse(f"invitations:{verb}", args=[fleet.slug, invitation.pk]))

    answer = before_commit(lambda: Invitation.objects.get(pk=invitation.pk).revoke(actor=factory.TEST), act)
    assert answer.status_code == 404
    events = AuditEvent.objects.filter(fleet_id=fleet.pk, target_kind="invitation").values_list("action", flat=True)
    assert list(events.order_by("id")) == ["invitation.add", "invitation.revoke"]


def test_a_member_who_is_added_twice_at_once_is_told() -> None:
    fleet, nina = factory.a_fleet(), factory.a_user("Nina")
    results = at_once(*(lambda: fleet.admit(nina, role=Role.VIEWER, actor=factory.TEST) for _ in range(3)))
    assert sorted(type(result).__name__ for result in results) == ["Membership", "ValidationError", "ValidationError"]


class Scene:
    """A fleet with people, a credential, a vehicle and an API client, and what is done in it."""

    def __init__(self, name: str) -> None:
        self.fleet = factory.a_fleet(name)
        self.alice = factory.a_member(self.fleet, Role.ADMINISTRATOR, name=f"Alice {name}")
        self.vera = factory.a_member(self.fleet, Role.VIEWER, name=f"Vera {name}")
        self.other = factory.a_user(f"Other {name}")
        self.credential = factory.a_credential(self.fleet, name="Berlin")
        self.vehicle = factory.a_vehicle(self.fleet, self.credential, name="Van 1")
        self.invitation = invited(self.fleet, f"{self.fleet.slug}@example.com")
        self.browser = signed_in(self.alice)
        self.root = signed_in(factory.a_user(f"Root {name}", is_staff=True, is_superuser=True))
        self.api = Api(self.fleet)
        self.api.sign_in()
        self.browser.raise_request_exception = self.root.raise_request_exception = False
        self.api.web.raise_request_exception = False

    def page(self, route: str, *args: Any, **typed: Any) -> Callable[[], Any]:
        address = reverse(route, args=[self.fleet.slug, *args])
        return lambda: self.browser.post(address, typed)

    def uses(self) -> dict[str, Callable[[], Any]]:
        vin = {"telematics_unit_id": "WBA71EF0X0E000001", "vin": "WBA71EF0X0E000001"}
        vehicle = {**vin, "credential": self.credential.pk, "operation_status": "OPERATING", "custom_fields": ""}
        secrets = {"client_id": "client2", "client_secret": factory.SECRET}
        member = self.fleet.memberships.get(user=self.vera).pk
        in_admin = reverse("admin:vehicles_vehicle_add", query={"fleet": self.fleet.pk, "brand": "MERCEDES_BENZ"})
        membership = {"fleet": self.fleet.pk, "user": self.other.pk, "role": "viewer"}
        link = reverse("invitations:accept", args=[self.invitation.link.split("/")[-2]])
        unit = {"telematics_brand": "CLOUDBOXX", "telematics_unit_id": "0123456789ABCDEF"}
        change = f"/vehicles/{self.vehicle.pk}"
        return {
            "add a vehicle": self.page("vehicles:add", "MERCEDES_BENZ", **vehicle),
            "add a credential": self.page("credentials:add", "MERCEDES_BENZ", name="New", **secrets),
            "rotate": self.page("credentials:rotate", self.credential.pk, client_secret="another-1"),
            "remove a vehicle": self.page("vehicles:remove", self.vehicle.pk),
            "invite": self.page("members:invite", emails="a@example.com b@example.com", role="viewer"),
            "change a role": self.page("members:change", member, role="manager"),
            "remove a member": self.page("members:remove", member),
            "resend": self.page("invitations:resend", self.invitation.pk),
            "revoke": self.page("invitations:revoke", self.invitation.pk),
            "add a client": self.page("clients:add", name="ERP 2", read=["vehicles"]),
            "upload a file": lambda: self.page("imports:add", kind="vehicle", file=a_file())(),
            "delete the fleet too": self.page("fleets:remove", name=self.fleet.name),
            "join": lambda: Client().post(link, {"name": "Nina", "password": "long-enough-99"}),
            "add a vehicle in the admin": lambda: self.root.post(in_admin, vehicle),
            "add a member in the admin": lambda: self.root.post(reverse("admin:people_membership_add"), membership),
            "add a vehicle by the API": lambda: self.api.post("/vehicles", unit),
            "change a vehicle by the API": lambda: self.api.patch(change, {"name": "Van 2"}),
            "get a token": lambda: token(self.api.client.client_id, self.api.secret),
        }


def a_file() -> SimpleUploadedFile:
    return SimpleUploadedFile(
        "vehicles.csv", b"name;telematics_brand;telematics_unit_id\nVan 9;CLOUDBOXX;0123456789ABCDEE\n"
    )


NAMES = (
    "add a vehicle", "add a credential", "rotate", "remove a vehicle", "invite", "change a role", "remove a member",
    "resend", "revoke", "add a client", "upload a file", "delete the fleet too", "join", "add a vehicle in the admin",
    "add a member in the admin", "add a vehicle by the API", "change a vehicle by the API", "get a token",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_fleet_is_deleted_while_it_is_used_and_nothing_fails(name: str) -> None:
    for number in range(ROUNDS):
        scene = Scene(f"Fleet {number}")
        use = scene.uses()[name]
        results = at_once(partial(scene.fleet.remove, actor=factory.TEST), use)
        (answer,) = [result for result in results if hasattr(result, "status_code")]
        assert answer.status_code < 500, results
        others = [result for result in results if result not in (answer, None)]
        assert all(isinstance(other, Fleet.DoesNotExist) for other in others) and (not others or "too" in name), others
        assert not Fleet.objects.filter(pk=scene.fleet.pk).exists()


def test_a_fleet_that_meets_a_deadlock_is_deleted_in_the_next_try() -> None:
    """Somebody holds a vehicle and then wants the fleet, which the deletion holds while it wants the vehicle."""
    scene, holding = Scene("Fleet"), threading.Event()

    def use() -> None:
        with transaction.atomic():
            Vehicle.objects.select_for_update().get(pk=scene.vehicle.pk)
            holding.set()
            deadline = time.monotonic() + PATIENCE
            while not is_somebody_waiting():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            Fleet.objects.select_for_update(no_key=True).get(pk=scene.fleet.pk)

    def delete() -> None:
        assert holding.wait(PATIENCE)
        scene.fleet.remove(actor=factory.TEST)

    refused = [result for result in at_once(use, delete) if result is not None]
    assert all(sqlstate_of(error) == DEADLOCK for error in refused), refused
    assert not Fleet.objects.exists() and not Vehicle.objects.exists()


def test_what_goes_by_a_deadlock_with_the_deletion_is_not_found() -> None:
    fleet = factory.a_fleet()
    error = OperationalError()
    error.__cause__ = psycopg.errors.DeadlockDetected()
    assert not is_gone(fleet, error)
    assert before_commit(
        lambda: Fleet.objects.get(pk=fleet.pk).remove(actor=factory.TEST), lambda: is_gone(fleet, error)
    )
