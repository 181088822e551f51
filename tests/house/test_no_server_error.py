"""No request is a server error: every address with every method, body, query and header that is odd."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse

from fleetcontrol.api.models import ApiClient
from fleetcontrol.api_urls import PATHS
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.imports.models import ImportRun
from fleetcontrol.people.models import Fleet, Invitation, Membership, Role
from tests.house.test_access import every_address
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in

pytestmark = pytest.mark.django_db
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data"
SOME_PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\x00\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n\xff\x00,\r\n--x--\r\n'
)
CHARSETS = ["latin-1", "utf-7", "idna", "base64", "undefined", "\xff"]
BODIES = [
    ("", b""),
    ("", b"x"),
    ("x", b"x"),
    ("/", b"\xff"),
    ("text/plain", b"a=b"),
    ("application/json", b"{"),
    ("application/json", b'["a"]'),
    ("application/json", b'"\\ud800"'),
    ("application/json", b"[" * 5000),
    (FORM, b""),
    (FORM, b"sent=yes"),
    (FORM, b"%"),
    (FORM, b"%ff=%ff&%00=%00"),
    (FORM, b"\xff\x00=\x00&&&;;=="),
    (FORM, b"what=set_up&url=%00&name=%00&q=%00&credential=%00&note=%00&ends_on=%00&email=%00&value=%00&brand=%00"),
    (FORM, "name=\ud800&file=x&kind=x&pk=ı".encode(errors="surrogatepass")),
    (FORM, b"a=b&" * 2000),
    (FORM, b"once=%00&version=%00&keep=%00+%ff&take=%00&typed_secrets=%00&next=%00&csrfmiddlewaretoken=%00"),
    (FORM, b"file=x&kind=vehicle&fleet=x&user=x&credential=x&role=x"),
    (FORM, b"fleet=9999999999999999999999&user=-1"),
    (PARTS, SOME_PARTS),
    (f"{PARTS}; boundary=", SOME_PARTS),
    (f"{PARTS}; boundary=\xff", SOME_PARTS),
    (f"{PARTS}; boundary={'x' * 300}", SOME_PARTS),
    (f"{PARTS}; boundary=x", b""),
    (f"{PARTS}; boundary=x", SOME_PARTS),
    (f"{PARTS}; boundary=x", SOME_PARTS[:-5]),
    (f"{PARTS}; boundary=x", SOME_PARTS * 50),
    (f"{PARTS}; boundary=x", b"--x\r\nContent-Disposition: form-data; name*=UTF-8''%ff\r\n\r\n1\r\n--x--\r\n"),
    (f"{PARTS}; boundary=x", b"--x\r\nContent-Disposition: form-data; name*=base64''%ff\r\n\r\n1\r\n--x--\r\n"),
    (
        f"{PARTS}; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n=\r\n--x--\r\n',
    ),
]
# A middleware answers these before any page, so some pages are enough.
IN_CHARSETS = [
    (f"{kind}; charset={charset}", body)
    for charset in CHARSETS
    for kind, body in ((FORM, b"name=x"), (f"{PARTS}; boundary=x", SOME_PARTS), ("application/json", b"{}"))
]
OF_ONE_OBJECT = re.compile(r"[0-9]")
METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "\xff"]
QUERIES = [
    "%",
    "%ff",
    "q=%00",
    "q=%ff&page=%00",
    "page=-1",
    "page=9999999999999999999999",
    "page=ı",
    "after=%00",
    "after=x&limit=x",
    "order=%00&brand=%00&status=%00&tag=%00&credential=%00&kind=%00&show=%00&fleet=%00",
    "limit=-1",
    "limit=1e9",
    "a=b&" * 1500,
    "kind=x&fleet=x&brand=x&next=%00&q=%ed%a0%80",
    "o=1.2.x&p=x&e=%00&all=",
    "_popup=%00&_to_field=%00",
    "since=%00&until=x",
    "q=" + "x" * 5000,
    "from=0000-00-00&to=99999-99-99",
    "id__in=%00&pk__gt=x",
    "[]=1",
    "&&==;;",
]
HEADERS = [
    {"HTTP_ACCEPT_LANGUAGE": "\xff"},
    {"HTTP_ACCEPT_LANGUAGE": "x" * 600},
    {"HTTP_ACCEPT": "\xff/;q=x"},
    {"HTTP_COOKIE": "\xff=\xff; a=b; csrftoken=\x00"},
    {"HTTP_REFERER": "https://[\xff"},
    {"HTTP_ORIGIN": "https://["},
    {"HTTP_ORIGIN": "\xff", "HTTP_X_CSRFTOKEN": "\xff"},
    {"HTTP_X_FORWARDED_FOR": "\xff,,["},
    {"HTTP_USER_AGENT": "\x00\xff"},
    {"HTTP_RANGE": "bytes=x-"},
    {"HTTP_IF_MODIFIED_SINCE": "\xff"},
    {"HTTP_IF_NONE_MATCH": 'W/"\xff'},
    {"HTTP_IF_MATCH": "\xff"},
    {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "https://[", "HTTP_HX_CURRENT_URL_URI_AUTOENCODED": "true"},
    {"HTTP_HX_REQUEST": "true", "HTTP_HX_TARGET": "%ff", "HTTP_HX_TARGET_URI_AUTOENCODED": "true"},
    {"HTTP_X_FLOW_ID": "\xff" * 30},
    {"HTTP_IDEMPOTENCY_KEY": "\x00\xff"},
    {"HTTP_IDEMPOTENCY_KEY": "x" * 999},
    {"CONTENT_LENGTH": "x"},
    {"CONTENT_LENGTH": "-1"},
    {"CONTENT_LENGTH": "9" * 30},
    {"CONTENT_LENGTH": ""},
    {"HTTP_CONTENT_ENCODING": "\xff"},
    {"HTTP_EXPECT": "\xff"},
    {"HTTP_TRANSFER_ENCODING": "chunked"},
    *({"CONTENT_TYPE": f"text/plain; charset={charset}"} for charset in CHARSETS),
]


@pytest.fixture
def root(fleet: Fleet) -> Client:
    browser = signed_in(factory.a_member(fleet, Role.ADMINISTRATOR, name="Root", is_staff=True, is_superuser=True))
    browser.raise_request_exception = False
    return browser


@pytest.fixture
def pages(fleet: Fleet, root: Client) -> list[str]:
    """Every address of a page, with objects that are there."""
    credential = factory.a_tesla(fleet)
    vehicle = factory.a_vehicle(fleet, credential)
    run = ImportRun.objects.create(fleet=fleet, kind="vehicle", size=0, stage="cancelled")
    client, _secret = ApiClient.add(fleet=fleet, actor=factory.TEST, name="ERP", permissions=["vehicles"])
    invitation = Invitation.objects.create(fleet=fleet, email="new@example.com", role=Role.VIEWER)
    membership = Membership.objects.get(user__name="Root")
    ids: dict[str, Any] = {
        "credentials": credential.pk,
        "vehicles": vehicle.pk,
        "imports": run.pk,
        "members": membership.pk,
        "invitations": invitation.pk,
        "clients": client.client_id,
    }
    in_admin = {
        "credentials_credential": credential.pk,
        "vehicles_vehicle": vehicle.pk,
        "people_fleet": fleet.pk,
        "people_user": membership.user_id,
        "people_membership": membership.pk,
        "people_invitation": invitation.pk,
        "api_apiclient": client.pk,
        "audit_auditevent": AuditEvent.objects.order_by("id").values_list("pk", flat=True)[0],
    }
    found = set()
    for name, _route in every_address(get_resolver()):
        room = name.split(":")[0]
        own = in_admin.get(name.removeprefix("admin:").rsplit("_", 1)[0], "x")
        for args in arguments(fleet, ids.get(room, "x"), own):
            try:
                page = reverse(name, kwargs=args) if isinstance(args, dict) else reverse(name, args=args)
            except NoReverseMatch:
                continue
            if not page.startswith("/f/") or fleet.slug in page:
                found.add(page)
    return sorted(found)


def arguments(fleet: Fleet, pk: Any, in_admin: Any) -> Iterator[Any]:
    """What an address may take."""
    yield from (
        {},
        [in_admin],
        [1, 1],
        {"uidb36": "1", "key": "x"},
        {"key": "x"},
        {"provider_id": "oidc"},
        {"token": "x" * 43},
    )
    yield from ({"name": "validation-error"}, {"app_label": "people"}, {"url": "x"})
    for more in ({}, {"id": pk}, {"pk": pk}, {"brand": "TESLA"}, {"kind": "vehicle"}, {"kind": "csv"}):
        yield {"fleet": fleet.slug} | more


def errors_of(browser: Client, requests: list[tuple[str, str, str, bytes, dict[str, Any]]]) -> list[tuple[Any, ...]]:
    """The requests that are answered with a server error. Each is undone."""
    failed = []
    for method, path, content_type, body, headers in requests:
        with transaction.atomic():
            answer = browser.generic(method, path, body, content_type=content_type, **headers)
            if getattr(answer, "streaming", False):
                b"".join(answer)  # a streamed answer fails here
            transaction.set_rollback(True)
        if answer.status_code >= 500:
            failed.append((answer.status_code, method, path[:100], content_type, body[:80], headers))
    return failed


def test_the_crawl_reaches_every_address(pages: list[str]) -> None:
    resolver: URLResolver = get_resolver()
    assert len(pages) > 0.9 * len([name for name, _route in every_address(resolver) if not name.endswith("None")])


def test_no_page_fails_whatever_body_is_posted(pages: list[str], root: Client) -> None:
    requests: list[Any] = [("POST", page, *body, {}) for page in pages for body in BODIES]
    requests += [("POST", page, *body, {}) for page in pages[::6] for body in IN_CHARSETS]
    assert errors_of(root, requests) == []


def test_no_page_fails_whatever_method_query_and_header(pages: list[str], root: Client) -> None:
    requests: list[Any] = [(method, page, "text/plain", b"x", {}) for page in pages[::3] for method in METHODS]
    for page in pages:
        read = QUERIES[::4] if OF_ONE_OBJECT.search(page) else QUERIES  # lists read most of a query
        requests += [("GET", f"{page}?{query}", "", b"", {}) for query in read]
    requests += [("GET", page, "", b"", one) for page in pages[::7] for one in HEADERS]
    requests += [("POST", page, "", b"", one) for page in pages[3::7] for one in HEADERS]
    assert errors_of(root, requests) == []


def test_no_page_fails_for_a_visitor(pages: list[str]) -> None:
    browser = Client(raise_request_exception=False)
    requests: list[Any] = [("POST", page, *body, {}) for page in pages[::6] for body in (*BODIES, *IN_CHARSETS)]
    requests += [("GET", page, "", b"", one) for page in pages[::6] for one in HEADERS]
    assert errors_of(browser, requests) == []


def test_no_operation_of_the_api_fails(fleet: Fleet) -> None:
    api, credential = Api(fleet), factory.a_credential(fleet, brand="NIU")
    api.sign_in()
    browser = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {api.token}"})
    vehicle = factory.a_vehicle(fleet, credential)
    paths = []
    for path in PATHS:
        ids = {"vehicle": vehicle.pk, "credential": credential.pk}
        pk = ids["vehicle" if path.startswith("/vehicles") else "credential"]
        filled = path.replace("{id}", pk).replace("{brand}", "TESLA")
        paths += [filled.replace("{", "").replace("}", "")]
    requests: list[Any] = [
        (m, p, *body, {}) for p in paths for m in ("POST", "PATCH") for body in (*BODIES, *IN_CHARSETS)
    ]
    requests += [(method, path, "application/json", b"{}", {}) for path in paths for method in METHODS]
    requests += [("GET", f"{path}?{query}", "", b"", {}) for path in paths for query in QUERIES]
    requests += [(m, p, "application/json", b"{}", one) for p in paths[::4] for one in HEADERS for m in ("GET", "POST")]
    assert errors_of(browser, requests) == []
