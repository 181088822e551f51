"""The page of the fleet's webhook: set it up, show its key once, try it, remove it."""

import re

import pytest
from django.test import Client

from credentials.models import Webhook
from fleetcontrol.people.models import Fleet
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
