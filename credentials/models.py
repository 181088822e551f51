"""OEM credentials and the versions of their secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from credentials import brands
from fleetcontrol import rules
from fleetcontrol.models import Actor, AuditEvent, Fleet, new_id
from fleetcontrol.seal import SealedTextField, SealError, fingerprint, seal

FORMER_VERSION_KEPT = timedelta(hours=24)
ATTENTION_BEFORE_END = timedelta(days=30)


class Status(models.TextChoices):
    UNCHECKED = "UNCHECKED", _("Not checked")
    WORKING = "WORKING", _("Working")
    REJECTED = "REJECTED", _("Sign-in rejected")
    UNREACHABLE = "UNREACHABLE", _("Not reachable")
    SCOPES_MISSING = "SCOPES_MISSING", _("Permissions missing")
    PENDING = "PENDING", _("Pending")
    REVOKED = "REVOKED", _("Revoked")


class CredentialInUse(Exception):
    """A credential that vehicles use cannot be deleted. `count` is how many vehicles use it."""

    def __init__(self, credential: Credential, count: int) -> None:
        self.credential = credential
        self.count = count
        super().__init__(f"{count} vehicles use {credential.name}")


class CredentialQuerySet(models.QuerySet["Credential"]):
    def needing_attention(self) -> Self:
        """Credentials that do not work, or end within ATTENTION_BEFORE_END; "not checked" alone is no alarm."""
        soon = timezone.localdate() + ATTENTION_BEFORE_END
        troubled = [Status.REJECTED, Status.UNREACHABLE, Status.SCOPES_MISSING, Status.REVOKED]
        return self.filter(Q(status__in=troubled) | Q(ends_on__lte=soon))


class Credential(models.Model):
    """What an OEM issued so that its telematics units can be reached; shared by all vehicles that refer to it.

    Brand, identifier, name and fleet never change (a trigger holds it); only the secret is replaced.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(Fleet, models.PROTECT, verbose_name=_("fleet"), related_name="credentials")
    name = models.CharField(_("name"), max_length=100, validators=[ProhibitNullCharactersValidator()])
    brand = models.CharField(_("brand"), max_length=40)
    identifier = models.CharField(_("identifier"), max_length=254, blank=True)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True, validators=[ProhibitNullCharactersValidator()])
    ends_on = models.DateField(_("ends on"), null=True, blank=True)
    status = models.CharField(_("connection"), max_length=14, choices=Status, default=Status.UNCHECKED, editable=False)
    status_detail = models.CharField(max_length=500, blank=True, editable=False)
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    checked_at = models.DateTimeField(_("checked"), null=True, editable=False)
    last_worked_at = models.DateTimeField(_("last worked"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    created_by = models.CharField(max_length=254, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=254, editable=False)

    objects: ClassVar[models.Manager[Credential]] = CredentialQuerySet.as_manager()

    field_of_rule: ClassVar[dict[str, str]] = {
        "credential_name_unique_in_fleet": "name",
        "credential_name_not_empty": "name",
    }

    class Meta:
        verbose_name = _("OEM credential")
        verbose_name_plural = _("OEM credentials")
        ordering = ["brand", Lower("name")]
        constraints = [
            models.UniqueConstraint(
                "fleet",
                Lower("name"),
                name="credential_name_unique_in_fleet",
                violation_error_message=_("This fleet already has a credential of this name."),
            ),
            # What the composite foreign key of a vehicle points to.
            models.UniqueConstraint(fields=["id", "fleet", "brand"], name="credential_fleet_and_brand"),
            models.CheckConstraint(
                condition=Q(name__regex=r"\S"),
                name="credential_name_not_empty",
                violation_error_message=_("Enter a name."),
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="credential_status_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def oem(self) -> brands.Brand:
        """The brand's entry in the catalogue."""
        return brands.find(self.brand)

    @property
    def secret(self) -> CredentialSecret:
        """The version of the secret that is in use."""
        return self.secrets.get(is_current=True)

    @classmethod
    def add(
        cls,
        *,
        fleet: Fleet,
        actor: Actor,
        brand: str,
        name: str,
        values: Mapping[str, str],
        note: str = "",
        ends_on: date | None = None,
    ) -> Credential:
        """A new credential with version 1 of its secret.

        `values` are the brand's own fields as typed, such as client_id and client_secret.
        Raises ValidationError with the brand's fields, `name`, `brand`, `note` or `ends_on` as keys.
        """
        oem = _shared_brand(brand)
        credential = cls(fleet=fleet, brand=oem.id, name=name.strip(), note=note.strip(), ends_on=ends_on)
        credential.created_by = credential.changed_by = actor.label
        errors: rules.Errors = {}
        secret: Mapping[str, str] = {}
        try:
            cleaned = oem.clean(values)
            credential.identifier, credential.settings = cleaned.identifier, dict(cleaned.settings)
            credential.ends_on = ends_on or cleaned.ends_on
            secret = cleaned.secret
        except ValidationError as error:
            errors |= error.error_dict
        rules.check(credential, errors)
        with rules.worded(credential):
            credential.save(force_insert=True)
            CredentialSecret.add(credential, secret, version=1, actor=actor)
            AuditEvent.record(fleet, actor, "credential.add", credential, credential.facts())
        return credential

    def rotate(self, *, actor: Actor, values: Mapping[str, str]) -> CredentialSecret:
        """Put a new version of the secret in the place of the current one, which is kept for 24 hours.

        Raises ValidationError with the brand's secret fields as keys.
        """
        cleaned = self.oem.clean(values, partial=True)
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            former = credential.secret
            credential.secrets.filter(is_current=False, erased_at=None).update(value=None, erased_at=timezone.now())
            credential.secrets.filter(pk=former.pk).update(
                is_current=False, erase_after=timezone.now() + FORMER_VERSION_KEPT
            )
            secret = CredentialSecret.add(credential, cleaned.secret, version=former.version + 1, actor=actor)
            credential.status, credential.status_detail = Status.UNCHECKED, ""
            credential.status_since = timezone.now()
            if cleaned.ends_on:
                credential.ends_on = cleaned.ends_on
            credential._touch(actor)
            AuditEvent.record(
                credential.fleet,
                actor,
                "credential.rotate",
                credential,
                {"version": [former.version, secret.version]},
            )
        self.refresh_from_db()
        return secret

    def change(self, *, actor: Actor, **changes: Any) -> None:
        """Change the note or the end date. Raises ValidationError for anything else: a different client ID is a
        different credential.
        """
        for field in changes.keys() - {"note", "ends_on"}:
            raise ValidationError({field: _("This cannot be changed. A different value is a different credential.")})
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            before = {field: getattr(credential, field) for field in changes}
            for field, value in changes.items():
                setattr(credential, field, value)
            credential.full_clean(validate_unique=False, validate_constraints=False)
            made = {f: [_plain(before[f]), _plain(v)] for f, v in changes.items() if before[f] != v}
            if made:
                credential._touch(actor)
                AuditEvent.record(credential.fleet, actor, "credential.change", credential, made)
        self.refresh_from_db()

    def remove(self, *, actor: Actor) -> None:
        """Delete the credential and all versions of its secret. Raises CredentialInUse while a vehicle uses it."""
        with transaction.atomic():
            # The lock keeps vehicles from being added meanwhile: their foreign key waits for it.
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            if count := credential.vehicles.count():
                raise CredentialInUse(credential, count)
            gone = {field: [value, None] for field, (_before, value) in credential.facts().items()}
            AuditEvent.record(credential.fleet, actor, "credential.remove", credential, gone)
            credential.delete()

    def facts(self) -> dict[str, list[Any]]:
        """What an audit event tells of a new credential."""
        return {
            "brand": [None, self.brand],
            "identifier": [None, self.identifier],
            "settings": [None, self.settings],
            "ends_on": [None, _plain(self.ends_on)],
        }

    def _touch(self, actor: Actor) -> None:
        self.changed_at, self.changed_by = timezone.now(), actor.label
        self.save()


class CredentialSecret(models.Model):
    """One version of a credential's secret, sealed. Never on the row that lists read."""

    credential = models.ForeignKey(Credential, models.CASCADE, related_name="secrets")
    version = models.PositiveIntegerField(_("version"))
    value = SealedTextField(null=True, editable=False)
    fingerprints = ArrayField(models.CharField(max_length=64), default=list, editable=False)
    is_current = models.BooleanField(default=True, editable=False)
    added_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    added_by = models.CharField(max_length=254, editable=False)
    erase_after = models.DateTimeField(null=True, editable=False)
    erased_at = models.DateTimeField(_("erased"), null=True, editable=False)

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

    @classmethod
    def add(cls, credential: Credential, secret: Mapping[str, str], *, version: int, actor: Actor) -> CredentialSecret:
        """Seal the brand's secret fields as a new current version; the caller has retired the former one."""
        return cls.objects.create(
            credential=credential,
            version=version,
            value=seal(
                json.dumps(secret, ensure_ascii=False, sort_keys=True),
                cls.owner(credential.pk, version),
            ),
            fingerprints=[fingerprint(value, f"fleet:{credential.fleet_id}") for value in secret.values()],
            added_by=actor.label,
        )

    @staticmethod
    def owner(credential_id: str, version: int) -> str:
        """What a sealed value is bound to."""
        return f"credentialsecret:{credential_id}:{version}"

    def open(self) -> dict[str, str]:
        """The brand's secret fields in plain text: only for a sign-in or a release.

        Raises SealError on a wrong key or a moved ciphertext, and when this version was erased.
        """
        sealed = CredentialSecret.objects.values_list("value", flat=True).get(pk=self.pk)
        if sealed is None:
            raise SealError(_("This version was erased."))
        opened: dict[str, str] = json.loads(sealed.open(self.owner(self.credential_id, self.version)))
        return opened


def _shared_brand(text: str) -> brands.Brand:
    """The brand, if it takes shared credentials. Raises ValidationError that says what it needs instead."""
    try:
        oem = brands.find(text)
    except brands.UnknownBrand as error:
        raise ValidationError({"brand": str(error)}) from None
    if oem.kind == "individual":
        words = _("%(brand)s takes no shared credential: each vehicle has the password of its own unit.")
        raise ValidationError({"brand": words % {"brand": oem.name}})
    if oem.kind == "none":
        raise ValidationError({"brand": _("%(brand)s needs no credential.") % {"brand": oem.name}})
    return oem


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
