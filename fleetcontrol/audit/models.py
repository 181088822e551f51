"""The audit trail: who did what to what, when and from where; and the seals that make it tamper-evident.

Events are only ever inserted, without a look at other events, so that bulk work stays as fast as its rows. What makes
them tamper-evident is added afterwards, see `fleetcontrol.audit.chain`. This app is the ground that every verb stands
on, so fleets and people appear here as ids and texts only.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.validators import RegexValidator
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fleetcontrol.db.ids import new_id
from fleetcontrol.db.writing import insert


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit trail keeps it: a person, an API client, a command or FleetControl itself."""

    kind: str  # user, client, command, system, visitor
    id: str
    label: str
    flow_id: str = ""
    address: str | None = None

    @property
    def event_fields(self) -> dict[str, str | None]:
        """The fields that this actor gives to each of its audit events."""
        return {
            "actor_kind": self.kind,
            "actor_id": self.id,
            "actor_label": self.label[:254],
            "flow_id": self.flow_id,
            "address": self.address,
        }

    @classmethod
    def of(cls, user: models.Model, *, flow_id: str = "", address: str | None = None) -> Actor:
        """A person."""
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


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person, with the flow id and the address of this request."""
    assert request.user.is_authenticated  # noqa: S101 - pages behind sign-in only
    return actor_for(request, request.user)


def actor_for(request: HttpRequest, user: models.Model) -> Actor:
    """A person who acts through this request without being its signed-in user yet or any more."""
    return Actor.of(user, flow_id=getattr(request, "flow_id", ""), address=request.META.get("REMOTE_ADDR") or None)


def visitor(request: HttpRequest | None) -> Actor:
    """Somebody who has not proved who they are."""
    if request is None:
        return Actor.visitor()
    return Actor.visitor(flow_id=getattr(request, "flow_id", ""), address=request.META.get("REMOTE_ADDR") or None)


@dataclass(frozen=True, slots=True)
class Target:
    """The object of an event that is not a row of a table, such as a page that was refused."""

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

    Fleets, people, clients and objects are kept as ids and texts, so that an event outlives what it is about.
    """

    fleet_id = models.BigIntegerField(_("fleet"), null=True)
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
            models.Index(fields=["fleet_id", "-id"], name="audit_by_fleet"),
            models.Index(fields=["target_kind", "target_id", "-id"], name="audit_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}"

    @classmethod
    def about(
        cls,
        fleet: models.Model | None,
        actor: Actor,
        action: str,
        target: models.Model | Target,
        changes: Mapping[str, Any] | None,
    ) -> AuditEvent:
        """The event, not yet saved. `changes` maps a field to [before, after] and never holds a secret."""
        target = Target.of(target)
        return cls(
            fleet_id=fleet.pk if fleet else None,
            action=action,
            target_kind=target.kind,
            target_id=target.id[:40],
            target_label=target.label[:254],
            changes=dict(changes or {}),
            **actor.event_fields,
        )

    @classmethod
    def record(
        cls,
        fleet: models.Model | None,
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

    @classmethod
    def insert_sql(cls, action: str, target_kind: str, *, id: str, label: str, changes: str, rows: str) -> str:
        """The statement that writes an event for each row of a query, for verbs that change many rows in SQL.

        `rows` is the FROM clause with what follows it; `id`, `label` and `changes` are expressions over these rows.
        All of them are SQL of this project. The parameters are those of `sql_params`.
        """
        values = {
            "fleet_id": "%(fleet_id)s",
            "time": "%(time)s",
            "actor_kind": "%(actor_kind)s",
            "actor_id": "%(actor_id)s",
            "actor_label": "%(actor_label)s",
            "action": f"'{action}'",
            "target_kind": f"'{target_kind}'",
            "target_id": id,
            "target_label": label,
            "changes": changes,
            "flow_id": "%(flow_id)s",
            "address": "%(address)s::inet",
        }
        columns = [str(field.column) for field in cls._meta.concrete_fields if not field.primary_key]
        expressions = [values[column] for column in columns]
        return f"INSERT INTO {cls._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(expressions)} {rows}"

    @staticmethod
    def sql_params(fleet_id: int, actor: Actor) -> dict[str, Any]:
        """The parameters of `insert_sql`: the fleet, the time, which is now, and what the actor gives."""
        return {"fleet_id": fleet_id, "time": timezone.now(), **actor.event_fields}


class Pseudonym(models.Model):
    """What stands in the audit trail in place of the label of a person who was removed."""

    text = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64)  # of the label it replaced, keyed

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, labels: Iterable[str]) -> dict[str, str]:
        """New pseudonyms for the labels that one person had; their texts show that they are one person's."""
        code = new_id()[-8:]
        texts = {label: f"Former person {code}" + (f"-{n}" if n else "") for n, label in enumerate(labels)}
        Pseudonym.objects.bulk_create(
            Pseudonym(text=text, digest=digest_of_label(label)) for label, text in texts.items()
        )
        return texts


class AuditSeal(models.Model):
    """A proof of up to a thousand events of one fleet; without a fleet, of events that concern none."""

    number = models.BigIntegerField(primary_key=True)
    fleet_id = models.BigIntegerField(null=True)
    until_id = models.BigIntegerField()
    leaves = models.BinaryField(null=True)
    leaves_digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=timezone.now)
    head = models.CharField(max_length=64)
    retired_at = models.DateTimeField(null=True)
    retired_proof = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["number"]
        indexes = [models.Index(fields=["fleet_id", "-until_id"], name="seal_by_fleet")]

    def __str__(self) -> str:
        return f"{self.number}:{self.head}"

    def true_head(self, previous: str, previous_of_fleet: str) -> str:
        """The head that this seal must have after these two."""
        facts = [self.number, self.fleet_id, self.until_id, self.sealed_at.isoformat(), self.leaves_digest]
        return keyed("seal", [*facts, previous, previous_of_fleet])

    def true_proof(self) -> str:
        """What proves that this seal was retired by somebody who holds the key."""
        assert self.retired_at is not None  # noqa: S101 - asked of retired seals only
        return keyed("retired", [self.head, self.retired_at.isoformat()])


def keyed(purpose: str, facts: list[Any]) -> str:
    """A digest (64 hex digits) that only a holder of AUDIT_KEY can make."""
    return hmac.digest(audit_key(), json.dumps([purpose, facts]).encode(), "sha256").hex()


def digest_of_label(label: str) -> str:
    """What stands for a person's or an object's name in a leaf."""
    return keyed("label", [label])


def audit_key() -> bytes:
    """AUDIT_KEY. Raises ImproperlyConfigured when it is not set."""
    if not settings.AUDIT_KEY:
        raise ImproperlyConfigured(
            "AUDIT_KEY is not set. It is the key that seals the audit trail; set AUDIT_KEY, or AUDIT_KEY_FILE to the "
            "path of a file that holds it."
        )
    return str(settings.AUDIT_KEY).encode()
