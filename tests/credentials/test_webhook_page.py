"""The page of the fleet's webhook: set it up, show its key once, try it, remove it."""

import importlib
import re

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import Client
from django.urls import reverse

from credentials.models import Webhook
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealError, seal
from tests.support import factory
from tests.support.credential_pages import at, words
from tests.support.forms import version_shown
from tests.support.webhook_receiver import Receiver

pytestmark = pytest.mark.django_db


def test_the_webhook_is_set_up_shown_once_tried_and_removed(
    fleet: Fleet, as_alice: Client, hook: tuple[str, type[Receiver]]
) -> None:
    address, receiver = hook
    page = at("webhook", fleet)
    answer = as_alice.post(page, {"what": "set_up", "url": "http://a.example"})
    assert answer.status_code == 422
    answer = as_alice.post(page, {"what": "set_up", "url": address} | version_shown(as_alice, page))
    key = re.search(r"fcw_[\w-]+", answer.content.decode())
    assert key is not None
    assert key[0] not in as_alice.get(page).content.decode()
    assert "localhost took the test." in words(as_alice.post(page, {"what": "test"}, follow=True))
    assert receiver.bodies()[0]["type"] == "test"
    receiver.status = 503
    assert "It answered with HTTP 503." in words(as_alice.post(page, {"what": "test"}, follow=True))
    as_alice.post(page, {"what": "remove"})
    assert not Webhook.objects.exists()


def test_only_administrators_set_up_the_webhook(fleet: Fleet, as_bob: Client) -> None:
    assert as_bob.get(at("webhook", fleet)).status_code == 403


def test_an_address_lies_sealed_and_only_its_host_is_shown(
    fleet: Fleet, as_alice: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    page = at("webhook", fleet)
    typed = {"what": "set_up", "url": "https://hook.example/Nadel-1?token=Nadel-2"}
    answers = [
        as_alice.post(page, {**typed, "url": "https://hook.example/Nadel-3#"} | version_shown(as_alice, page)),
        as_alice.post(page, typed),  # without its version
        as_alice.post(page, typed | version_shown(as_alice, page)),
        as_alice.get(page),
        as_alice.get(reverse("history:index", kwargs={"fleet": fleet.slug})),
    ]
    assert [answer.status_code for answer in answers] == [422, 409, 200, 200, 200]
    assert all("Nadel" not in answer.content.decode() for answer in answers)
    assert "Messages go to hook.example." in words(answers[3])
    assert "Nadel" not in caplog.text + str(list(AuditEvent.objects.values()))
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)} t WHERE t::text LIKE '%Nadel%'")
            assert cursor.fetchone() == (0,), table


def test_an_address_opens_for_its_own_webhook_alone(fleet: Fleet) -> None:
    webhook, _key = Webhook.set_up(fleet=fleet, url="https://hook.example/one", actor=factory.TEST)
    other, _key = Webhook.set_up(fleet=factory.a_fleet(name="Other"), url="https://b.example/", actor=factory.TEST)
    assert webhook.address is not None and webhook.signing_key is not None
    assert webhook.address.open(webhook.address_owner) == "https://hook.example/one"
    with pytest.raises(SealError):
        webhook.address.open(other.address_owner)
    with pytest.raises(SealError):
        webhook.signing_key.open(webhook.address_owner)
    Webhook.objects.filter(pk=other.pk).update(address=webhook.address)
    other.refresh_from_db()
    assert not other.post("1", "test", {})
    assert "cannot be opened" in str(other.result)


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://hook.example:8443/T0ken", "hook.example"), ("https://(a)-xn--.example/", "(a)-xn--.example"),
     ("https://[x", "")],
)  # fmt: skip
def test_the_addresses_that_lay_in_plain_text_are_sealed(fleet: Fleet, url: str, host: str) -> None:
    before = MigrationLoader(connection).project_state(("credentials", "0005_refused_tokens"))
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE credentials_webhook "
            "DROP COLUMN address, DROP COLUMN host, ADD COLUMN url varchar(500) NOT NULL"
        )
        former = before.apps.get_model("credentials", "Webhook")
        pk = former.objects.create(fleet_id=fleet.pk, url=url, signing_key=seal("fcw_key", "webhook:x")).pk
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    migration = importlib.import_module("credentials.migrations.0007_seal_webhook_addresses")
    with connection.schema_editor() as editor:
        migration.Migration("0007_seal_webhook_addresses", "credentials").apply(before, editor)
    webhook = Webhook.objects.get(pk=pk)
    assert webhook.address is not None
    assert (webhook.address.open(webhook.address_owner), webhook.host) == (url, host)
