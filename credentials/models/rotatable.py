"""Replacing a credential's secret without an outage, and going back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from credentials.models.checkable import Checkable
from credentials.models.secret import CredentialSecret, SecretQuerySet, fingerprints_of
from credentials.oem.sign_in import Verdict
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.seal import Sealed

FORMER_VERSION_KEPT = timedelta(hours=24)
REASONS = ("planned", "expires", "leaked")


class ReplacedMeanwhile(Exception):
    """Somebody else replaced the secret first; `version` is theirs, now in use."""

    def __init__(self, version: CredentialSecret) -> None:
        self.version = version
        super().__init__(version.version)

    def __str__(self) -> str:
        words = _("%(person)s replaced this secret meanwhile. Version %(version)s is in use.")
        return words % {"person": self.version.added_by, "version": self.version.version}


class NothingToRevertTo(Exception):
    """The former version is erased, or there never was one."""

    def __str__(self) -> str:
        return _("There is no earlier version to go back to: it was erased.")


def refuse_past(ends_on: date | None) -> None:
    """Raises ValidationError when a secret would have ended before it is stored."""
    if ends_on and ends_on < timezone.localdate():
        raise ValidationError({"ends_on": _("This day is over. Give a day from today on.")})


class Rotatable(Checkable):
    """A current version of the secret, and for 24 hours the one before it."""

    if TYPE_CHECKING:
        fleet_id: int
        brand: models.CharField[str, str]
        ends_on: models.DateField[date | None, date | None]
        changed_at: models.DateTimeField[datetime, datetime]
        changed_by: models.CharField[str, str]
        secrets: SecretQuerySet

    class Meta:
        abstract = True

    @property
    def secret(self) -> CredentialSecret:
        """The version of the secret that is in use."""
        return self.secrets.get(is_current=True)

    @property
    def former_secret(self) -> CredentialSecret | None:
        """The version that `revert` goes back to, while it is kept."""
        former = self.secrets.filter(is_current=False, erased_at=None).first()
        return former if former and former.can_return else None

    @sensitive_variables()
    def rotate(
        self,
        *,
        actor: Actor,
        values: Mapping[str, str],
        check: bool = False,
        ends_on: date | None = None,
        why: str = "",
        over: int | None = None,
    ) -> CredentialSecret:
        """Put a new version of the secret in the place of the current one, which is kept for 24 hours.

        With `check`, the OEM is asked first, and only a secret that works takes over (or one of a brand that cannot be
        checked). `ends_on` belongs to the new version; a certificate tells it by itself. `why` is one of REASONS: a
        leaked secret is erased at once. `over` is the version that the person saw and means to replace.

        Raises ValidationError with the brand's secret fields as keys, SecretRefused, ReplacedMeanwhile; nothing is
        changed then.
        """
        if not self.oem.secret_fields:
            words = _("The brand %(brand)s is no longer in the catalogue, so its secrets cannot be replaced.")
            raise ValidationError({"brand": words % {"brand": self.brand}})
        cleaned = self.oem.clean(values, partial=True)
        refuse_past(ends_on)
        if ends_on:
            cleaned = replace(cleaned, ends_on=ends_on)
        seen = self.secret.version if over is None else over
        self._refuse_same(cleaned.secret)
        verdict = self.try_secret(cleaned.secret) if check else None
        with transaction.atomic():
            credential, current = self._locked_at(seen)
            credential._retire(current, keep=why != "leaked")
            version = credential.secrets.order_by("-version").values_list("version", flat=True)[0] + 1
            secret = CredentialSecret.add(credential, cleaned, version=version, actor=actor)
            changes: dict[str, Any] = {"version": [current.version, secret.version]}
            if why:
                changes["reason"] = [None, why]
            credential._took_over(secret, verdict, actor, "credential.rotate", changes)
        self.refresh_from_db()
        return secret

    def revert(self, *, actor: Actor, over: int | None = None) -> CredentialSecret:
        """Go back to the former version in one step; the one in use until now is kept for 24 hours in its place.

        Raises NothingToRevertTo, ReplacedMeanwhile; nothing is changed then.
        """
        seen = self.secret.version if over is None else over
        with transaction.atomic():
            credential, current = self._locked_at(seen)
            former = credential.former_secret
            if former is None:
                raise NothingToRevertTo
            # The constraints allow one former version at a time, so the current one is out of the way for a moment.
            aside = CredentialSecret.objects.values_list("value", flat=True).get(pk=current.pk)
            credential._retire(current, keep=False, also_former=False)
            credential.secrets.filter(pk=former.pk).update(is_current=True, erase_after=None)
            credential._put_back(current, aside)
            former.refresh_from_db()
            changes = {"version": [current.version, former.version]}
            credential._took_over(former, None, actor, "credential.revert", changes)
        self.refresh_from_db()
        return former

    def _locked_at(self, version: int) -> tuple[Self, CredentialSecret]:
        """This credential, locked, and its current secret, if that is still the version. Raises ReplacedMeanwhile."""
        locked = type(self)._default_manager.select_for_update().get(pk=self.pk)
        current = locked.secret
        if current.version != version:
            raise ReplacedMeanwhile(current)
        return locked, current

    def _retire(self, current: CredentialSecret, *, keep: bool, also_former: bool = True) -> None:
        if also_former:
            self.secrets.filter(is_current=False).erase()
        if keep:
            until = timezone.now() + FORMER_VERSION_KEPT
            self.secrets.filter(pk=current.pk).update(is_current=False, erase_after=until)
        else:
            self.secrets.filter(pk=current.pk).update(is_current=False, value=None, erased_at=timezone.now())

    def _put_back(self, version: CredentialSecret, value: Sealed | None) -> None:
        until = timezone.now() + FORMER_VERSION_KEPT
        self.secrets.filter(pk=version.pk).update(value=value, erased_at=None, erase_after=until)

    def _took_over(
        self, secret: CredentialSecret, verdict: Verdict | None, actor: Actor, action: str, changes: Mapping[str, Any]
    ) -> None:
        self.settle(verdict)
        self.ends_on = secret.ends_on
        self.changed_at, self.changed_by = timezone.now(), actor.label
        self.save()
        AuditEvent.record(self.fleet, actor, action, self, changes)

    def _refuse_same(self, secret: Mapping[str, str]) -> None:
        if set(self.secret.fingerprints) == set(fingerprints_of(secret, self.fleet_id)):
            field = self.oem.secret_fields[0].key
            words = _("This is the secret that is in use already.")
            raise ValidationError({field: ValidationError(words, code="same_secret")})
