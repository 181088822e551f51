"""The versions of a credential's secret, sealed, apart from the row that lists read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from pydantic_core import to_json

from credentials.brands import pem
from credentials.brands.schema import Cleaned
from fleetcontrol.api.limits import count
from fleetcontrol.audit.models import Actor, AuditEvent, Target
from fleetcontrol.db.clock import database_now
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SHORTEST_FOUND, Sealed, SealedTextField, SealError, seal, secret_fingerprint

SEARCHES = 10  # a minute, of one person in one fleet


class SecretQuerySet(models.QuerySet["CredentialSecret"]):
    def holding(self, value: str, fleet_id: int) -> Self:
        """Versions of the fleet in which one of the secret fields has this value; includes erased versions."""
        value = pem.rewrapped(value)  # as a certificate or key was stored
        digest = secret_fingerprint(value, f"fleet:{fleet_id}")
        return self.filter(credential__fleet=fleet_id, fingerprints__contains=[digest])

    def with_vehicle_counts(self) -> Self:
        """With their credentials, and with `vehicle_count`: how many vehicles depend on each."""
        counted = models.Count("credential__vehicles")
        return self.select_related("credential").defer("value").annotate(vehicle_count=counted)

    def erase(self) -> int:
        """Destroy the sealed values of these versions; returns how many. The current version cannot be erased."""
        return self.filter(erased_at=None).update(value=None, erased_at=Now(), erase_after=None)

    def due_for_erasure(self) -> Self:
        """Former versions whose 24 hours are over."""
        return self.filter(is_current=False, erased_at=None, erase_after__lte=Now())

    def erase_due(self, *, actor: Actor) -> int:
        """Erase the former versions whose 24 hours are over, each with its audit event; returns how many."""
        with transaction.atomic():
            versions = list(self.due_for_erasure().select_for_update(of=("self",)).select_related("credential__fleet"))
            self.filter(pk__in=[one.pk for one in versions]).erase()
            AuditEvent.record_many(
                AuditEvent.about(
                    one.credential.fleet, actor, "credential.erase", one.credential, {"version": [one.version, None]}
                )
                for one in versions
            )
        return len(versions)


class CredentialSecret(models.Model):
    """One version of a credential's secret, sealed. A table of its own, so that lists never read it."""

    credential = models.ForeignKey(
        "credentials.Credential", models.CASCADE, related_name="secrets", db_index=False
    )  # no index of its own: that of secret_version_unique begins with it
    version = models.PositiveIntegerField(_("version"))
    value = SealedTextField(null=True, editable=False)
    fingerprints = ArrayField(models.CharField(max_length=64), default=list, editable=False)
    ends_on = models.DateField(_("ends on"), null=True, blank=True, editable=False)
    facts = models.JSONField(default=dict, editable=False)
    is_current = models.BooleanField(default=True, editable=False)
    added_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    added_by = models.CharField(max_length=254, editable=False)
    erase_after = models.DateTimeField(null=True, editable=False)
    erased_at = models.DateTimeField(_("erased"), null=True, editable=False)

    objects = SecretQuerySet.as_manager()

    class Meta:
        verbose_name = _("secret version")
        verbose_name_plural = _("secret versions")
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["credential", "version"], name="secret_version_unique"),
            models.UniqueConstraint(
                fields=["credential"],
                condition=Q(is_current=True),
                name="secret_one_current_version",
            ),
            models.UniqueConstraint(
                fields=["credential"],
                condition=Q(is_current=False, erased_at=None),
                name="secret_one_former_version",
            ),
            models.CheckConstraint(
                condition=Q(value__isnull=True, erased_at__isnull=False)
                | Q(value__isnull=False, erased_at__isnull=True),
                name="secret_erased_when_empty",
            ),
            models.CheckConstraint(
                condition=Q(is_current=False) | Q(erased_at=None),
                name="secret_current_is_not_erased",
            ),
        ]
        indexes = [GinIndex(fields=["fingerprints"], name="secret_by_fingerprint")]

    def __str__(self) -> str:
        return str(_("Version %(version)s") % {"version": self.version})

    @property
    def can_return(self) -> bool:
        """Whether this is the former version and `revert` can still bring it back."""
        is_kept = self.erase_after is not None and self.erase_after > database_now()
        return not self.is_current and self.erased_at is None and is_kept

    @classmethod
    @sensitive_variables()
    def add(
        cls, *, credential_id: str, fleet_id: int, cleaned: Cleaned, version: int, actor: Actor
    ) -> CredentialSecret:
        """Seal the brand's secret fields as the new current version. The caller has retired the former one."""
        return cls.objects.create(
            credential_id=credential_id,
            version=version,
            value=cls.sealed(cleaned.secret, credential_id, version),
            fingerprints=fingerprints_of(cleaned.secret, fleet_id),
            ends_on=cleaned.ends_on,
            facts=dict(cleaned.facts),
            added_by=actor.label,
        )

    @classmethod
    def sealed(cls, secret: Mapping[str, str], credential_id: str, version: int) -> Sealed:
        """The brand's secret fields as JSON, sealed for one version of one credential."""
        return seal(to_json(secret).decode(), cls.owner(credential_id, version))

    @staticmethod
    def owner(credential_id: str, version: int) -> str:
        """What a sealed value is bound to."""
        return f"credentialsecret:{credential_id}:{version}"

    def open(self) -> dict[str, str]:
        """Return the brand's secret fields in plain text: only for a sign-in or a release.

        Raises SealError for a wrong key, for a ciphertext copied from another row, and for an erased version.
        """
        sealed = CredentialSecret.objects.values_list("value", flat=True).get(pk=self.pk)
        if sealed is None:
            raise SealError(_("This version was erased."))
        opened: dict[str, str] = json.loads(sealed.open(self.owner(self.credential_id, self.version)))
        return opened


def fingerprints_of(secret: Mapping[str, str], fleet_id: int) -> list[str]:
    """One keyed fingerprint for each secret field, comparable within the fleet."""
    return [secret_fingerprint(value, f"fleet:{fleet_id}") for value in secret.values()]


def may_look_for(value: str, fleet: Fleet, *, actor: Actor) -> None:
    """Count and record that somebody looks for a secret in the fleet; call it before the answer.

    Raises ValidationError for a value that is too short, and with the code "too_often" above SEARCHES a minute of one
    person in one fleet. The event does not hold the value.
    """
    if len(value) < SHORTEST_FOUND:
        words = _("Enter at least %(least)d characters: a shorter secret could be guessed here.")
        raise ValidationError(words, params={"least": SHORTEST_FOUND})
    if count(f"find_secret:{fleet.pk}:{actor.kind}:{actor.id}", SEARCHES).exceeded:
        words = _("Only %(allowed)d secrets a minute can be looked for. Wait a minute.")
        raise ValidationError(words, params={"allowed": SEARCHES}, code="too_often")
    AuditEvent.record(fleet, actor, "credential.find_secret", Target("fleet", str(fleet.pk), fleet.name))
