"""The list of vehicles: its search, filters, order and page, from the query parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from django.http import QueryDict

from credentials import brands
from fleetcontrol.db.texts import tidied
from fleetcontrol.pages.paging import CAP, Page, capped_count, page_of
from fleetcontrol.people.models import Fleet
from vehicles import vin as vins
from vehicles.models import Vehicle, VehicleQuerySet, search_uses_index

ORDERS = ("name", "-name")
# A longer choice of credentials helps nobody; the page of a credential links to the list of its vehicles.
CHOICES = 200
# In a larger fleet, the results of a search without an index are not counted.
LARGEST_FLEET_COUNTED = 20_000
COLUMNS = ("name", "vin", "license_plate", "make", "model", "telematics_brand", "fleet", "credential__name")


@dataclass(frozen=True, slots=True)
class Listing:
    """The list as a page shows it. `credential` is the ID of the chosen one, or "none" for vehicles without one."""

    q: str
    brand: str
    credential: str
    order: str
    credentials: list[tuple[str, str]]
    page: Page[Vehicle]

    @classmethod
    def of(cls, fleet: Fleet, params: QueryDict) -> Self:
        """The list for the query parameters q, brand, credential, sort, after and before."""
        q, brand, credential = _filters(params)
        order = params.get("sort", "name") if params.get("sort") in ORDERS else "name"
        vehicles = filtered(fleet, params).only(*COLUMNS)
        choices = list(fleet.credentials.order_by("name").values_list("pk", "name")[: CHOICES + 1])
        if len(choices) > CHOICES:
            choices = list(fleet.credentials.filter(pk=credential).values_list("pk", "name"))
        is_slow = (
            q
            and not search_uses_index(q)
            and capped_count(fleet.vehicles.all(), LARGEST_FLEET_COUNTED) > LARGEST_FLEET_COUNTED
        )
        page = page_of(vehicles, params, order=[order], cap=0 if is_slow else CAP)
        return cls(q, brand, credential, order, choices, page)

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.brand or self.credential)

    @property
    def named(self) -> Vehicle | None:
        """The vehicle whose whole VIN is the search text."""
        vin = vins.clean(self.q)
        return next((one for one in self.page.rows if one.vin and one.vin == vin), None)

    @property
    def brands(self) -> list[brands.Brand]:
        return list(brands.catalogue().values())


def filtered(fleet: Fleet, params: QueryDict) -> VehicleQuerySet:
    """The fleet's vehicles that pass the search and the filters of the query parameters, with their credentials."""
    q, brand, credential = _filters(params)
    vehicles = fleet.vehicles.search(q).select_related("credential")
    if brand:
        vehicles = vehicles.filter(telematics_brand=brand)
    if credential == "none":
        return vehicles.filter(credential=None)
    return vehicles.filter(credential=credential) if credential else vehicles


def _filters(params: QueryDict) -> tuple[str, str, str]:
    """The search text, the brand and the credential. PostgreSQL takes no NUL character."""
    q, brand, credential = (tidied(params.get(name, "")).replace("\x00", "") for name in ("q", "brand", "credential"))
    return q, brand, credential
