"""The table of every URL, method and role. A URL that is missing in it fails the suite, so that none is forgotten.

The columns hold the status that the lowest role with access gets for GET and for a POST without values. Lower roles
get 403 and outsiders 404 (both 405 where nobody may use the method). Visitors who are not signed in are sent to the
sign-in. A form that edits a row answers 409 where it comes without the version of the row: see
tests/pages/test_changed_meanwhile.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from fleetcontrol.api.models import ApiClient
from fleetcontrol.imports.models import ImportRun
from fleetcontrol.people.models import Fleet, Invitation, Membership, Role, User
from tests.support import factory
from tests.support.browsers import signed_in

pytestmark = pytest.mark.django_db
V, M, A = Role.VIEWER, Role.MANAGER, Role.ADMINISTRATOR


class Page(NamedTuple):
    name: str
    role: Role
    get: int
    post: int
    of: str = ""  # the kind of object that the URL names


FLEET_PAGES = [
    Page("credentials:index", V, 200, 405),
    Page("credentials:choose_brand", M, 200, 405),
    Page("credentials:add", M, 200, 422, "brand"),
    Page("credentials:detail", V, 200, 405, "credential"),
    Page("credentials:change", M, 200, 302, "credential"),
    Page("credentials:rotate", M, 200, 422, "credential"),
    Page("credentials:remove", M, 200, 409, "credential"),
    Page("credentials:export", V, 200, 200),
    Page("credentials:find_secret", M, 200, 422),
    Page("credentials:webhook", A, 200, 200),
    Page("credentials:revert", M, 302, 302, "credential"),
    Page("credentials:verify", M, 302, 302, "credential"),
    Page("credentials:move", M, 302, 302, "credential"),
    Page("vehicles:index", V, 200, 405),
    Page("vehicles:export", V, 200, 200),
    Page("vehicles:choose_brand", M, 200, 405),
    Page("vehicles:add", M, 200, 422, "brand"),
    Page("vehicles:move_many", M, 200, 422),
    Page("vehicles:detail", V, 200, 405, "vehicle"),
    Page("vehicles:change", M, 200, 409, "vehicle"),
    Page("vehicles:move", M, 200, 422, "vehicle"),
    Page("vehicles:remove", M, 200, 302, "vehicle"),
    Page("imports:index", M, 200, 405),
    Page("imports:add", M, 200, 422),
    Page("imports:template", M, 200, 405, "kind"),
    Page("imports:columns", M, 302, 302, "import"),
    Page("imports:check", M, 302, 405, "import"),
    Page("imports:progress", M, 302, 405, "import"),
    Page("imports:report", M, 200, 405, "import"),
    Page("imports:write", M, 405, 302, "import"),
    Page("imports:cancel", M, 405, 302, "import"),
    Page("imports:refused", M, 200, 405, "import"),
    Page("members:index", A, 200, 200),
    Page("members:invite", A, 200, 422),
    Page("members:change", A, 200, 422, "membership"),
    Page("members:remove", A, 200, 302, "membership"),
    Page("invitations:resend", A, 405, 302, "invitation"),
    Page("invitations:revoke", A, 200, 302, "invitation"),
    Page("clients:index", A, 200, 200),
    Page("clients:add", A, 200, 422),
    Page("clients:change", A, 200, 422, "client"),
    Page("clients:replace_secret", A, 200, 422, "client"),
    Page("clients:stop_former", A, 302, 302, "client"),
    Page("clients:revoke", A, 200, 302, "client"),
    Page("history:index", A, 200, 200),
    Page("history:export", A, 200, 200, "export"),
    Page("fleets:change", A, 200, 422),
    Page("fleets:remove", A, 200, 422),
]
# A person's own pages, outside of fleets: the status that any signed-in person gets for GET and for an empty POST.
OWN_PAGES = {
    "fleetcontrol:home": (302, 302),
    "people:preferences": (405, 302),
    "people:profile": (200, 409),
    "fleets:add": (404, 404),
    "operations:system": (404, 405),
    "people:second_factor_needed": (404, 404),
}
# The status that anybody gets without signing in.
OPEN_PAGES = {
    "fleetcontrol:health": (200, 200),
    "fleetcontrol:security_txt": (404, 404),
    "docs:openapi": (200, 405),
    "docs:oauth_metadata": (200, 405),
    "docs:openid_metadata": (200, 405),
    "docs:index": (200, 405),
    "docs:problem": (200, 405),
    "invitations:accept": (404, 404),
    "fleetcontrol:styleguide": (200, 200),
}
# These have tests of their own: people/test_sign_in and test_access_by_content for accounts, test_admin, and tests/api.
ELSEWHERE = ("accounts/", "admin/", "v2/", "v3/", "oauth/", "api/")


@pytest.fixture
def addresses(fleet: Fleet, vera: User, bob: User, alice: User, charlie: User) -> dict[str, dict[str, Any]]:
    """Map each kind of object to the arguments of its URLs."""
    credential = factory.a_credential(fleet)
    vehicle = factory.a_vehicle(fleet, credential)
    run = ImportRun.objects.create(fleet=fleet, kind="vehicle", size=0, stage="cancelled")
    run.store("refused", [b"name"])
    client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    invitation = Invitation.objects.create(fleet=fleet, email="new@example.com", role=V)
    return {
        "": {},
        "kind": {"kind": "vehicle"},
        "import": {"id": run.pk},
        "export": {"kind": "csv"},
        "brand": {"brand": "MERCEDES_BENZ"},
        "credential": {"id": credential.pk},
        "vehicle": {"id": vehicle.pk},
        "membership": {"pk": Membership.objects.get(user=vera).pk},
        "client": {"id": client.client_id},
        "invitation": {"pk": invitation.pk},
    }


def ask(client: Client, method: str, address: str, typed: Mapping[str, Any] | None = None) -> HttpResponse:
    """Send one request and roll its changes back."""
    sent = {"sent": "yes"} if typed is None else typed
    with transaction.atomic():
        answer: HttpResponse = getattr(client, method)(address, sent if method == "post" else {})
        transaction.set_rollback(True)
    return answer


@pytest.mark.parametrize("page", FLEET_PAGES, ids=[page.name for page in FLEET_PAGES])
def test_a_page_of_a_fleet_is_open_to_its_role_and_closed_to_others(
    page: Page, fleet: Fleet, addresses: dict[str, Any], vera: User, bob: User, alice: User, charlie: User
) -> None:
    address = reverse(page.name, kwargs={"fleet": fleet.slug} | addresses[page.of])
    for method, status in (("get", page.get), ("post", page.post)):
        nobodys = 405 if status == 405 else None
        for person, role in ((vera, V), (bob, M), (alice, A)):
            expected = status if role.covers(page.role) else 403
            assert ask(signed_in(person), method, address).status_code in (expected, nobodys), (method, role)
        assert ask(signed_in(charlie), method, address).status_code in (404, nobodys), method
        stranger = ask(Client(), method, address)
        assert (stranger.status_code, stranger["Location"].split("?")[0]) == (302, "/accounts/login/"), method


@pytest.mark.parametrize(
    "page", [page for page in FLEET_PAGES if page.of not in ("", "brand", "export", "kind")], ids=lambda p: p.name
)
def test_an_object_of_another_fleet_is_not_found(page: Page, addresses: dict[str, Any], charlie: User) -> None:
    own = Membership.objects.select_related("fleet").get(user=charlie).fleet
    address = reverse(page.name, kwargs={"fleet": own.slug} | addresses[page.of])
    methods = [m for m, status in (("get", page.get), ("post", page.post)) if status != 405]
    assert {ask(signed_in(charlie), method, address).status_code for method in methods} == {404}


def test_a_persons_own_pages_ask_for_a_sign_in(charlie: User) -> None:
    for name, statuses in OWN_PAGES.items():
        address = reverse(name, kwargs={"fleet": "nowhere"} if name.endswith("needed") else {})
        answers = [ask(signed_in(charlie), method, address).status_code for method in ("get", "post")]
        assert answers == list(statuses), name
        assert ask(Client(), "get", address).status_code == 302, name


def test_a_few_pages_are_open_to_everybody(db: None) -> None:
    arguments = {"docs:problem": {"name": "conflicting-resource"}, "invitations:accept": {"token": "x" * 43}}
    for name, statuses in OPEN_PAGES.items():
        address = reverse(name, kwargs=arguments.get(name, {}))
        assert [ask(Client(), method, address).status_code for method in ("get", "post")] == list(statuses), name


def test_every_address_is_in_the_table() -> None:
    known = {page.name for page in FLEET_PAGES} | OWN_PAGES.keys() | OPEN_PAGES.keys()
    assert not [name for name, route in every_address(get_resolver()) if name not in known and not has_own_tests(route)]


def has_own_tests(route: str) -> bool:
    return route.startswith(ELSEWHERE)


def every_address(resolver: URLResolver, names: str = "", route: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name and route of each URL."""
    for pattern in resolver.url_patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield f"{names}{pattern.name}", here
        else:
            yield from every_address(pattern, names + (f"{pattern.namespace}:" if pattern.namespace else ""), here)
