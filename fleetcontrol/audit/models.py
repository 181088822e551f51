"""The audit trail: who did what to what, when and from where; and the seals that make it tamper-evident.

Inserting an event looks at no other event, which keeps bulk work fast. `fleetcontrol.audit.chain` adds the seals
afterwards. All other apps import this one, so fleets and people appear here only as ids and texts.
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
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fleetcontrol.db.ids import new_id
from fleetcontrol.db.writing import insert


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person, an API client, a command, FleetControl itself, or a visitor."""

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
        """FleetControl itself, for what it does on schedule and not because somebody asked."""
        return cls("system", "system", "FleetControl")

    @classmethod
    def visitor(cls, *, flow_id: str = "", address: str | None = None) -> Actor:
        """Somebody who is not signed in."""
        return cls("visitor", "", "", flow_id, address)


def actor_of(request: HttpRequest) -> Actor:
    """The signed-in person, with the flow id and the address of this request."""
    assert request.user.is_authenticated  # noqa: S101 - pages behind sign-in only
    return actor_for(request, request.user)


def actor_for(request: HttpRequest, user: models.Model) -> Actor:
    """A person who acts through this request but is not its signed-in user: not yet, or no longer."""
    return Actor.of(user, flow_id=getattr(request, "flow_id", ""), address=request.META.get("REMOTE_ADDR") or None)


def visitor_of(request: HttpRequest | None) -> Actor:
    """Somebody who is not signed in. Without a request, nothing is known about them."""
    if request is None:
        return Actor.visitor()
    return Actor.visitor(flow_id=getattr(request, "flow_id", ""), address=request.META.get("REMOTE_ADDR") or None)


@dataclass(frozen=True, slots=True)
class Target:
    """The object of an event. It need not be a row of a table: a page that was refused is one too."""

    kind: str
    id: str = ""
    label: str = ""

    @classmethod
    def of(cls, target: models.Model | Target) -> Target:
        if isinstance(target, Target):
            return target
        return cls(target._meta.model_name or "", str(target.pk), str(target))


class AuditEvent(models.Model):
    """Something that happened. A trigger refuses to change or delete rows.

    Fleets, people, clients and objects are stored as ids and texts, so an event outlives them. The database gives id
    and time: the web process's role may write neither (see `manage.py create_database_roles`).
    """

    fleet_id = models.BigIntegerField(_("fleet"), null=True)
    time = models.DateTimeField(_("time"), db_default=Now())
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
        """Build an event without saving it. `changes` maps a field to [before, after] and never holds a secret."""
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
        """Write one event, in the transaction of the change that it describes."""
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
        fields = [field for field in cls._meta.concrete_fields if not field.primary_key and not field.has_db_default()]
        columns = [str(field.column) for field in fields]
        expressions = [values[column] for column in columns]
        return f"INSERT INTO {cls._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(expressions)} {rows}"

    @staticmethod
    def sql_params(fleet_id: int, actor: Actor) -> dict[str, Any]:
        """The parameters of `insert_sql`, the fleet and what the actor gives, and the time for the rows themselves."""
        return {"fleet_id": fleet_id, "time": timezone.now(), **actor.event_fields}


class Pseudonym(models.Model):
    """A text that replaces, in the audit trail, a label of a person who was removed.

    The proof is a keyed digest of text and digest, so that nobody without AUDIT_KEY gives the events another name.
    """

    text = models.CharField(max_length=40, unique=True)
    digest = models.CharField(max_length=64)  # keyed digest of the replaced label
    proof = models.CharField(max_length=64, default="")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, labels: Iterable[str]) -> dict[str, str]:
        """Make a pseudonym for each label of one person. Their texts show that they belong together."""
        code = new_id()[-8:]
        texts = {label: f"Former person {code}" + (f"-{n}" if n else "") for n, label in enumerate(labels)}
        pseudonyms = [Pseudonym(text=text, digest=label_digest(label)) for label, text in texts.items()]
        for pseudonym in pseudonyms:
            pseudonym.proof = pseudonym.expected_proof()
        Pseudonym.objects.bulk_create(pseudonyms)
        return texts

    def expected_proof(self) -> str:
        """The proof that this pseudonym must carry: only a holder of the key can compute it."""
        return keyed_digest("pseudonym", [self.text, self.digest])


class AuditSeal(models.Model):
    """A proof of up to a thousand events of one fleet. A seal without a fleet proves events outside of fleets.

    It also proves all pseudonyms with ids up to `pseudonyms_until`, see `fleetcontrol.audit.chain.PseudonymDigest`.
    """

    number = models.BigIntegerField(primary_key=True)
    fleet_id = models.BigIntegerField(null=True)
    until_id = models.BigIntegerField()
    leaves = models.BinaryField(null=True)
    leaves_digest = models.CharField(max_length=64)
    pseudonyms_until = models.BigIntegerField(default=0)
    pseudonyms_digest = models.CharField(max_length=64, default="")
    sealed_at = models.DateTimeField(default=timezone.now)
    head = models.CharField(max_length=64)
    retired_at = models.DateTimeField(null=True)
    retired_proof = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["number"]
        indexes = [models.Index(fields=["fleet_id", "-until_id"], name="seal_by_fleet")]

    def __str__(self) -> str:
        return f"{self.number}:{self.head}"

    def expected_head(self, previous: str, previous_of_fleet: str) -> str:
        """The head that this seal must have, given the previous seal's head and the fleet's previous head."""
        facts = [self.number, self.fleet_id, self.until_id, self.sealed_at.isoformat(), self.leaves_digest]
        if self.pseudonyms_digest:  # seals from before there was one have none
            facts += [self.pseudonyms_until, self.pseudonyms_digest]
        return keyed_digest("seal", [*facts, previous, previous_of_fleet])

    def expected_proof(self) -> str:
        """The proof that a retired seal must carry: only a holder of the key can compute it."""
        assert self.retired_at is not None  # noqa: S101 - only retired seals have one
        return keyed_digest("retired", [self.head, self.retired_at.isoformat()])


class AuditChain(models.Model):
    """The one row that is locked while the chain is extended, retired or verified; the web role may not lock it.

    What it says of the chain is a help for messages, and no proof.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sealed_until = models.BigIntegerField(default=0)  # id of an event
    kept_head = models.CharField(max_length=100, default="")  # as in `fleetcontrol.audit.head`
    key_check = models.CharField(max_length=64, default="")  # of AUDIT_KEY, as in `fleetcontrol.audit.keys`

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="audit_chain_is_one")]

    def __str__(self) -> str:
        return self.kept_head


class KeyCheck(models.Model):
    """A keyed digest of a constant, which tells whether a key is the one that was used before: see `audit.keys`."""

    name = models.CharField(max_length=40)
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "digest"], name="key_check_unique"),
            # Only FERNET_KEYS is a ring.
            models.UniqueConstraint(fields=["name"], condition=~Q(name="FERNET_KEYS"), name="key_check_one_key"),
        ]

    def __str__(self) -> str:
        return self.name


def keyed_digest(purpose: str, facts: list[Any]) -> str:
    """A digest (64 hex digits) that only a holder of AUDIT_KEY can compute."""
    return hmac.digest(audit_key(), json.dumps([purpose, facts]).encode(), "sha256").hex()


def label_digest(label: str) -> str:
    """The digest that stands in a leaf for the name of a person or an object."""
    return keyed_digest("label", [label])


def audit_key() -> bytes:
    """AUDIT_KEY as bytes. Raises ImproperlyConfigured if it is not set."""
    if not settings.AUDIT_KEY:
        raise ImproperlyConfigured(
            "AUDIT_KEY is not set. It is the key that seals the audit trail; set AUDIT_KEY, or AUDIT_KEY_FILE to the "
            "path of a file that holds it."
        )
    return str(settings.AUDIT_KEY).encode()
