"""Pages export their lists as shown, without secrets and safe for spreadsheets."""

import pytest
from django.test import Client
from django.urls import reverse

from credentials.oem.demo import DemoOem
from fleetcontrol.people.models import Fleet
from tests.support import factory
from tests.support.credential_pages import at

pytestmark = pytest.mark.django_db


def test_credentials_are_exported_as_shown_without_secrets_and_safe_for_spreadsheets(
    fleet: Fleet, as_vera: Client, oem: DemoOem
) -> None:
    values = {"client_secret": "right-1", "region": "EU"}
    credential = factory.a_credential(fleet, name="Tesla Europe", brand="TESLA", values=values, verify_first=True)
    factory.a_credential(fleet, name="=cmd()", note="@risk")
    factory.a_vehicle(fleet, credential)
    answer = as_vera.get(at("export", fleet))
    text = b"".join(answer).decode()
    header, first, second = text.splitlines()
    assert header.startswith("name,brand,client_id,token_url,region,username,status,")
    assert first.startswith("'=cmd(),MERCEDES_BENZ,client1,")
    assert ",'@risk," in first
    assert second.startswith("Tesla Europe,TESLA,client1,,EU,,WORKING,")
    assert "right-1" not in text
    assert factory.SECRET not in text
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="credentials-nordlicht-logistik-20')
    only = b"".join(as_vera.get(at("export", fleet), {"q": "tesla"})).decode()
    assert len(only.splitlines()) == 2


def test_vehicles_are_exported_as_shown(fleet: Fleet, as_vera: Client) -> None:
    credential = factory.a_credential(fleet, name="Tesla Europe", brand="TESLA")
    factory.a_vehicle(fleet, credential, name="Van 1", vin="WBA71EF0X0E123456", tags=["a", "b"])
    factory.a_vehicle(fleet, name="Box 1")
    answer = as_vera.get(reverse("vehicles:export", kwargs={"fleet": fleet.slug}), {"credential": credential.pk})
    lines = b"".join(answer).decode().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Van 1,TESLA,")
    assert ",Tesla Europe,WBA71EF0X0E123456," in lines[1]
