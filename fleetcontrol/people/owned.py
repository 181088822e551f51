"""What a fleet owns: the relations whose rows are deleted with it, as each app registers them in its AppConfig.

Rows are deleted in the reverse order of registration, which is the order of the apps. So an app's rows may protect
those of the apps below it: vehicles are gone before the credentials that they use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Owned:
    """One relation of Fleet. `label` names its rows on the page that deletes a fleet; "" leaves them out there."""

    relation: str
    label: StrOrPromise

    def rows_of(self, fleet: models.Model) -> models.QuerySet[models.Model]:
        rows: models.QuerySet[models.Model] = getattr(fleet, self.relation).all()
        return rows


_registered: list[Owned] = []


def register(relation: str, *, label: StrOrPromise = "") -> None:
    """Delete the rows of this relation of Fleet together with the fleet."""
    _registered.append(Owned(relation, label))


def in_order_of_deletion() -> list[Owned]:
    """Everything that was registered, last first."""
    return _registered[::-1]
