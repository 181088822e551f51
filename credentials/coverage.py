"""How many of a fleet's vehicles have a credential, and of which brand: the bar on top of the list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from django.utils.translation import gettext_lazy as _

from credentials import brands

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_TONES = 4  # the design has four; the smallest brands share the last


class _Line(Protocol):
    @property
    def brand(self) -> str: ...
    @property
    def vehicles(self) -> int: ...


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


@dataclass(frozen=True, slots=True)
class Coverage:
    """`covered` of `total` vehicles have a credential."""

    covered: int
    total: int
    segments: list[Segment]

    @classmethod
    def of(cls, lines: Iterable[_Line], total: int) -> Self:
        by_brand = Counter[str]()
        for line in lines:
            by_brand[line.brand] += line.vehicles
        covered = by_brand.total()
        ranked = [(brands.stored(brand).name, brand, count) for brand, count in by_brand.most_common() if count]
        parts: list[tuple[int, StrOrPromise, str, int]] = [
            (min(place, _TONES), *rest) for place, rest in enumerate(ranked, start=1)
        ]
        if total > covered:
            parts.append((0, _("No credential"), "", total - covered))
        segments, start = [], 0.0
        for tone, label, brand, count in parts:
            width = 100 * count / total
            segments.append(Segment(tone, label, brand, count, round(start, 2), round(width, 2)))
            start += width
        return cls(covered, total, segments)
