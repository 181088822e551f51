"""What the list of credentials shows: groups by brand with their vehicles, in a fixed number of queries.

Counting vehicles is the expensive part, so it happens once per page, over an index alone. The credentials are put in
order here and not in SQL, because the order needs those counts. Only the rows of one page are read in full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Self

from django.db.models import Count
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from credentials import brands
from credentials.condition import Alarm, Condition, alarms, condition
from credentials.models import Credential, CredentialSecret
from fleetcontrol.db.texts import tidied
from fleetcontrol.people.models import Fleet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SIZE = 50
FILTERS = ("", "attention", "unused")
SEGMENT_TONES = 4  # the design has four; the smallest brands share the last


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
        criteria = Criteria.of(params)
        vehicles = vehicle_counts(fleet)
        every = list(_lines(fleet, vehicles))
        found = criteria.search(every)
        filtered = [line for line in found if line.passes(criteria.chosen)]
        pages = max(1, -(-len(filtered) // SIZE))
        page = min(criteria.page, pages)
        on_page = filtered[(page - 1) * SIZE : page * SIZE]
        troubled = [line for line in every if line.needs_attention]
        full = _in_full([*on_page, *troubled])
        return cls(
            q=criteria.q,
            chosen=criteria.chosen,
            brand=criteria.brand,
            page=page,
            pages=pages,
            shown=len(filtered),
            total=len(every),
            most=max((line.vehicles for line in every), default=0),
            groups=list(_groups(filtered, on_page, full)),
            counts={name: sum(line.passes(name) for line in found) for name in FILTERS},
            alarms=alarms((full[line.id], line.vehicles) for line in troubled if line.id in full),
            coverage=Coverage.of(every, vehicles.total()),
        )


@dataclass(frozen=True, slots=True)
class Criteria:
    """The query parameters of the list, tidied. `chosen` is one of FILTERS."""

    q: str
    chosen: str
    brand: str
    page: int

    @classmethod
    def of(cls, params: QueryDict) -> Self:
        chosen, page = params.get("filter", ""), params.get("page", "1")
        return cls(
            q=tidied(params.get("q", "")).replace("\x00", ""),
            chosen=chosen if chosen in FILTERS else "",
            brand=params.get("brand", ""),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )

    def search(self, lines: Iterable[Line]) -> list[Line]:
        """The lines that fit `q` and `brand`, by brand, those with the most vehicles first."""
        q = self.q.casefold()
        found = [one for one in lines if one.matches(q) and self.brand in ("", one.brand)]
        return sorted(found, key=lambda one: (one.brand, -one.vehicles, one.name.casefold()))


@dataclass(frozen=True, slots=True)
class Line:
    """What order and filters need of one credential."""

    id: str
    brand: str
    name: str
    identifier: str
    needs_attention: bool
    vehicles: int

    def matches(self, q: str) -> bool:
        return q in self.name.casefold() or q in self.identifier.casefold()

    def passes(self, chosen: str) -> bool:
        """Whether this filter, one of FILTERS, leaves the credential."""
        if chosen == "attention":
            return self.needs_attention
        return chosen != "unused" or self.vehicles == 0


@dataclass(frozen=True, slots=True)
class Group:
    """One brand: `credentials` and `vehicles` count all of it, `rows` are those on this page."""

    brand: brands.Brand
    credentials: int
    vehicles: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Row:
    credential: Credential
    secret: CredentialSecret
    condition: Condition
    vehicles: int
    idle: bool


def ids(fleet: Fleet, params: QueryDict) -> list[str]:
    """The ids of the credentials that search, brand and filter leave."""
    criteria = Criteria.of(params)
    lines = criteria.search(_lines(fleet, vehicle_counts(fleet)))
    return [line.id for line in lines if line.passes(criteria.chosen)]


def vehicle_counts(fleet: Fleet) -> Counter[str | None]:
    """How many vehicles use each credential, by the credential's id; under None, how many use none."""
    credentials = fleet.vehicles.order_by().values_list("credential")
    # Count rows, not a column: then the index on brand and credential answers alone.
    return Counter(dict(credentials.annotate(number=Count("*"))))


def _lines(fleet: Fleet, vehicles: Counter[str | None]) -> Iterator[Line]:
    columns = ("id", "brand", "name", "identifier", "needs_attention")
    for row in fleet.credentials.with_needs_attention().order_by().values_list(*columns):
        yield Line(*(*row, vehicles[row[0]]))


def _in_full(lines: Iterable[Line]) -> dict[str, Credential]:
    return Credential.objects.with_idle().with_current_secret().in_bulk([line.id for line in lines])


def _groups(filtered: Iterable[Line], on_page: list[Line], full: Mapping[str, Credential]) -> Iterator[Group]:
    credentials, vehicles = Counter[str](), Counter[str]()
    for line in filtered:
        credentials[line.brand] += 1
        vehicles[line.brand] += line.vehicles
    for brand, lines in groupby(on_page, key=lambda line: line.brand):
        rows = [_row(full[line.id], line) for line in lines if line.id in full]
        yield Group(brands.stored(brand), credentials[brand], vehicles[brand], rows)


def _row(credential: Credential, line: Line) -> Row:
    secret = credential.current_secrets[0]
    return Row(credential, secret, condition(credential), line.vehicles, credential.is_idle)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The bar on top of the list: `covered` of `total` vehicles have a credential."""

    covered: int
    total: int
    segments: list[Segment]

    @classmethod
    def of(cls, lines: Iterable[Line], total: int) -> Self:
        by_brand = Counter[str]()
        for line in lines:
            by_brand[line.brand] += line.vehicles
        covered = by_brand.total()
        ranked = [(brands.stored(brand).name, brand, count) for brand, count in by_brand.most_common() if count]
        parts: list[tuple[int, StrOrPromise, str, int]] = [
            (min(place, SEGMENT_TONES), *rest) for place, rest in enumerate(ranked, start=1)
        ]
        if total > covered:
            parts.append((0, _("No credential"), "", total - covered))
        segments, start = [], 0.0
        for tone, label, brand, count in parts:
            width = 100 * count / total
            segments.append(Segment(tone, label, brand, count, round(start, 2), round(width, 2)))
            start += width
        return cls(covered, total, segments)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of the bar. `tone` is 1 to 4, 0 for vehicles without a credential; `start` and `width` are percent.

    `brand` is the catalogue's id, "" where there is no list to show.
    """

    tone: int
    label: StrOrPromise
    brand: str
    vehicles: int
    start: float
    width: float
