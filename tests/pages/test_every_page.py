"""Every page of credentials and vehicles works in both languages for those who may see it."""

import pytest
from django.test import Client
from django.urls import reverse

from fleetcontrol.people.models import Fleet
from tests.support import factory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_of_a_fleet_answers(fleet: Fleet, as_bob: Client, language: str) -> None:
    used, unused = factory.a_credential(fleet, name="In use"), factory.a_credential(fleet, name="Unused", brand="TESLA")
    vehicle = factory.a_vehicle(fleet, used, vin="WBA71EF0X0E123456", tags=["pool"], custom_fields={"Cost centre": "9"})
    pages = [
        ("credentials:index", {}),
        ("credentials:choose_brand", {}),
        ("credentials:add", {"brand": "STELLANTIS"}),
        *((f"credentials:{name}", {"id": used.pk}) for name in ("detail", "change", "rotate", "remove")),
        ("credentials:remove", {"id": unused.pk}),
        ("vehicles:index", {}),
        ("vehicles:choose_brand", {}),
        *(("vehicles:add", {"brand": brand}) for brand in ("MERCEDES_BENZ", "OKAI", "CLOUDBOXX", "NIU")),
        *((f"vehicles:{name}", {"id": vehicle.pk}) for name in ("detail", "change", "move", "remove")),
        ("vehicles:move_many", {}),
    ]
    for name, kwargs in pages:
        answer = as_bob.get(reverse(name, kwargs={"fleet": fleet.slug} | kwargs), headers={"Accept-Language": language})
        assert answer.status_code == 200, name
        assert f'<html lang="{language}"' in answer.content.decode()
