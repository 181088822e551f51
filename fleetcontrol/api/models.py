"""API clients: programs that use the API of one fleet, and their permissions.

A secret is shown once, when it is made, and kept as a keyed digest. At most two work at a time: the newest, and for an
overlap of a chosen length the one it replaced. A token names the secret that the client signed in with, and ends with
it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hmac import compare_digest
from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import require_version
from fleetcontrol.db import rules
from fleetcontrol.db.clock import database_now
from fleetcontrol.db.texts import PlainText
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealedTextField, fingerprint

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of the API. Its form `.ro` may only read, and is implied by the full one, `implied_by`."""

    name: str
    words: StrOrPromise
    group: str  # read, write or secret

    @property
    def implied_by(self) -> str:
        return self.name.removesuffix(".ro")


PERMISSIONS: Mapping[str, Permission] = {
    permission.name: permission
    for permission in (
        Permission("telematics-credentials.ro", _("List and read OEM credentials, never their secrets"), "read"),
        Permission("vehicles.ro", _("List and read vehicles"), "read"),
        Permission("telematics-credentials", _("Add, check, replace and delete OEM credentials"), "write"),
        Permission("vehicles", _("Change vehicles’ data"), "write"),
        Permission("vehicle-lifecycle", _("Add and remove vehicles, move them to other credentials"), "write"),
        Permission("oem-access", _("Sign in to manufacturers and get their short-lived tokens"), "secret"),
        Permission("credential-secrets", _("Read stored secrets in plain text"), "secret"),
    )
}
OVERLAPS: Mapping[str, tuple[timedelta, StrOrPromise]] = {
    "now": (timedelta(0), _("Now")),
    "1h": (timedelta(hours=1), _("In 1 hour")),
    "24h": (timedelta(hours=24), _("In 24 hours")),
    "7d": (timedelta(days=7), _("In 7 days")),
}
# A token names its secret by so many characters of the secret's digest, which do not reveal the secret.
MARK_LENGTH = 16
ANSWERS_KEPT = timedelta(hours=24)


def allows(granted: Collection[str], needed: str) -> bool:
    """Whether these permissions include the needed one; `vehicles` includes `vehicles.ro`."""
    return needed in granted or needed.removesuffix(".ro") in granted


class ApiClient(models.Model):
    """A program that uses the API of one fleet. At most two of its secrets work at a time."""

    client_id = models.CharField(_("client ID"), max_length=40, unique=True)
    fleet = models.ForeignKey(Fleet, models.CASCADE, verbose_name=_("fleet"), related_name="api_clients")
    name = PlainText(_("name"), max_length=100)
    permissions = ArrayField(
        models.CharField(max_length=40, choices=[(p.name, p.words) for p in PERMISSIONS.values()]),
        verbose_name=_("permissions"),
        default=list,
    )
    secret_digest = models.CharField(max_length=64, blank=True, editable=False)
    former_secret_digest = models.CharField(max_length=64, blank=True, editable=False)
    former_secret_ends_at = models.DateTimeField(null=True, blank=True, editable=False)
    ends_on = models.DateField(_("ends on"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    last_used_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)

    field_of_rule: ClassVar[dict[str, str]] = {"api_client_name_unique_in_fleet": "name"}
    versioned_fields = ("name", "permissions", "ends_on", "revoked_at")
    saving_actions = ("client.add", "client.change", "client.replace_secret", "client.stop_former", "client.revoke")

    class Meta:
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")
        constraints = [
            models.UniqueConstraint(
                "fleet",
                Lower("name"),
                name="api_client_name_unique_in_fleet",
                violation_error_message=_("This fleet has an API client of this name already."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def add(
        cls, *, fleet: Fleet, actor: Actor, name: str, permissions: Collection[str], ends_on: date | None = None
    ) -> tuple[ApiClient, str]:
        """Add a client. Returns it with its secret, which cannot be shown again. Raises ValidationError by field."""
        client = cls(
            fleet=fleet,
            client_id=f"fc_{secrets.token_hex(12)}",
            name=name.strip(),
            permissions=_ordered(permissions),
            ends_on=ends_on,
        )
        secret = client._new_secret()
        rules.require_valid(client, client._errors())
        with rules.worded(client):
            client.save(force_insert=True)
            AuditEvent.record(
                fleet,
                actor,
                "client.add",
                client,
                {
                    "client_id": [None, client.client_id],
                    "permissions": [None, client.permissions],
                    "ends_on": [None, ends_on.isoformat() if ends_on else None],
                },
            )
        return client, secret

    def change(
        self,
        *,
        actor: Actor,
        permissions: Collection[str],
        ends_on: date | None,
        expected_version: str | None = None,
    ) -> None:
        """Change permissions and end date, also of existing tokens at once.

        `expected_version` is the version that the person saw. Raises ValidationError by field, and ChangedMeanwhile.
        """
        with transaction.atomic():
            client = self._locked()
            require_version(client, expected_version)
            before = (client.permissions, client.ends_on)
            client.permissions, client.ends_on = _ordered(permissions), ends_on
            rules.require_valid(client, client._errors() if ends_on != before[1] else None)
            changes = {
                field: [str(old) if isinstance(old, date) else old, str(new) if isinstance(new, date) else new]
                for field, old, new in zip(
                    ("permissions", "ends_on"), before, (client.permissions, client.ends_on), strict=True
                )
                if old != new
            }
            if changes:
                client.save(update_fields=["permissions", "ends_on"])
                AuditEvent.record(client.fleet, actor, "client.change", client, changes)
        self.refresh_from_db()

    def replace_secret(self, *, actor: Actor, overlap: str = "24h") -> str:
        """Give the client a new secret and return it; it cannot be shown again.

        The secret it replaces works for the overlap, a key of OVERLAPS; one that was replaced before that stops at
        once. Raises ValidationError when the client is revoked.
        """
        with transaction.atomic():
            client = self._locked()
            if client.revoked_at:
                raise ValidationError(_("This client was revoked. Add a new one."))
            lasts, _words = OVERLAPS[overlap]
            client.former_secret_digest = client.secret_digest if lasts else ""
            client.former_secret_ends_at = database_now() + lasts if lasts else None
            secret = client._new_secret()
            client.save(update_fields=["secret_digest", "former_secret_digest", "former_secret_ends_at"])
            AuditEvent.record(
                client.fleet, actor, "client.replace_secret", client, {"former_works_for": [None, overlap]}
            )
        self.refresh_from_db()
        return secret

    def stop_former(self, *, actor: Actor) -> None:
        """Stop the replaced secret now, and its tokens with it."""
        with transaction.atomic():
            client = self._locked()
            if client.former_secret_digest:
                client.former_secret_digest, client.former_secret_ends_at = "", None
                client.save(update_fields=["former_secret_digest", "former_secret_ends_at"])
                AuditEvent.record(client.fleet, actor, "client.stop_former", client)
        self.refresh_from_db()

    def revoke(self, *, actor: Actor) -> None:
        """End the client for good, with its secrets and tokens."""
        with transaction.atomic():
            client = self._locked()
            if client.revoked_at is None:
                client.revoked_at = timezone.now()
                client.secret_digest = client.former_secret_digest = ""
                client.former_secret_ends_at = None
                client.save()
                AuditEvent.record(client.fleet, actor, "client.revoke", client)
        self.refresh_from_db()

    @property
    def ended(self) -> bool:
        """Whether the end date has passed. The client still works on the day itself."""
        return self.ends_on is not None and self.ends_on < timezone.localdate(database_now())

    @property
    def former_works_until(self) -> datetime | None:
        """When the replaced secret stops; None when it does not work."""
        ends = self.former_secret_ends_at
        return ends if self.former_secret_digest and ends and ends > database_now() else None

    def secret_mark(self, secret: str) -> str:
        """The mark of this secret if it works, else "". The comparison takes the same time for every secret."""
        digest = fingerprint(secret, f"apiclient:{self.client_id}")
        current = compare_digest(digest, self.secret_digest.rjust(64))
        former = compare_digest(digest, self.former_secret_digest.rjust(64)) and self.former_works_until is not None
        works = (current or former) and self.revoked_at is None and not self.ended
        return digest[:MARK_LENGTH] if works else ""

    def record_use(self, address: str | None) -> None:
        """Note when and from where the client was last used, at most once a minute, as `api_take_request` does."""
        is_old = Q(last_used_at=None) | Q(last_used_at__lt=Now() - timedelta(minutes=1))
        ApiClient.objects.filter(is_old, pk=self.pk).update(last_used_at=Now(), last_used_address=address)

    def _new_secret(self) -> str:
        secret = f"fcs_{secrets.token_urlsafe(32)}"
        self.secret_digest = fingerprint(secret, f"apiclient:{self.client_id}")
        return secret

    def _errors(self) -> rules.Errors:
        errors: rules.Errors = {}
        if not self.permissions:
            errors["permissions"] = [ValidationError(_("Choose at least one permission."))]
        if self.ended:
            errors["ends_on"] = [ValidationError(_("This day has passed."))]
        return errors

    def _locked(self) -> ApiClient:
        return ApiClient.objects.select_for_update(of=("self",)).select_related("fleet").get(pk=self.pk)


def _ordered(permissions: Collection[str]) -> list[str]:
    """Known permissions in the catalogue's order, then unknown ones, which validation names."""
    order = list(PERMISSIONS)
    return sorted(set(permissions), key=lambda name: (order.index(name) if name in order else len(order), name))


class KeptAnswer(models.Model):
    """The answer that a client got to the request with this Idempotency-Key."""

    client = models.ForeignKey(ApiClient, models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    request = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    value = SealedTextField(null=True)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "key"], name="kept_answer_unique")]

    def __str__(self) -> str:
        return self.key

    @classmethod
    def erase_ended(cls) -> int:
        """Delete the answers that are older than 24 hours; returns how many."""
        return cls.objects.filter(created_at__lt=Now() - ANSWERS_KEPT).delete()[0]


class Tally(models.Model):
    """The count of a key in its minute, which begins with the first count."""

    key = models.CharField(primary_key=True, max_length=120)
    ends_at = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.key

    @classmethod
    def erase_ended(cls) -> int:
        """Delete the counts of past minutes; returns how many."""
        return cls.objects.filter(ends_at__lt=Now()).delete()[0]
