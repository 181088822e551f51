"""Whatever is done to a row while somebody deletes it: an answer that says so, and never a server error."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from credentials.models import Webhook
from credentials.oem.demo import DemoOem
from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Membership, Role
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in
from tests.support.connections import before_commit
from tests.support.factory import TEST
from tests.support.forms import version_shown

pytestmark = pytest.mark.django_db(transaction=True)
TESLA = {"client_secret": "right-2", "region": "EU"}
# The page, what is deleted under it, and what is typed. Of the verbs of the page itself too: two people delete at once.
PAGES: list[tuple[str, str, dict[str, Any]]] = [
    ("credentials:change", "credential", {"note": "mine", "ends_on": ""}),
    ("credentials:rotate", "credential", TESLA),
    ("credentials:rotate", "credential", TESLA | {"unchecked": "1"}),
    ("credentials:revert", "credential", {}),
    ("credentials:verify", "credential", {}),
    ("credentials:remove", "credential", {}),
    ("credentials:detail", "credential", {}),
    ("vehicles:change", "vehicle", {"name": "mine", "operation_status": "OPERATING"}),
    ("vehicles:move", "vehicle", {"credential": "other"}),
    ("vehicles:move", "other", {"credential": "other"}),
    ("vehicles:remove", "vehicle", {}),
    ("vehicles:move_many", "vehicle", {"chosen": "vehicle", "id": "vehicle", "credential": "other"}),
    ("vehicles:move_many", "other", {"chosen": "vehicle", "id": "vehicle", "credential": "other"}),
    ("vehicles:add", "other", {"credential": "other", "telematics_unit_id": "WBA71EF0X0E000009"}),
    ("members:change", "membership", {"role": "manager"}),
    ("members:remove", "membership", {}),
    ("clients:change", "client", {"read": ["vehicles.ro"], "ends_on": ""}),
    ("clients:replace_secret", "client", {"overlap": "1h"}),
    ("clients:stop_former", "client", {}),
    ("clients:revoke", "client", {}),
    ("credentials:webhook", "webhook", {"what": "set_up", "url": "https://a.example/"}),
    ("credentials:webhook", "webhook", {"what": "remove"}),
    ("credentials:webhook", "webhook", {"what": "test"}),
    ("members:index", "alice", {}),
    ("credentials:add", "alice", {"name": "New"} | TESLA),
    ("vehicles:change", "alice", {"name": "mine", "operation_status": "OPERATING"}),
]
API: list[tuple[str, str, str, dict[str, Any] | None]] = [
    ("PATCH", "/vehicles/{vehicle}", "vehicle", {"name": "mine"}),
    ("PATCH", "/vehicles/{vehicle}", "vehicle", {"credential_id": "{other}"}),
    ("PATCH", "/vehicles/{vehicle}", "other", {"credential_id": "{other}"}),
    ("DELETE", "/vehicles/{vehicle}", "vehicle", None),
    ("POST", "/vehicles/move", "vehicle", {"vehicle_ids": ["{vehicle}"], "credential_id": "{other}"}),
    ("POST", "/vehicles/move", "other", {"vehicle_ids": ["{vehicle}"], "credential_id": "{other}"}),
    ("PATCH", "/telematics-brands/TESLA/credentials/{credential}", "credential", {"note": "mine"}),
    ("PATCH", "/telematics-brands/TESLA/credentials/{credential}", "credential", {"client_secret": "right-3"}),
    ("DELETE", "/telematics-brands/TESLA/credentials/{credential}", "credential", None),
    ("POST", "/telematics-brands/TESLA/credentials/{credential}/check", "credential", None),
    ("POST", "/telematics-brands/TESLA/credentials/{credential}/access-token", "credential", {}),
    ("PATCH", "/vehicles/{vehicle}", "own client", {"name": "mine"}),
    ("GET", "/vehicles", "own client", None),
]


class Scene:
    def __init__(self) -> None:
        self.fleet = factory.a_fleet()
        self.alice = factory.a_member(self.fleet, Role.ADMINISTRATOR, name="Alice", is_staff=True, is_superuser=True)
        factory.a_member(self.fleet, Role.ADMINISTRATOR, name="Second")
        self.vera = factory.a_member(self.fleet, Role.VIEWER, name="Vera")
        self.credential = factory.a_tesla(self.fleet, name="Free")
        self.credential.rotate(values={"client_secret": "right-4"}, actor=TEST)
        used, self.other = factory.a_tesla(self.fleet, name="Used"), factory.a_tesla(self.fleet, name="Other")
        self.vehicle = factory.a_vehicle(self.fleet, used)
        self.membership = Membership.objects.get(user=self.vera)
        self.client, _secret = ApiClient.add(fleet=self.fleet, actor=TEST, name="ERP", permissions=["vehicles"])
        self.client.replace_secret(actor=TEST, overlap="7d")
        self.webhook, _key = Webhook.set_up(fleet=self.fleet, url="https://a.example/", actor=TEST)
        self.api = Api(self.fleet, name="Own")
        self.api.sign_in()

    def deletion(self, what: str) -> Callable[[], Any]:
        if what == "alice":
            return lambda: Membership.objects.get(user=self.alice).remove(actor=TEST)
        if what in ("client", "own client"):
            return lambda: (self.client if what == "client" else self.api.client).revoke(actor=TEST)
        return lambda: getattr(self, what).remove(actor=TEST)

    def ids(self) -> dict[str, str]:
        return {name: getattr(self, name).pk for name in ("credential", "vehicle", "other")}

    def address(self, name: str) -> str:
        ids: dict[str, dict[str, Any]] = {
            "credentials": {"id": self.credential.pk}, "vehicles": {"id": self.vehicle.pk},
            "members": {"pk": self.membership.pk}, "clients": {"id": self.client.client_id},
        }  # fmt: skip
        of = {} if name.endswith(("webhook", "index", "many")) else ids[name.split(":")[0]]
        return reverse(name, kwargs={"fleet": self.fleet.slug} | ({"brand": "TESLA"} if name.endswith("add") else of))


@pytest.fixture
def scene(db: None, oem: DemoOem) -> Scene:
    return Scene()


@pytest.mark.parametrize(("name", "deleted", "typed"), PAGES)
def test_a_page_whose_object_is_deleted_at_that_moment(
    name: str, deleted: str, typed: dict[str, Any], scene: Scene
) -> None:
    browser = signed_in(scene.alice)
    browser.raise_request_exception = False
    address = scene.address(name)
    shown = browser.get(address)
    assert shown.status_code < 500
    sent = typed | {key: scene.ids().get(value, value) for key, value in typed.items() if isinstance(value, str)}
    sent |= version_shown(browser, address)
    answer = before_commit(scene.deletion(deleted), lambda: browser.post(address, sent), must_wait=False)
    assert answer.status_code < 500, answer
    assert browser.get(address).status_code < 500


@pytest.mark.parametrize(("method", "path", "deleted", "body"), API)
def test_an_operation_whose_object_is_deleted_at_that_moment(
    method: str, path: str, deleted: str, body: Any, scene: Scene
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(**scene.ids())
        return [filled(one) for one in value] if isinstance(value, list) else value

    sent = {key: filled(value) for key, value in body.items()} if body is not None else None
    scene.api.web.raise_request_exception = False
    answer = before_commit(scene.deletion(deleted), lambda: scene.api.send(method, filled(path), sent), must_wait=False)
    assert answer.status_code < 500, answer.content


@pytest.mark.parametrize("kind", ["credentials_credential", "vehicles_vehicle", "people_membership"])
@pytest.mark.parametrize("page", ["change", "delete", "changelist"])
def test_a_page_of_the_admin_whose_object_is_deleted_at_that_moment(kind: str, page: str, scene: Scene) -> None:
    row: Any = {"c": scene.credential, "v": scene.vehicle, "p": scene.membership}[kind[0]]
    browser: Client = signed_in(scene.alice)
    browser.raise_request_exception = False
    address = reverse(f"admin:{kind}_{page}", args=[] if page == "changelist" else [row.pk])
    typed: dict[str, Any] = {
        "change": {"note": "x", "name": "mine", "role": "manager", "operation_status": "OPERATING"},
        "delete": {"post": "yes"},
        "changelist": {"action": "delete_selected", "_selected_action": str(row.pk), "post": "yes"},
    }[page]  # fmt: skip
    typed |= version_shown(browser, address) if page == "change" else {}
    answer = before_commit(lambda: row.remove(actor=TEST), lambda: browser.post(address, typed), must_wait=False)
    assert answer.status_code < 500
