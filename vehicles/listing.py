"""What the list of vehicles shows: search, filters, order and page out of the query parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from credentials import brands
from fleetcontrol.pages.paging import CAP, Page, capped_count, page_of
from fleetcontrol.people.models import Fleet
from vehicles import vin as vins
from vehicles.models import Vehicle, VehicleQuerySet, has_whole_chunk

ORDERS = ("name", "-name")
# A choice longer than this is no help; the list of one credential's vehicles is reached from the credential.
CHOICES = 200
# In a fleet of more vehicles than this, what a search that no index helps finds is not counted.
MANY = 20_000
SHOWN = ("name", "vin", "license_plate", "make", "model", "telematics_brand", "fleet", "credential__name")


@dataclass(frozen=True, slots=True)
class Listing:
    """The list as a page shows it. `credential` is the id of the chosen one, "none" for vehicles without one."""

    q: str
    brand: str
    credential: str
    order: str
    credentials: list[tuple[str, str]]
    page: Page[Vehicle]

    @classmethod
    def of(cls, fleet: Fleet, params: QueryDict) -> Self:
        """The list for query parameters q, brand, credential, sort, after and before."""
        q, brand, credential = (
            params.get(name, "").strip().replace("\x00", "") for name in ("q", "brand", "credential")
        )
        order = params.get("sort", "name") if params.get("sort") in ORDERS else "name"
        vehicles = found(fleet, params).only(*SHOWN)
        choices = list(fleet.credentials.order_by("name").values_list("pk", "name")[: CHOICES + 1])
        if len(choices) > CHOICES:
            choices = list(fleet.credentials.filter(pk=credential).values_list("pk", "name"))
        slow = q and not has_whole_chunk(q) and capped_count(fleet.vehicles.all(), MANY) > MANY
        page = page_of(vehicles, params, order=[order], cap=0 if slow else CAP)
        return cls(q, brand, credential, order, choices, page)

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.brand or self.credential)

    @property
    def named(self) -> Vehicle | None:
        """The vehicle whose whole VIN was searched for."""
        vin = vins.clean(self.q)
        return next((one for one in self.page.rows if one.vin and one.vin == vin), None)

    @property
    def brands(self) -> list[brands.Brand]:
        return list(brands.catalogue().values())


def found(fleet: Fleet, params: QueryDict) -> VehicleQuerySet:
    """The vehicles that search and filters among the query parameters leave, with their credentials."""
    q, brand, credential = (params.get(name, "").strip().replace("\x00", "") for name in ("q", "brand", "credential"))
    vehicles = fleet.vehicles.search(q).select_related("credential")
    if brand:
        vehicles = vehicles.filter(telematics_brand=brand)
    if credential == "none":
        return vehicles.filter(credential=None)
    return vehicles.filter(credential=credential) if credential else vehicles
