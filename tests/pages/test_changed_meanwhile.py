"""Two people edit the same row side by side: the second one saves nothing before they have seen the first one's change.

Every form that edits a row is tried. The table of every address finds them, so that a new one cannot be forgotten.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from credentials.models import Credential, Webhook
from fleetcontrol.api.models import ApiClient
from fleetcontrol.api.operations import etag_of
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import version_of
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.house.test_access import FLEET_PAGES, OWN_PAGES
from tests.house.test_access import addresses as addresses  # the fixture of the table
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_on, version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db
OF_ROWS = ("credential", "vehicle", "membership", "client", "invitation")
OTHER = Actor("user", "0", "Colleague")

# Forms of one row that show nothing that is stored, with the reason why they need no version.
NO_EDIT = {
    "credentials:rotate": "takes a new secret, and names in `over` the version that it replaces",
    "clients:replace_secret": "asks only for how long the old secret works",
    "fleets:remove": "asks only for the name of the fleet",
    "credentials:remove": "shows a search, and a button for all vehicles",
}


@dataclass
class Edit:
    """One edit form: what the page sends untouched, what I type, what a colleague saves meanwhile."""

    address: str
    untouched: Mapping[str, Any]
    mine: Mapping[str, Any]
    colleague: Callable[[], object]
    value: Callable[[], Any]  # the stored value that I change
    mine_stored: Any
    theirs: str  # the colleague's value as the form shows it


@pytest.fixture
def edits(fleet: Fleet, vera: User, bob: User, alice: User) -> dict[str, Edit]:
    credential = factory.a_credential(fleet, name="First", note="old")
    second, third = factory.a_credential(fleet, name="Second"), factory.a_credential(fleet, name="Third")
    vehicle = factory.a_vehicle(fleet, credential, name="Bus")
    moved = factory.a_vehicle(fleet, credential, name="Van")
    client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="Edited", permissions=["vehicles.ro"])
    webhook, _key = Webhook.set_up(fleet=fleet, url="https://one.example/", actor=factory.TEST)
    membership = Membership.objects.get(user=vera)
    of_vehicle = {
        "credential": credential.pk, "telematics_unit_id": vehicle.telematics_unit_id, "name": "Bus",
        "operation_status": "OPERATING",
    }  # fmt: skip

    def stored(model: Any, pk: Any, name: str) -> Callable[[], Any]:
        return lambda: getattr(model.objects.get(pk=pk), name)

    def own_name() -> None:
        User.objects.filter(pk=alice.pk).update(name="Alice of the admin")
        AuditEvent.record(None, OTHER, "user.change", alice, {"name": ["replaced", "replaced"]})

    change_vehicle = Edit(
        "", of_vehicle, {"tags": "mine"}, lambda: vehicle.change(actor=OTHER, tags=["theirs"]),
        stored(Vehicle, vehicle.pk, "tags"), ["mine"], "theirs",
    )  # fmt: skip
    change_credential = Edit(
        "", {"note": "old", "ends_on": ""}, {"note": "mine"}, lambda: credential.change(actor=OTHER, note="theirs"),
        stored(Credential, credential.pk, "note"), "mine", "theirs",
    )  # fmt: skip
    change_fleet = Edit(
        "", {"name": fleet.name}, {"name": "Mine"},
        lambda: Fleet.objects.get(pk=fleet.pk).change(actor=OTHER, name="Theirs"),
        stored(Fleet, fleet.pk, "name"), "Mine", "Theirs",
    )  # fmt: skip
    change_member = Edit(
        "", {"role": "viewer"}, {"role": "manager"},
        lambda: Membership.objects.get(pk=membership.pk).change(role=Role.ADMINISTRATOR, actor=OTHER),
        stored(Membership, membership.pk, "role"), "manager", "Administrator",
    )  # fmt: skip
    found = {
        "vehicles:change": change_vehicle,
        "vehicles:move": Edit(
            "", {"credential": credential.pk}, {"credential": second.pk}, lambda: moved.move(third, actor=OTHER),
            stored(Vehicle, moved.pk, "credential_id"), second.pk, "Third",
        ),
        "credentials:change": change_credential,
        "credentials:webhook": Edit(
            "", {"url": "https://one.example/", "what": "set_up"}, {"url": "https://mine.example/"},
            lambda: Webhook.set_up(fleet=fleet, url="https://theirs.example/", actor=OTHER),
            stored(Webhook, webhook.pk, "host"), "mine.example", "theirs.example",
        ),
        "members:change": change_member,
        "fleets:change": change_fleet,
        "clients:change": Edit(
            "", {"read": ["vehicles.ro"], "ends_on": ""}, {"ends_on": "2099-01-01"},
            lambda: client.change(actor=OTHER, permissions=["vehicles.ro"], ends_on=date(2098, 12, 31)),
            lambda: str(ApiClient.objects.get(name="Edited").ends_on), "2099-01-01", "2098-12-31",
        ),
        "people:profile": Edit(
            "", {"name": "Alice"}, {"name": "Mine"}, own_name, stored(User, alice.pk, "name"), "Mine",
            "Alice of the admin",
        ),
    }  # fmt: skip
    ids = {"vehicles:change": vehicle.pk, "vehicles:move": moved.pk, "credentials:change": credential.pk,
           "clients:change": client.client_id}  # fmt: skip
    for name, edit in found.items():
        kwargs: dict[str, Any] = {} if name == "people:profile" else {"fleet": fleet.slug}
        kwargs |= {"id": ids[name]} if name in ids else {}
        kwargs |= {"pk": membership.pk} if name == "members:change" else {}
        edit.address = reverse(name, kwargs=kwargs)
    person = factory.a_user("Mira")

    def other_admin() -> None:
        User.objects.filter(pk=person.pk).update(name="Theirs")

    in_admin = {
        "admin:vehicles_vehicle": (vehicle.pk, change_vehicle),
        "admin:credentials_credential": (credential.pk, change_credential),
        "admin:people_fleet": (fleet.pk, change_fleet),
        "admin:people_membership": (membership.pk, change_member),
        "admin:people_user": (
            person.pk,
            Edit(
                "", {"name": "Mira", "email": person.email, "is_active": "on", "shortcuts": "on"}, {"name": "Mine"},
                other_admin, stored(User, person.pk, "name"), "Mine", "Theirs",
            ),
        ),
    }  # fmt: skip
    for name, (pk, edit) in in_admin.items():
        more = {"custom_fields": "{}"} if "vehicle" in name else {}
        found[name] = Edit(
            reverse(f"{name}_change", args=[pk]), {**edit.untouched, **more}, edit.mine, edit.colleague, edit.value,
            edit.mine_stored, edit.theirs,
        )  # fmt: skip
    return found


NAMES = (
    "vehicles:change", "vehicles:move", "credentials:change", "credentials:webhook", "members:change", "fleets:change",
    "clients:change", "people:profile", "admin:vehicles_vehicle", "admin:credentials_credential", "admin:people_fleet",
    "admin:people_membership", "admin:people_user",
)  # fmt: skip


@pytest.fixture
def me(alice: User) -> Client:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    return signed_in(alice)


@pytest.mark.parametrize("name", NAMES)
def test_a_colleagues_change_is_shown_beside_mine_and_undone_by_nobody(
    name: str, edits: dict[str, Edit], me: Client
) -> None:
    edit = edits[name]
    version = version_shown(me, edit.address)
    edit.colleague()
    theirs_stored = edit.value()
    answer = me.post(edit.address, {**edit.untouched, **edit.mine, **version})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert edit.value() == theirs_stored != edit.mine_stored
    assert edit.theirs in page and "saved a change while you were editing" in page
    assert version_on(page) not in ({}, version)
    saved = me.post(edit.address, {**edit.untouched, **edit.mine, **version_on(page)})
    assert saved.status_code in (200, 302)
    assert edit.value() == edit.mine_stored


@pytest.mark.parametrize("name", NAMES)
def test_a_form_without_its_version_saves_nothing(name: str, edits: dict[str, Edit], me: Client) -> None:
    edit = edits[name]
    before = edit.value()
    for version in ({}, {"version": "nonsense"}):
        assert me.post(edit.address, {**edit.untouched, **edit.mine, **version}).status_code == 409
        assert edit.value() == before


@pytest.mark.parametrize("name", NAMES)
def test_alone_a_form_saves_at_once(name: str, edits: dict[str, Edit], me: Client) -> None:
    edit = edits[name]
    answer = me.post(edit.address, {**edit.untouched, **edit.mine, **version_shown(me, edit.address)})
    assert answer.status_code in (200, 302)
    assert edit.value() == edit.mine_stored


def test_every_form_that_edits_a_row_carries_its_version(
    fleet: Fleet, addresses: dict[str, Any], edits: dict[str, Edit], me: Client
) -> None:
    pages = [
        (page.name, {"fleet": fleet.slug} | addresses[page.of])
        for page in FLEET_PAGES
        if page.get == 200 and (page.of in OF_ROWS or page.name.startswith(("fleets:", "credentials:webhook")))
    ]
    pages += [(name, {}) for name, (get, _post) in OWN_PAGES.items() if get == 200]
    seen = set()
    for name, kwargs in pages:
        for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text_of(me, name, kwargs), re.DOTALL):
            typed = re.findall(r"<(?:input(?![^>]*type=\"hidden\")|select|textarea)\b[^>]*\bname=", form)
            if typed and "account-menu" not in form and 'action="/' not in form and name not in NO_EDIT:
                assert version_on(form), f"{name} edits a row without naming its version"
                seen.add(name)
    assert seen == {name for name in NAMES if not name.startswith("admin:")}, "try each of them above"
    registered = [f"admin:{model._meta.app_label}_{model._meta.model_name}" for model in changeable_in_admin(me)]
    assert set(registered) == {name for name in NAMES if name.startswith("admin:")}


def text_of(client: Client, name: str, kwargs: dict[str, Any]) -> str:
    return client.get(reverse(name, kwargs=kwargs)).content.decode()


def changeable_in_admin(me: Client) -> list[Any]:
    """The models whose page in the Django admin has a button that saves."""

    found = []
    for model in admin.site._registry:
        row = model._default_manager.first()
        if row is not None:
            page = me.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))
            form = re.search(r'<div class="submit-row">.*?</div>', page.content.decode(), re.DOTALL)
            inputs = re.search(r'<form[^>]*_form".*?</form>', page.content.decode(), re.DOTALL)
            fields = re.findall(r"<(?:input|select|textarea)[^>]*\bid=\"id_", inputs[0] if inputs else "")
            if form and 'name="_save"' in form[0] and fields:
                found.append(model)
    return found


def test_a_field_that_only_a_colleague_changed_takes_their_value(
    fleet: Fleet, edits: dict[str, Edit], me: Client
) -> None:
    """The fault as it was found: who touched only a tag moved the vehicle back to its old credential."""
    edit, vehicle = edits["vehicles:change"], Vehicle.objects.get(name="Bus")
    second = Credential.objects.get(name="Second")
    version = version_shown(me, edit.address)
    vehicle.move(second, actor=OTHER)
    answer = me.post(edit.address, {**edit.untouched, **edit.mine, **version})
    page = " ".join(answer.content.decode().split())
    assert answer.status_code == 409
    assert "Colleague changed this from “First” to “Second”" in page
    assert f'<option value="{second.pk}" selected>' in page and 'value="mine"' in page
    assert page.count('name="take"') == 0, "nothing is to be decided"
    me.post(edit.address, {**edit.untouched, **edit.mine, "credential": second.pk, **version_on(page)})
    vehicle.refresh_from_db()
    assert (vehicle.tags, vehicle.credential) == (["mine"], second)


def test_theirs_can_be_taken_with_one_tick(edits: dict[str, Edit], me: Client) -> None:
    edit = edits["vehicles:change"]
    version = version_shown(me, edit.address)
    edit.colleague()
    sent = {**edit.untouched, **edit.mine, "license_plate": "HH-NL 9"}
    page = me.post(edit.address, sent | version).content.decode()
    assert 'name="take" value="tags"' in page
    assert me.post(edit.address, sent | {"take": "tags"} | version_on(page)).status_code == 302
    vehicle = Vehicle.objects.get(name="Bus")
    assert (vehicle.tags, vehicle.license_plate) == (["theirs"], "HH-NL 9")


def test_a_mistake_beside_an_old_version_does_not_make_it_new(edits: dict[str, Edit], me: Client) -> None:
    edit = edits["clients:change"]
    version = version_shown(me, edit.address)
    edit.colleague()
    wrong = me.post(edit.address, {**edit.untouched, "ends_on": "nonsense", **version})
    assert wrong.status_code == 422
    again = me.post(edit.address, {**edit.untouched, **edit.mine, **version_on(wrong.content.decode())})
    assert again.status_code == 409


def test_checks_and_uses_are_no_changes(edits: dict[str, Edit], me: Client) -> None:
    edit, credential = edits["credentials:change"], Credential.objects.get(name="First")
    version = version_shown(me, edit.address)
    credential.verify(actor=OTHER)
    credential.record_use()
    ApiClient.objects.update(last_used_at=credential.created_at)
    assert me.post(edit.address, {**edit.untouched, **edit.mine, **version}).status_code == 302


def test_the_api_sees_the_version_that_the_form_made_old(edits: dict[str, Edit]) -> None:
    """The version of a form is the ETag of the API."""

    vehicle = Vehicle.objects.get(name="Bus")
    assert etag_of(vehicle.changed_at) == f'"{version_of(vehicle)}"'


def test_a_setting_that_a_colleague_gave_meanwhile_stays_and_is_shown(fleet: Fleet, me: Client) -> None:
    """Only an empty setting can be given, so the field must not vanish together with what was typed."""
    credential = factory.a_credential(fleet, name="Tesla", brand="TESLA", values={"region": ""})
    address = reverse("credentials:change", kwargs={"fleet": fleet.slug, "id": credential.pk})
    version = version_shown(me, address)
    credential.change(actor=OTHER, settings={"region": "EU"})
    mine = {"note": "mine", "ends_on": "", "region": "NA"}
    answer = me.post(address, mine | version)
    page = " ".join(answer.content.decode().split())
    assert answer.status_code == 409
    assert re.search(r"Colleague entered “[^”]+”, which stays. You entered “[^”]+”.", page)
    assert page.count('name="take"') == 0, "nothing is to be decided"
    saved = me.post(address, mine | {"region": "EU"} | version_on(page))
    credential.refresh_from_db()
    assert (saved.status_code, credential.note, credential.settings["region"]) == (302, "mine", "EU")


@pytest.mark.parametrize("chosen", [{"theme": "dark"}, {"language": "de"}, {"shortcuts": "off"}])
def test_a_preference_of_another_tab_is_no_change_of_the_name(
    edits: dict[str, Edit], me: Client, chosen: dict[str, str]
) -> None:
    edit = edits["people:profile"]
    version = version_shown(me, edit.address)
    me.post(reverse("people:preferences"), chosen)
    assert me.post(edit.address, {**edit.untouched, **edit.mine, **version}).status_code == 302
    assert edit.value() == edit.mine_stored
