"""The Django admin has the verbs, audit events and refusals of the pages, and shows no secret."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from credentials.models import Credential
from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.forms import version_shown
from vehicles.models import Vehicle

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db: None) -> Client:
    return signed_in(factory.a_user("Root", is_staff=True, is_superuser=True))


def address(kind: str, page: str, *args: Any, **query: Any) -> str:
    return reverse(f"admin:{kind}_{page}", args=args, query=query)


def events(action: str) -> int:
    return AuditEvent.objects.filter(action=action, actor_label="Root").count()


def test_a_credential_is_added_with_its_brands_fields(admin: Client, fleet: Fleet) -> None:
    first = admin.get(address("credentials_credential", "add"))
    assert "Mercedes-Benz" in first.content.decode()
    add = address("credentials_credential", "add", fleet=fleet.pk, brand="MERCEDES_BENZ")
    values = {"name": "Berlin", "client_id": "client1", "client_secret": factory.SECRET}
    assert admin.post(add, values).status_code == 302
    assert Credential.objects.get(fleet=fleet, name="Berlin").secret.open()["client_secret"] == factory.SECRET
    assert events("credential.add") == 1


def test_a_wrong_credential_is_refused_at_its_fields_and_the_secret_is_cleared(admin: Client, fleet: Fleet) -> None:
    factory.a_credential(fleet, name="Berlin")
    add = address("credentials_credential", "add", fleet=fleet.pk, brand="MERCEDES_BENZ")
    values = {"name": "BERLIN", "client_id": "", "client_secret": factory.SECRET}
    page = admin.post(add, values).content.decode()
    assert "already has a credential" in page and "Enter the client ID" in page
    assert factory.SECRET not in page


def test_a_secret_is_replaced_and_the_identity_cannot_change(admin: Client, fleet: Fleet) -> None:
    credential = factory.a_credential(fleet, name="Berlin")
    change = address("credentials_credential", "change", credential.pk)
    page = admin.get(change).content.decode()
    assert factory.SECRET not in page and 'name="client_id"' not in page and 'name="name"' not in page
    values = {"note": "new", "ends_on": "", "client_secret": "another-secret", "client_id": "x", "name": "Hamburg"}
    assert admin.post(change, values | version_shown(admin, change)).status_code == 302
    credential.refresh_from_db()
    assert (credential.name, credential.identifier, credential.note) == ("Berlin", "client1", "new")
    assert credential.secret.version == 2
    assert events("credential.rotate") == events("credential.change") == 1


def test_a_credential_in_use_is_not_deleted_alone_nor_in_bulk(admin: Client, fleet: Fleet) -> None:
    used, unused = factory.a_credential(fleet, name="Used"), factory.a_credential(fleet, name="Unused")
    factory.a_vehicle(fleet, used, name="Transporter 014")
    page = admin.post(address("credentials_credential", "delete", used.pk), {"post": "yes"}).content.decode()
    assert "Used can’t be deleted: 1 vehicle uses it (Transporter 014)." in page
    chosen = {"action": "delete_selected", "_selected_action": [used.pk, unused.pk], "post": "yes"}
    admin.post(address("credentials_credential", "changelist"), chosen)
    assert Credential.objects.count() == 2
    admin.post(address("credentials_credential", "delete", unused.pk), {"post": "yes"})
    assert list(Credential.objects.all()) == [used]
    assert events("credential.remove") == 1


def test_a_vehicle_is_added_changed_and_removed(admin: Client, fleet: Fleet) -> None:
    credential = factory.a_credential(fleet)
    add = address("vehicles_vehicle", "add", fleet=fleet.pk, brand="MERCEDES_BENZ")
    values = {
        "vin": "WDB9634031L000001",
        "credential": credential.pk,
        "operation_status": "OPERATING",
        "tags": "pool,east",
        "custom_fields": "{}",
    }
    assert admin.post(add, values).status_code == 302
    vehicle = Vehicle.objects.get(fleet=fleet)
    assert (vehicle.telematics_unit_id, vehicle.tags) == ("WDB9634031L000001", ["pool", "east"])
    change = address("vehicles_vehicle", "change", vehicle.pk)
    edited = values | {"license_plate": "HH-NL 9", "name": vehicle.name, "telematics_unit_id": "WDB9634031L000001"}
    assert admin.post(change, edited | version_shown(admin, change)).status_code == 302
    vehicle.refresh_from_db()
    assert vehicle.license_plate == "HH-NL 9"
    assert admin.post(address("vehicles_vehicle", "delete", vehicle.pk), {"post": "yes"}).status_code == 302
    assert [events(f"vehicle.{verb}") for verb in ("add", "change", "remove")] == [1, 1, 1]


def test_a_vehicle_takes_no_credential_of_another_fleet_or_brand(admin: Client, fleet: Fleet) -> None:
    own = factory.a_credential(fleet, name="Own")
    foreign = factory.a_credential(factory.a_fleet("Other"), name="Foreign")
    tesla = factory.a_credential(fleet, name="Tesla", brand="TESLA")
    query = {"app_label": "vehicles", "model_name": "vehicle", "field_name": "credential"}
    only = {"fleet": fleet.pk, "brand": "MERCEDES_BENZ"}
    offered = admin.get(reverse("admin:autocomplete", query=query | only)).json()["results"]
    assert [one["text"] for one in offered] == [own.name]
    add = address("vehicles_vehicle", "add", **only)
    for wrong in (foreign, tesla):
        values = {"vin": "WDB9634031L000001", "credential": wrong.pk, "operation_status": "OPERATING"}
        assert "Choose one of this fleet’s credentials" in admin.post(add, values).content.decode()
    assert not Vehicle.objects.exists()


def test_a_unit_password_goes_in_and_does_not_come_out(admin: Client, fleet: Fleet) -> None:
    add = address("vehicles_vehicle", "add", fleet=fleet.pk, brand="OKAI")
    values = {"telematics_unit_id": "123456789012345", "password": factory.SECRET, "operation_status": "OPERATING"}
    assert admin.post(add, values).status_code == 302
    vehicle = Vehicle.objects.get()
    assert vehicle.open_password() == factory.SECRET
    assert factory.SECRET not in admin.get(address("vehicles_vehicle", "change", vehicle.pk)).content.decode()


def test_the_last_administrator_stays(admin: Client, fleet: Fleet, alice: User) -> None:
    membership = Membership.objects.get(user=alice)
    change = address("people_membership", "change", membership.pk)
    viewer = {"role": "viewer"} | version_shown(admin, change)
    assert "Make someone else" in admin.post(change, viewer).content.decode()
    delete = address("people_membership", "delete", membership.pk)
    assert "Make someone else" in admin.post(delete, {"post": "yes"}, follow=True).content.decode()
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Second")
    assert admin.post(change, viewer).status_code == 302
    membership.refresh_from_db()
    assert membership.role == "viewer" and events("member.change") == 1


def test_a_fleet_and_a_person_are_added_and_changed(admin: Client) -> None:
    admin.post(address("people_fleet", "add"), {"name": "Südwind", "slug": "suedwind"})
    fleet = Fleet.objects.get(slug="suedwind")
    change = address("people_fleet", "change", fleet.pk)
    assert admin.post(change, {"name": "Südwind GmbH"} | version_shown(admin, change)).status_code == 302
    person = {
        "email": "mira@example.com",
        "usable_password": "true",
        "password1": "long-enough-9",
        "password2": "long-enough-9",
    }
    assert admin.post(address("people_user", "add"), person).status_code == 302
    mira = User.objects.get(email="mira@example.com")
    member = {"fleet": fleet.pk, "user": mira.pk, "role": "manager"}
    assert admin.post(address("people_membership", "add"), member).status_code == 302
    password = {"usable_password": "true", "password1": "another-long-9", "password2": "another-long-9"}
    assert admin.post(reverse("admin:auth_user_password_change", args=[mira.pk]), password).status_code == 302
    made = ("fleet.add", "fleet.change", "user.add", "member.add", "user.change")
    assert [events(action) for action in made] == [1, 1, 1, 1, 1]


def test_audit_events_are_only_read(admin: Client, fleet: Fleet) -> None:
    event = AuditEvent.objects.filter(fleet_id=fleet.pk).latest("id")
    page = admin.get(address("audit_auditevent", "change", event.pk))
    assert page.status_code == 200 and 'name="_save"' not in page.content.decode()
    assert admin.get(address("audit_auditevent", "add")).status_code == 403
    assert admin.post(address("audit_auditevent", "delete", event.pk), {"post": "yes"}).status_code == 403


def test_a_member_without_the_right_does_not_get_in(as_alice: Client) -> None:
    assert as_alice.get(reverse("admin:index")).status_code == 302


def test_what_other_apps_keep_is_not_shown(admin: Client) -> None:
    page = admin.get(reverse("admin:index")).content.decode()
    assert "authenticator" not in page.lower() and "social" not in page.lower()


def test_an_api_client_is_shown_and_revoked_and_its_digests_are_not(admin: Client, fleet: Fleet) -> None:
    client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    listed = admin.get(address("api_apiclient", "changelist")).content.decode()
    page = admin.get(address("api_apiclient", "change", client.pk)).content.decode()
    assert client.client_id in listed and client.client_id in page
    assert client.secret_digest not in listed + page
    assert 'name="_save"' not in page or 'name="permissions"' not in page
    admin.post(address("api_apiclient", "changelist"), {"action": "revoke", "_selected_action": [str(client.pk)]})
    client.refresh_from_db()
    assert client.revoked_at is not None
    assert events("client.revoke") == 1
    assert admin.get(address("api_apiclient", "add")).status_code == 403
