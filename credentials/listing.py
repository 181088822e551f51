"""What the list of credentials shows: groups by brand with their vehicles, in a fixed number of queries.

Counting vehicles is the expensive part, so it happens once per page, over an index alone. The credentials themselves
are ordered here and not in SQL, because the order needs those counts; only the rows of one page are read in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Self

from django.db.models import Count, Prefetch
from django.http import QueryDict
from django.utils import timezone

from credentials import brands
from credentials.attention import Alarm, alarms
from credentials.condition import Condition, condition
from credentials.coverage import Coverage
from credentials.models import ATTENTION_BEFORE_END, IDLE_AFTER, TROUBLED, Credential, CredentialSecret
from fleetcontrol.people.models import Fleet

SIZE = 50
FILTERS = ("", "attention", "unused")


@dataclass(frozen=True, slots=True)
class Line:
    """What ordering and filters need of one credential."""

    id: str
    brand: str
    name: str
    identifier: str
    status: str
    ends_on: date | None
    reason: str
    vehicles: int

    def matches(self, q: str) -> bool:
        return q in self.name.casefold() or q in self.identifier.casefold()

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

    @property
    def idle(self) -> bool:
        """The same as CredentialQuerySet.idle."""
        long_ago = timezone.now() - IDLE_AFTER
        used = self.credential.last_used_at
        return not self.vehicles and self.credential.created_at < long_ago and (used is None or used < long_ago)


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
    brand: str
    page: int
    pages: int
    shown: int
    total: int
    most: int
    groups: list[Group]
    counts: Mapping[str, int]
    alarms: list[Alarm]
    coverage: Coverage

    @classmethod
    def of(cls, fleet: Fleet, params: QueryDict) -> Self:
        """The list for query parameters q, filter, brand and page. Four queries, whatever the fleet's size."""
        asked = Asked.of(params)
        vehicles = vehicle_counts(fleet)
        every = list(_lines(fleet, vehicles))
        found = asked.found(every)
        kept = [line for line in found if line.is_in(asked.chosen)]
        pages = max(1, -(-len(kept) // SIZE))
        page = min(asked.page, pages)
        on_page = kept[(page - 1) * SIZE : page * SIZE]
        troubled = [line for line in every if line.is_in("attention")]
        full = _full([*on_page, *troubled])
        return cls(
            q=asked.q,
            chosen=asked.chosen,
            brand=asked.brand,
            page=page,
            pages=pages,
            shown=len(kept),
            total=len(every),
            most=max((line.vehicles for line in every), default=0),
            groups=list(_groups(kept, on_page, full)),
            counts={name: sum(line.is_in(name) for line in found) for name in FILTERS},
            alarms=alarms((full[line.id], line.vehicles) for line in troubled if line.id in full),
            coverage=Coverage.of(every, vehicles.total()),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """The query parameters of the list, tidied."""

    q: str
    chosen: str
    brand: str
    page: int

    @classmethod
    def of(cls, params: QueryDict) -> Self:
        chosen, page = params.get("filter", ""), params.get("page", "1")
        return cls(
            q=params.get("q", "").strip().replace("\x00", ""),
            chosen=chosen if chosen in FILTERS else "",
            brand=params.get("brand", ""),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def found(self, lines: Iterable[Line]) -> list[Line]:
        """What search and brand leave, by brand, those with the most vehicles first."""
        q = self.q.casefold()
        left = [one for one in lines if one.matches(q) and self.brand in ("", one.brand)]
        return sorted(left, key=lambda one: (one.brand, -one.vehicles, one.name.casefold()))


def ids(fleet: Fleet, params: QueryDict) -> list[str]:
    """The ids of the credentials that search, brand and filter leave."""
    asked = Asked.of(params)
    lines = asked.found(_lines(fleet, vehicle_counts(fleet)))
    return [line.id for line in lines if line.is_in(asked.chosen)]


def _lines(fleet: Fleet, vehicles: Counter[str | None]) -> Iterator[Line]:
    columns = ("id", "brand", "name", "identifier", "status", "ends_on", "status_reason")
    for row in fleet.credentials.order_by().values_list(*columns):
        yield Line(*(*row, vehicles[row[0]]))


def vehicle_counts(fleet: Fleet) -> Counter[str | None]:
    """How many vehicles use each credential of the fleet, by the credential's id; by None those that use none."""
    found = fleet.vehicles.order_by().values_list("credential")
    # Of rows, not of a column: then the index on brand and credential holds all that is asked.
    return Counter(dict(found.annotate(number=Count("*"))))


def _full(lines: Iterable[Line]) -> dict[str, Credential]:
    current = Prefetch("secrets", CredentialSecret.objects.filter(is_current=True).defer("value"), "current")
    return Credential.objects.prefetch_related(current).in_bulk([line.id for line in lines])


def _groups(all_kept: Iterable[Line], on_page: list[Line], full: Mapping[str, Credential]) -> Iterator[Group]:
    credentials, vehicles = Counter[str](), Counter[str]()
    for line in all_kept:
        credentials[line.brand] += 1
        vehicles[line.brand] += line.vehicles
    for brand, lines in groupby(on_page, key=lambda line: line.brand):
        rows = [_row(full[line.id], line) for line in lines if line.id in full]
        yield Group(brands.stored(brand), credentials[brand], vehicles[brand], rows)


def _row(credential: Credential, line: Line) -> Row:
    secret = credential.current[0]  # type: ignore[attr-defined]  # what the Prefetch above adds
    return Row(credential, secret, condition(credential), line.vehicles)
