"""Administrators read, filter and export the audit history."""

import ast
import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from fleetcontrol.audit import words
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet, User
from tests.support import factory

pytestmark = pytest.mark.django_db
# These are sent to webhooks and not written to the audit trail.
NOTICES = {"credential.expires", "credential.fails", "credential.recovered"}
KINDS = "access|audit|client|credential|fleet|invitation|member|secret|user|vehicle|webhook"


@pytest.fixture
def page(fleet: Fleet) -> str:
    return reverse("history:index", args=[fleet.slug])


def test_an_entry_says_who_did_what(as_alice: Client, alice: User, fleet: Fleet, page: str) -> None:
    credential = factory.a_credential(fleet, name="BMW <Germany>")
    actor = Actor.of(alice, flow_id="01F62857KMPG2NE2GK1W2N3QYS", address="192.0.2.7")
    credential.rotate(actor=actor, values={"client_secret": "another-secret"})
    shown = as_alice.get(page).content.decode()
    assert "replaced the secret of BMW &lt;Germany&gt; (version 1 → 2)" in shown
    assert "01F62857KMPG2NE2GK1W2N3QYS" in shown
    assert "192.0.2.7" in shown
    assert "another-secret" not in shown


def test_entries_are_read_in_german(as_alice: Client, alice: User, fleet: Fleet, page: str) -> None:
    alice.language = "de"
    alice.save()
    credential = factory.a_credential(fleet, name="BMW Germany")
    credential.rotate(actor=Actor.of(alice), values={"client_secret": "another-secret"})
    response = as_alice.get(page)
    assert response["Content-Language"] == "de"
    assert "hat das Secret von BMW Germany ersetzt (Version 1 → 2)" in response.content.decode()


@pytest.mark.parametrize(
    ("query", "hits"),
    [
        ({"area": "vehicle"}, 2),
        ({"what": "vehicle.remove"}, 1),
        ({"who": "command"}, 5),
        ({"who": "system"}, 0),
        ({"since": "2000-01-01", "until": "2000-12-31"}, 0),
        ({"until": "2000-12-31"}, 0),
        ({"area": "nonsense"}, 0),
        ({"since": "not a date"}, 0),
    ],
)
def test_filters(as_alice: Client, fleet: Fleet, page: str, query: dict[str, str], hits: int) -> None:
    factory.a_credential(fleet)
    factory.a_vehicle(fleet).remove(actor=factory.TEST)
    assert as_alice.get(page, query).content.decode().count("<details>") == hits


def test_a_day_includes_its_evening(as_alice: Client, fleet: Fleet, page: str) -> None:
    today = timezone.localdate()
    shown = as_alice.get(page, {"since": str(today), "until": str(today)}).content.decode()
    assert "<details>" in shown
    assert "<details>" not in as_alice.get(page, {"until": str(today - timedelta(days=1))}).content.decode()


def test_pages_follow_each_other_without_gap(as_alice: Client, fleet: Fleet, page: str) -> None:
    AuditEvent.record_many(
        [AuditEvent.about(fleet, factory.TEST, "fleet.change", fleet, {"name": ["", str(n)]}) for n in range(120)]
    )
    ids, address = [], page
    while address:
        shown = as_alice.get(address).content.decode()
        ids += re.findall(r'<dd class="mono">(\d+)</dd>', shown)
        found = re.search(r'href="(\?[^"]*)" rel="next"', shown)
        address = page + found[1].replace("&amp;", "&") if found else ""
    assert [int(pk) for pk in ids] == list(
        AuditEvent.objects.filter(fleet_id=fleet.pk).order_by("-id").values_list("pk", flat=True)
    )


def test_another_fleets_history_is_not_shown(as_charlie: Client, as_alice: Client, fleet: Fleet, page: str) -> None:
    assert as_charlie.get(page).status_code == 404
    assert "Charlie" not in as_alice.get(page).content.decode()


def test_the_export_holds_what_the_filters_show(as_alice: Client, fleet: Fleet) -> None:
    factory.a_vehicle(fleet, name="=HYPERLINK(1)")
    address = reverse("history:export", args=[fleet.slug, "csv"])
    text = b"".join(as_alice.get(address, {"area": "vehicle"}).streaming_content).decode()  # type: ignore[attr-defined]
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["action"] == "vehicle.add"
    assert row["target"] == "'=HYPERLINK(1)", "a formula does not run in a spreadsheet"
    assert json.loads(row["changes"])["name"] == [None, "=HYPERLINK(1)"]
    assert AuditEvent.objects.filter(action="audit.export").exists()


def test_json_lines_hold_one_event_each(as_alice: Client, fleet: Fleet) -> None:
    address = reverse("history:export", args=[fleet.slug, "jsonl"])
    lines = b"".join(as_alice.get(address).streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert [json.loads(line)["action"] for line in lines][-1] == "fleet.add"


def test_the_page_takes_the_same_queries_for_many(
    as_alice: Client, fleet: Fleet, page: str, django_assert_max_num_queries: Callable[..., object]
) -> None:
    AuditEvent.record_many([AuditEvent.about(fleet, factory.TEST, "fleet.change", fleet, {}) for _n in range(60)])
    as_alice.get(page)  # the first request records her session
    with django_assert_max_num_queries(14):  # type: ignore[attr-defined]
        as_alice.get(page)


def test_a_refusal_is_an_event(as_vera: Client, fleet: Fleet, page: str) -> None:
    assert as_vera.get(page).status_code == 403
    event = AuditEvent.objects.get(action="access.refuse")
    assert (event.actor_label, event.target_label) == ("Vera", page)


def test_every_action_has_words() -> None:
    sources = [
        path
        for app in ("fleetcontrol", "credentials", "vehicles")
        for path in Path(settings.BASE_DIR / app).rglob("*.py")
    ]
    actions = {
        node.value
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(rf"({KINDS})\.[a-z_]+", node.value)
    }
    assert "credential.add" in actions
    assert actions - NOTICES <= set(words.phrases())
