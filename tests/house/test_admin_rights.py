"""In the Django admin nobody reads, changes or gives more than their permissions say."""

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, connection
from django.test import Client
from django.urls import reverse

from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Fleet, LastAdministrator, Membership, Role, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.connections import at_once
from tests.support.forms import version_shown

pytestmark = pytest.mark.django_db
SITES = [site for model, site in sorted(admin.site._registry.items(), key=lambda one: one[0].__name__)]
PASSWORD = {"usable_password": "true", "password1": "another-long-9", "password2": "another-long-9"}


def staff(*permissions: str, name: str = "Stan", **fields: Any) -> User:
    person = factory.a_user(name, is_staff=True, **fields)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert person.user_permissions.count() == len(permissions)
    return person


def address(kind: str, page: str, *args: Any, **query: Any) -> str:
    return reverse(f"admin:{kind}_{page}", args=args, query=query)


def set_password(browser: Client, person: User) -> int:
    status = browser.post(reverse("admin:auth_user_password_change", args=[person.pk]), PASSWORD).status_code
    person.refresh_from_db()
    assert person.check_password("another-long-9") == (status == 302)
    return status


def test_staff_change_nobody_who_may_more(fleet: Fleet, alice: User) -> None:
    helper = signed_in(staff("view_user", "change_user"))
    in_group = factory.a_user("Grace", is_staff=True)
    group = Group.objects.create(name="Keepers")
    group.permissions.set(Permission.objects.filter(codename="change_vehicle"))
    in_group.groups.add(group)
    stronger = [
        staff("view_user", "add_user", name="Stella"),
        in_group,
        alice,
        staff("add_fleet", name="Ina", is_active=False),
    ]
    for person in stronger:
        change = address("people_user", "change", person.pk)
        before = User.objects.values().get(pk=person.pk)
        assert set_password(helper, person) == 403, person
        assert 'name="_save"' not in helper.get(change).content.decode()
        typed = {"email": "mine@example.com", "name": "x", "is_active": ""}
        assert helper.post(change, typed).status_code == 403, person
        assert User.objects.values().get(pk=person.pk) == before


def test_staff_change_who_may_no_more_and_themselves(fleet: Fleet) -> None:
    stan = staff("view_user", "change_user")
    Membership.add(fleet=fleet, user=stan, role=Role.MANAGER, actor=factory.TEST)
    helper = signed_in(stan)
    for person in (
        factory.a_user("Nobody"),
        factory.a_member(fleet, Role.VIEWER, name="Vi"),
        staff("view_user", name="Sam"),
    ):
        assert set_password(helper, person) == 302, person
    change = address("people_user", "change", stan.pk)
    own = {"email": stan.email, "name": "Stan S.", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    assert helper.post(change, own | version_shown(helper, change)).status_code == 302
    stan.refresh_from_db()
    assert (stan.name, stan.is_superuser, stan.user_permissions.count()) == ("Stan S.", False, 2)


def test_a_superuser_is_neither_seen_nor_changed_by_others() -> None:
    root = factory.a_user("Root", is_staff=True, is_superuser=True)
    helper = signed_in(staff("view_user", "change_user"))
    assert "root@example.com" not in helper.get(address("people_user", "changelist")).content.decode()
    assert helper.post(reverse("admin:auth_user_password_change", args=[root.pk]), PASSWORD).status_code in (302, 404)
    root.refresh_from_db()
    assert root.check_password("pw-of-tests")


def test_a_superuser_keeps_their_own_rights() -> None:
    root = factory.a_user("Root", is_staff=True, is_superuser=True)
    browser, change = signed_in(root), address("people_user", "change", root.pk)
    browser.post(change, {"email": root.email, "name": "Rooted"} | version_shown(browser, change))
    root.refresh_from_db()
    assert (root.name, root.is_active, root.is_staff, root.is_superuser) == ("Rooted", True, True, True)


def test_staff_give_roles_up_to_their_own(fleet: Fleet) -> None:
    stan = staff("view_fleet", "view_user", "view_membership", "add_membership", "change_membership")
    browser, other = signed_in(stan), factory.a_user("Other")
    factory.a_member(fleet, Role.ADMINISTRATOR)
    add = address("people_membership", "add")

    def give(person: User, role: Role) -> int:
        return browser.post(add, {"fleet": fleet.pk, "user": person.pk, "role": role}).status_code

    assert give(stan, Role.ADMINISTRATOR) == give(other, Role.VIEWER) == 200
    assert not stan.memberships.exists() and not other.memberships.exists()
    own = Membership.add(fleet=fleet, user=stan, role=Role.MANAGER, actor=factory.TEST)
    assert give(other, Role.ADMINISTRATOR) == 200 and give(other, Role.MANAGER) == 302
    for membership in (own, other.memberships.get()):
        change = address("people_membership", "change", membership.pk)
        answer = browser.post(change, {"role": "administrator"} | version_shown(browser, change))
        assert "You can give roles up to your own" in answer.content.decode()
        membership.refresh_from_db()
        assert membership.role == "manager"


@pytest.mark.parametrize("own", [None, Role.VIEWER, Role.MANAGER])
def test_staff_neither_lower_nor_remove_a_role_above_their_own(fleet: Fleet, own: Role | None) -> None:
    stan = staff("view_fleet", "view_user", "view_membership", "change_membership", "delete_membership")
    browser = signed_in(stan)
    if own:
        Membership.add(fleet=fleet, user=stan, role=own, actor=factory.TEST)
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Stays")
    above = [role for role in Role if own is None or not own.covers(role)]
    people = [factory.a_member(fleet, role, name=f"Above {role}") for role in above]
    for membership in Membership.objects.filter(user__in=people):
        change = address("people_membership", "change", membership.pk)
        assert 'name="_save"' not in browser.get(change).content.decode()
        assert browser.post(change, {"role": "viewer"}).status_code == 403
        assert browser.post(address("people_membership", "delete", membership.pk), {"post": "yes"}).status_code == 403
        ticked = {"action": "delete_selected", "_selected_action": [membership.pk], "post": "yes"}
        assert browser.post(address("people_membership", "changelist"), ticked).status_code == 403
        before = membership.role
        membership.refresh_from_db()
        assert membership.role == before


def test_staff_remove_a_role_up_to_their_own(fleet: Fleet) -> None:
    stan = staff("view_membership", "delete_membership")
    Membership.add(fleet=fleet, user=stan, role=Role.MANAGER, actor=factory.TEST)
    for number, page in enumerate(("delete", "changelist")):
        membership = factory.a_member(fleet, Role.MANAGER, name=f"Equal {number}").memberships.get()
        ticked = {"action": "delete_selected", "_selected_action": [membership.pk], "post": "yes"}
        args = [membership.pk] if page == "delete" else []
        assert signed_in(stan).post(address("people_membership", page, *args), ticked).status_code == 302
        assert not Membership.objects.filter(pk=membership.pk).exists()


def test_the_last_administrator_is_not_set_inactive(fleet: Fleet, alice: User) -> None:
    root = signed_in(factory.a_user("Root", is_staff=True, is_superuser=True))
    change = address("people_user", "change", alice.pk)
    inactive = {"email": alice.email, "name": "Alice"} | version_shown(root, change)
    assert "Make someone else an administrator first." in root.post(change, inactive).content.decode()
    alice.refresh_from_db()
    assert alice.is_active
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Ada", is_active=False)
    assert root.post(change, inactive).status_code == 200
    factory.a_member(fleet, Role.ADMINISTRATOR, name="Second")
    assert root.post(change, inactive).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_the_database_keeps_an_administrator_who_may_sign_in() -> None:
    fleet = factory.a_fleet()
    people = [factory.a_member(fleet, Role.ADMINISTRATOR, name=name) for name in ("Alice", "Ada")]

    def set_inactive(pk: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE people_user SET is_active = false WHERE id = %s", [pk])

    results = at_once(*(lambda pk=person.pk: set_inactive(pk) for person in people))
    assert [type(result) for result in results if result is not None] == [IntegrityError]
    left = User.objects.get(is_active=True)
    with pytest.raises(IntegrityError, match="A fleet keeps one administrator"):
        left.delete()
    with pytest.raises(IntegrityError, match="A fleet keeps one administrator"):
        Membership.objects.filter(user=left).update(role="viewer")
    with pytest.raises(LastAdministrator):
        left.memberships.get().remove(actor=factory.TEST)


def test_staff_without_any_right_read_nothing(fleet: Fleet, alice: User) -> None:
    factory.a_vehicle(fleet, factory.a_credential(fleet, name="Secret account"), name="Van 1")
    browser = signed_in(staff())
    for site in SITES:
        kind = f"{site.opts.app_label}_{site.opts.model_name}"
        row = site.model.objects.order_by("pk").first()
        pages: list[tuple[str, tuple[Any, ...]]] = [("changelist", ()), ("add", ())]
        pages += [(page, (row.pk,)) for page in ("change", "delete", "history")] if row else []
        for page, args in pages:
            for query in ({}, {"fleet": fleet.pk}, {"fleet": fleet.pk, "user": alice.pk, "brand": "MERCEDES_BENZ"}):
                answer = browser.get(address(kind, page, *args, **query), follow=True)
                text = answer.content.decode()
                assert answer.status_code in (403, 404), (kind, page, query)
                assert fleet.name not in text and "Secret account" not in text and alice.email not in text
    for field in (
        ("vehicles", "vehicle", "fleet"),
        ("people", "membership", "user"),
        ("vehicles", "vehicle", "credential"),
    ):
        query = dict(zip(("app_label", "model_name", "field_name"), field, strict=True)) | {"fleet": fleet.pk}
        assert browser.get(reverse("admin:autocomplete", query=query)).status_code == 403


@pytest.mark.parametrize(
    ("permissions", "kind"),
    [
        (["view_vehicle", "add_vehicle"], "vehicles_vehicle"),
        (["view_credential", "add_credential"], "credentials_credential"),
        (["view_membership", "add_membership"], "people_membership"),
        (["view_auditevent"], "audit_auditevent"),
        (["view_apiclient"], "api_apiclient"),
    ],
)
def test_who_may_not_see_fleets_and_people_is_shown_none_by_forms_and_filters(
    fleet: Fleet, bob: User, permissions: list[str], kind: str
) -> None:
    known = Permission.objects.filter(codename__in=permissions).values_list("codename", flat=True)
    browser = signed_in(staff(*known))
    membership = bob.memberships.get()
    for page in ("changelist", "add"):
        queries: list[dict[str, Any]] = [{}, {"fleet": fleet.pk}, {"fleet": fleet.pk, "user": bob.pk, "brand": "TESLA"}]
        for query in queries:
            text = browser.get(
                f"/admin/{kind.replace('_', '/')}/{'add/' if page == 'add' else ''}", query
            ).content.decode()
            if page == "add" or kind not in ("people_membership", "audit_auditevent"):  # whose rows name them
                assert fleet.name not in text and bob.email not in text and str(membership) not in text, (page, query)
    given = {
        "fleet": fleet.pk,
        "user": bob.pk,
        "role": "viewer",
        "name": "x",
        "vin": "",
        "client_id": "1",
        "client_secret": "1",
    }
    answer = (
        browser.post(address(kind, "add") + f"?fleet={fleet.pk}&brand=MERCEDES_BENZ", given)
        if len(permissions) > 1
        else None
    )
    assert answer is None or (answer.status_code == 200 and fleet.name not in answer.content.decode())


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.opts.model_name)
def test_a_list_is_filtered_by_its_filters_alone(site: ModelAdmin[Any], fleet: Fleet, alice: User) -> None:
    """With every column of every table, and through every relation, as a view-only person."""
    ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    browser = signed_in(staff(f"view_{site.opts.model_name}"))
    listed = address(f"{site.opts.app_label}_{site.opts.model_name}", "changelist")
    lookups = []
    for field in site.opts.get_fields():
        lookups += [field.name, f"{field.name}__startswith", f"{field.name}__gt", f"{field.name}__in"]
        if field.related_model:
            lookups += [f"{field.name}__{inner.name}" for inner in field.related_model._meta.get_fields()]
    for lookup in sorted({*lookups} - {"fleet", "brand"}):
        answer = browser.get(listed, {lookup: "1"})
        assert answer.status_code == 400 or answer["Location"].endswith("e=1"), lookup
    assert len(lookups) > 20
