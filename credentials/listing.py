"""What the list of credentials shows: groups by brand with their vehicles, in a fixed number of queries.

Counting vehicles is the expensive part, so it happens once per page, over an index alone. The credentials themselves
are ordered here and not in SQL, because the order needs those counts; only the rows of one page are read in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Self

from django.db.models import Count, Prefetch, Q
from django.http import QueryDict
from django.utils import timezone

from credentials import brands
from credentials.condition import Condition, condition
from credentials.models import Credential, CredentialSecret
from credentials.queryset import ATTENTION_BEFORE_END, TROUBLED
from fleetcontrol.models import Fleet

SIZE = 100
FILTERS = ("", "attention", "unused")


@dataclass(frozen=True, slots=True)
class Line:
    """What ordering and filters need of one credential."""

    id: str
    brand: str
    name: str
    status: str
    ends_on: date | None
    reason: str
    vehicles: int

    def is_in(self, chosen: str) -> bool:
        if chosen == "attention":
            # The same as CredentialQuerySet.needing_attention.
            soon = timezone.localdate() + ATTENTION_BEFORE_END
            ends = self.ends_on is not None and self.ends_on <= soon
            return self.status in TROUBLED or ends or self.reason == "sealed"
        return chosen != "unused" or self.vehicles == 0


@dataclass(frozen=True, slots=True)
class Row:
    credential: Credential
    secret: CredentialSecret
    condition: Condition
    vehicles: int


@dataclass(frozen=True, slots=True)
class Group:
    """One brand: `credentials` and `vehicles` count all of it, `rows` are those on this page."""

    brand: brands.Brand
    credentials: int
    vehicles: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Listing:
    """The list as a page shows it. `counts` maps each filter to its number, `most` is the largest count of vehicles."""

    q: str
    chosen: str
    page: int
    pages: int
    shown: int
    total: int
    most: int
    groups: list[Group] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, fleet: Fleet, params: QueryDict) -> Self:
        """The list for query parameters q, filter and page. Four queries, whatever the fleet's size."""
        q = params.get("q", "").strip().replace("\x00", "")
        chosen = params.get("filter", "") if params.get("filter") in FILTERS else ""
        lines = sorted(_lines(fleet, q), key=lambda one: (one.brand, -one.vehicles, one.name.casefold()))
        kept = [line for line in lines if line.is_in(chosen)]
        pages = max(1, -(-len(kept) // SIZE))
        asked = params.get("page", "1")
        page = min(max(1, int(asked)), pages) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
        return cls(
            q=q,
            chosen=chosen,
            page=page,
            pages=pages,
            shown=len(kept),
            total=len(lines),
            most=max((line.vehicles for line in lines), default=0),
            groups=list(_groups(kept, kept[(page - 1) * SIZE : page * SIZE])),
            counts={name: sum(line.is_in(name) for line in lines) for name in FILTERS},
        )


def _lines(fleet: Fleet, q: str) -> Iterator[Line]:
    found = fleet.credentials.order_by()
    if q:
        found = found.filter(Q(name__icontains=q) | Q(identifier__icontains=q))
    vehicles = vehicle_counts(fleet)
    for row in found.values_list("id", "brand", "name", "status", "ends_on", "status_reason"):
        yield Line(*row, vehicles=vehicles[row[0]])


def vehicle_counts(fleet: Fleet) -> Counter[str]:
    """How many vehicles use each credential of the fleet, by the credential's id."""
    found = fleet.vehicles.order_by().filter(credential__isnull=False)
    return Counter(dict(found.values_list("credential").annotate(Count("pk"))))


def _groups(all_kept: Iterable[Line], on_page: list[Line]) -> Iterator[Group]:
    credentials, vehicles = Counter[str](), Counter[str]()
    for line in all_kept:
        credentials[line.brand] += 1
        vehicles[line.brand] += line.vehicles
    current = Prefetch("secrets", CredentialSecret.objects.filter(is_current=True).defer("value"), "current")
    full = Credential.objects.prefetch_related(current).in_bulk([line.id for line in on_page])
    for brand, lines in groupby(on_page, key=lambda line: line.brand):
        rows = [_row(full[line.id], line) for line in lines if line.id in full]
        yield Group(brands.find(brand), credentials[brand], vehicles[brand], rows)


def _row(credential: Credential, line: Line) -> Row:
    secret = credential.current[0]  # type: ignore[attr-defined]  # what the Prefetch above adds
    return Row(credential, secret, condition(credential), line.vehicles)
