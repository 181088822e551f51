"""A NUL, which PostgreSQL cannot store, is nowhere more than a mistake: in paths, queries, forms, files and headers."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from fleetcontrol.people.models import Fleet, User
from tests.house.test_access import addresses, every_address
from tests.support.browsers import signed_in

__all__ = ["addresses"]  # a fixture that the tests below use
pytestmark = pytest.mark.django_db
# What pages read beside the fields of their forms.
OF_PAGES = (
    "q", "brand", "credential", "sort", "show", "page", "before", "over", "filter", "kind", "to", "vehicle", "what",
    "why", "next", "theme", "language", "excel", "proof", "version", "take", "once",
)  # fmt: skip
OF_ADMIN = (
    "q", "o", "p", "fleet", "brand", "term", "action", "_selected_action", "_to_field", "_popup", "app_label",
    "model_name", "field_name", "status__exact", "role__exact", "is_active__exact",
)  # fmt: skip
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
SOME = {"uidb36": "1", "key": "a-b", "app_label": "people", "url": "x", "provider_id": "oidc"}
NUL = "a\x00b"
OF_ONE_OBJECT = re.compile(r"[0-9]")


@pytest.fixture
def browser(fleet: Fleet, alice: User) -> Client:
    """Alice's, who administers the fleet and everything else."""
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    browser = signed_in(User.objects.get(pk=alice.pk))
    browser.raise_request_exception = False
    return browser


def paths(fleet: Fleet, addresses: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every address: once with arguments that exist, if we have them, and once for each argument with a NUL in it."""
    of_kind = {"credentials": "credential", "vehicles": "vehicle", "imports": "import", "clients": "client"}
    for name, route in every_address(get_resolver()):
        kind = of_kind.get(name.partition(":")[0], "")
        given = {
            "fleet": fleet.slug,
            "brand": "MERCEDES_BENZ",
            "token": "x:y",
            "object_id": "1",
            "id": "1",
            "kind": "csv",
        }
        given |= SOME | addresses[kind]
        given["pk"] = addresses["invitation" if "invitations" in name else "membership"]["pk"]
        names = [first or second for first, second in ARGUMENT.findall(route)]
        for odd in (None, *names):
            path = route.replace("^", "").replace("$", "")
            for one in names:
                path = ARGUMENT.sub("a%00b" if one == odd else str(given.get(one, "1")), path, count=1)
            yield f"/{path}"


def an_odd_file() -> SimpleUploadedFile:
    return SimpleUploadedFile("a\x00b.csv", b"name\x00;vin\n\x00;\x00\n")


def test_a_nul_fails_no_page(browser: Client, fleet: Fleet, addresses: dict[str, dict[str, Any]]) -> None:
    failed, tried = [], 0
    for path in paths(fleet, addresses):
        if "logout" in path or "sessions" in path:
            continue  # they end the session
        first = browser.get(path)
        shown = "" if first.streaming else first.content.decode(errors="replace")
        read = OF_ADMIN if path.startswith("/admin/") else OF_PAGES
        fields = {*re.findall(r'name="([^"]+)"', shown), *read} - {"csrfmiddlewaretoken"}
        asks: list[Any] = [
            lambda path=path: browser.post(path),
            lambda path=path, fields=fields: browser.get(path, dict.fromkeys(fields, NUL)),
            lambda path=path, fields=fields: browser.post(path, dict.fromkeys(fields, NUL)),
            lambda path=path, fields=fields: browser.post(path, {**dict.fromkeys(fields, NUL), "file": an_odd_file()}),
            lambda path=path: browser.get(path, {NUL: NUL}, headers={"User-Agent": NUL, "Referer": NUL}),
        ]
        # One at a time too where much is read, in lists: a page stops at the first that is wrong.
        if first.status_code == 200 and not OF_ONE_OBJECT.search(path):
            asks += [lambda path=path, one=one: browser.get(path, {one: NUL}) for one in read]
        for ask in asks:
            with transaction.atomic():
                answer = ask()
                transaction.set_rollback(True)
            tried += 1
            if answer.status_code >= 500:
                failed.append((answer.request["REQUEST_METHOD"], path, answer.request.get("QUERY_STRING")))
    assert not failed, failed
    assert tried > 1000
