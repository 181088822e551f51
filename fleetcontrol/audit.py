"""The audit trail: who did what to what, when and from where.

Events are only ever inserted, without a look at other events, so that bulk work stays as fast as its rows. What makes
them tamper-evident is added afterwards, see `fleetcontrol.audit_seal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ulid import ULID

from fleetcontrol.writing import insert

if TYPE_CHECKING:
    from fleetcontrol.models import Fleet, User


def new_id() -> str:
    """A ULID: 26 characters that sort by the time they were made (OneAPI's ids have this form)."""
    return str(ULID())


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit trail keeps it: a person, an API client, a command or FleetControl itself."""

    kind: str  # user, client, command, system, visitor
    id: str
    label: str
    flow_id: str = ""
    address: str | None = None

    @classmethod
    def of(cls, user: User, *, flow_id: str = "", address: str | None = None) -> Actor:
        return cls("user", str(user.pk), str(user), flow_id, address)

    @classmethod
    def command(cls, name: str) -> Actor:
        """A management command, such as "import_vehicles"."""
        return cls("command", name, name, flow_id=new_id())

    @classmethod
    def system(cls) -> Actor:
        """FleetControl itself: what it does by the clock and not because somebody asked."""
        return cls("system", "system", "FleetControl")

    @classmethod
    def visitor(cls, *, flow_id: str = "", address: str | None = None) -> Actor:
        """Somebody who has not proved who they are."""
        return cls("visitor", "", "", flow_id, address)


@dataclass(frozen=True, slots=True)
class Target:
    """What an event is about where that is no row of a table, such as a page that was refused."""

    kind: str
    id: str = ""
    label: str = ""

    @classmethod
    def of(cls, target: models.Model | Target) -> Target:
        if isinstance(target, Target):
            return target
        return cls(target._meta.model_name or "", str(target.pk), str(target))


class AuditEvent(models.Model):
    """Something that happened, for good: a trigger refuses to change or delete rows.

    People, clients and objects are kept as text, so that an event outlives what it tells of.
    """

    fleet = models.ForeignKey(
        "fleetcontrol.Fleet", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    time = models.DateTimeField(_("time"), default=timezone.now)
    actor_kind = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=40)
    actor_label = models.CharField(_("who"), max_length=254)
    action = models.CharField(_("what"), max_length=40, validators=[RegexValidator(r"^[a-z_]+\.[a-z_]+$")])
    target_kind = models.CharField(max_length=40)
    target_id = models.CharField(max_length=40)
    target_label = models.CharField(_("object"), max_length=254)
    changes = models.JSONField(default=dict)
    flow_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        indexes = [
            models.Index(fields=["fleet", "-id"], name="audit_by_fleet"),
            models.Index(fields=["target_kind", "target_id", "-id"], name="audit_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}"

    @classmethod
    def about(
        cls,
        fleet: Fleet | None,
        actor: Actor,
        action: str,
        target: models.Model | Target,
        changes: Mapping[str, Any] | None,
    ) -> AuditEvent:
        """The event, not yet saved. `changes` maps a field to [before, after] and never holds a secret."""
        target = Target.of(target)
        return cls(
            fleet=fleet,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_label=actor.label[:254],
            action=action,
            target_kind=target.kind,
            target_id=target.id[:40],
            target_label=target.label[:254],
            changes=dict(changes or {}),
            flow_id=actor.flow_id,
            address=actor.address,
        )

    @classmethod
    def record(
        cls,
        fleet: Fleet | None,
        actor: Actor,
        action: str,
        target: models.Model | Target,
        changes: Mapping[str, Any] | None = None,
    ) -> AuditEvent:
        """Write one event; the caller's transaction carries it together with the change it tells of."""
        event = cls.about(fleet, actor, action, target, changes)
        insert(event)
        return event

    @classmethod
    def record_many(cls, events: Iterable[AuditEvent]) -> None:
        cls._default_manager.bulk_create(events, batch_size=1000)
