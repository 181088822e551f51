"""OEM credentials and the versions of their secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials.models.checkable import SecretRefused, Status
from credentials.models.notice import Notice
from credentials.models.queryset import CredentialQuerySet
from credentials.models.rotatable import NothingToRevertTo, ReplacedMeanwhile, refuse_past
from credentials.models.secret import CredentialSecret
from credentials.models.usable import Loan, OemToken, SignInFailed, TooManyWait, Usable
from credentials.models.webhook import Webhook
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.db import rules
from fleetcontrol.db.ids import new_id
from fleetcontrol.db.writing import insert
from fleetcontrol.people.models import Fleet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = [
    "Credential",
    "CredentialInUse",
    "CredentialSecret",
    "Loan",
    "NothingToRevertTo",
    "Notice",
    "OemToken",
    "ReplacedMeanwhile",
    "SecretRefused",
    "SignInFailed",
    "Status",
    "TooManyWait",
    "Webhook",
]


class CredentialInUse(Exception):
    """A credential that vehicles use cannot be deleted. `count` is how many vehicles use it."""

    def __init__(self, credential: Credential, count: int) -> None:
        self.credential = credential
        self.count = count
        super().__init__(f"{count} vehicles use {credential.name}")


class Credential(Usable):
    """What an OEM issued so that its telematics units can be reached; shared by all vehicles that refer to it.

    Brand, identifier, name and fleet never change (a trigger holds it); only the secret is replaced.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(
        Fleet, models.PROTECT, verbose_name=_("fleet"), related_name="credentials", db_index=False
    )  # the unique rule's index begins with it
    name = models.CharField(_("name"), max_length=100, validators=[ProhibitNullCharactersValidator()])
    brand = models.CharField(_("brand"), max_length=40)
    identifier = models.CharField(_("identifier"), max_length=254, blank=True)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True, validators=[ProhibitNullCharactersValidator()])
    ends_on = models.DateField(_("ends on"), null=True, blank=True)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    created_by = models.CharField(max_length=254, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=254, editable=False)

    objects: ClassVar[CredentialQuerySet] = CredentialQuerySet.as_manager()  # type: ignore[assignment]  # a manager of it

    notes: Sequence[str] = ()  # what `add` has to say of a new one; not stored

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
        return brands.stored(self.brand)

    @property
    def short_identifier(self) -> str:
        """The identifier for lists, shortened in the middle: 7f3c2a90…91ab."""
        text = self.identifier
        return text if len(text) <= 20 else f"{text[:8]}…{text[-4:]}"

    @property
    def readable_settings(self) -> list[tuple[StrOrPromise, StrOrPromise]]:
        """The brand's settings as label and value in words, those that are set."""
        found = ((one.label, one.in_words(str(self.settings.get(one.key, "")))) for one in self.oem.settings_fields)
        return [(label, value) for label, value in found if value]

    @property
    def environment(self) -> str:
        """What was chosen for it in words, such as "Production, Europe"; names and addresses are no environment."""
        choices = (one for one in self.oem.settings_fields if one.kind is brands.Kind.CHOICE)
        found = (str(one.in_words(str(self.settings.get(one.key, "")))) for one in choices)
        return ", ".join(value for value in found if value)

    @classmethod
    @sensitive_variables()
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
        check: bool = False,
    ) -> Credential:
        """A new credential with version 1 of its secret; what a person should know of it is in `notes`.

        `values` are the brand's own fields as typed, such as client_id and client_secret. With `check`, the OEM is
        asked first, and nothing is saved unless they work or the brand cannot be checked.
        Raises ValidationError with the brand's fields, `name`, `brand`, `note` or `ends_on` as keys, and SecretRefused.
        """
        oem = shared_brand(brand)
        credential = cls(fleet=fleet, brand=oem.id, name=name.strip(), note=note.strip(), ends_on=ends_on)
        credential.created_by = credential.changed_by = actor.label
        cleaned, errors = credential._fill(values, ends_on)
        rules.check(credential, errors)
        if check:
            if broken := rules.broken(credential):
                raise ValidationError(dict(broken))
            credential.settle(credential.try_secret(cleaned.secret))
        with rules.worded(credential):
            insert(credential)
            cleaned = replace(cleaned, ends_on=credential.ends_on)
            secret = CredentialSecret.add(credential, cleaned, version=1, actor=actor)
            AuditEvent.record(fleet, actor, "credential.add", credential, credential.facts())
        credential.notes = [*map(str, cleaned.notes), *credential.likenesses(secret)]
        return credential

    @sensitive_variables()
    def _fill(self, values: Mapping[str, str], ends_on: date | None) -> tuple[brands.Cleaned, rules.Errors]:
        """Take over what the brand's fields say; gives that, with the secret, and everything that is wrong in it."""
        cleaned = brands.Cleaned()
        errors: rules.Errors = {}
        try:
            refuse_past(ends_on)
        except ValidationError as error:
            errors |= error.error_dict
        try:
            cleaned = self.oem.clean(values)
            self.identifier, self.settings = cleaned.identifier, dict(cleaned.settings)
            self.ends_on = ends_on or cleaned.ends_on
        except ValidationError as error:
            errors |= error.error_dict
        return cleaned, errors

    def change(self, *, actor: Actor, **changes: Any) -> None:
        """Change the note or the end date, or give `settings` that were left empty, such as the address to sign in at.

        Raises ValidationError for anything else: a different client ID is a different credential.
        """
        for field in changes.keys() - {"note", "ends_on", "settings"}:
            raise ValidationError({field: _("This cannot be changed. A different value is a different credential.")})
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            before = {field: getattr(credential, field) for field in changes}
            if before.get("ends_on") != changes.get("ends_on"):
                refuse_past(changes["ends_on"])
            if "settings" in changes:
                changes["settings"] = credential._completed(changes["settings"])
            for field, value in changes.items():
                setattr(credential, field, value)
            credential.full_clean(validate_unique=False, validate_constraints=False)
            made = {f: [_plain(before[f]), _plain(v)] for f, v in changes.items() if before[f] != v}
            if made:
                credential.changed_at, credential.changed_by = timezone.now(), actor.label
                credential.save()
                # The end date is that of the secret in use: after a revert the other version has its own.
                credential.secrets.filter(is_current=True).update(ends_on=credential.ends_on)
                AuditEvent.record(credential.fleet, actor, "credential.change", credential, made)
        self.refresh_from_db()

    def _completed(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The settings with those given that were empty. Raises ValidationError with their keys."""
        errors, completed = {}, dict(self.settings)
        fields = {one.key: one for one in self.oem.settings_fields}
        for key, value in settings.items():
            if key not in fields or completed.get(key):
                words = _("This cannot be changed. A different value is a different credential.")
                errors[key] = ValidationError(words)
                continue
            try:
                completed[key] = fields[key].clean(value)
            except ValidationError as error:
                errors[key] = error
        if errors:
            raise ValidationError(dict(errors))
        return {key: value for key, value in completed.items() if value}

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

    def likenesses(self, secret: CredentialSecret) -> list[str]:
        """Notes on other credentials of the fleet with the same identifier or a secret field of the same value."""
        others = type(self).objects.filter(fleet=self.fleet_id).exclude(pk=self.pk)
        same_account = others.filter(brand=self.brand, identifier=self.identifier) if self.identifier else others.none()
        same_secret = others.filter(secrets__fingerprints__overlap=secret.fingerprints, secrets__erased_at=None)
        notes = []
        for other in same_account[:3]:
            words = gettext("%(credential)s uses this %(field)s too.")
            field = self.oem.identifier_field
            notes.append(words % {"credential": other.name, "field": field.label if field else ""})
        for other in same_secret.distinct()[:3]:
            notes.append(gettext("%(credential)s holds the same secret.") % {"credential": other.name})
        return notes


def shared_brand(text: str) -> brands.Brand:
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
