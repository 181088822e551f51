"""Whether a credential works: what its last check said, since when, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MethodType
from typing import TYPE_CHECKING, Any, Protocol, overload

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials.brands.schema import Brand
from credentials.oem.sign_in import Outcome, Verdict, explain, sign_in
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealError

if TYPE_CHECKING:
    from credentials.models.secret import CredentialSecret

# An OEM that does not answer once has had a bad moment; three times in a row is a state.
SILENT_TIMES = 3
_USE_KEPT_EXACT_TO = timedelta(minutes=1)


class Status(models.TextChoices):
    UNCHECKED = "UNCHECKED", _("Not checked")
    WORKING = "WORKING", _("Working")
    REJECTED = "REJECTED", _("Sign-in rejected")
    UNREACHABLE = "UNREACHABLE", _("Not reachable")
    SCOPES_MISSING = "SCOPES_MISSING", _("Permissions missing")
    PENDING = "PENDING", _("Pending")
    REVOKED = "REVOKED", _("Revoked")


class SecretRefused(Exception):
    """A secret was to be used only if it works, and it does not; nothing was changed. `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.code)

    def __str__(self) -> str:
        return self.verdict.reason


class _CheckOfInstance:
    """The verb on an instance; on the class Django's own `Model.check`, which its system checks insist on."""

    def __init__(self, verb: Callable[..., Verdict]) -> None:
        self.verb = verb

    @overload
    def __get__(self, instance: None, owner: type[Checkable]) -> Callable[..., list[Any]]: ...
    @overload
    def __get__(self, instance: models.Model, owner: type[Checkable]) -> _CheckVerb: ...
    def __get__(self, instance: models.Model | None, owner: type[Checkable]) -> Any:
        return super(Checkable, owner).check if instance is None else MethodType(self.verb, instance)


class _CheckVerb(Protocol):
    def __call__(self, *, actor: Actor) -> Verdict: ...


class Checkable(models.Model):
    """`status_reason` is a key of sign_in.REASONS, so that it can be said in the reader's language."""

    status = models.CharField(_("connection"), max_length=14, choices=Status, default=Status.UNCHECKED, editable=False)
    status_reason = models.CharField(max_length=40, blank=True, editable=False)
    status_details = models.JSONField(default=dict, encoder=DjangoJSONEncoder, editable=False)
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    silences = models.PositiveSmallIntegerField(default=0, editable=False)
    checked_at = models.DateTimeField(_("checked"), null=True, editable=False)
    next_check_at = models.DateTimeField(null=True, editable=False)
    last_worked_at = models.DateTimeField(_("last worked"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)

    if TYPE_CHECKING:
        fleet: models.ForeignKey[Fleet, Fleet]
        identifier: models.CharField[str, str]
        settings: models.JSONField[dict[str, str], dict[str, str]]

        @property
        def oem(self) -> Brand: ...
        @property
        def secret(self) -> CredentialSecret: ...

    class Meta:
        abstract = True

    @property
    def status_detail(self) -> str:
        """Why the status is what it is, in the reader's language."""
        return explain(self.status_reason, self.oem, self.status_details)

    @property
    def can_be_checked(self) -> bool:
        """Whether the brand has a public sign-in and the credential the settings that it needs."""
        how = self.oem.sign_in
        return how is not None and all(self.settings.get(key) for key in how.needs)

    def _check(self, *, actor: Actor) -> Verdict:
        """Sign in with the current secret, keep status and reason, and give the verdict with the OEM's token in it.

        Takes up to 10 seconds, in which nothing is locked: if the secret is replaced meanwhile, it is not kept.
        """
        secret = self.secret
        verdict = self._ask(secret)
        self._keep(verdict, secret.version, actor)
        return verdict

    check = _CheckOfInstance(_check)  # type: ignore[assignment]  # see there

    def record_use(self) -> None:
        """Note that the secret or a token was handed out now, exact to a minute so that busy clients do not queue."""
        now = timezone.now()
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USE_KEPT_EXACT_TO)
        type(self)._default_manager.filter(stale, pk=self.pk).update(last_used_at=now)

    @sensitive_variables()
    def try_secret(self, secret: Mapping[str, str]) -> Verdict:
        """Sign in with a secret that is not stored (yet). Raises SecretRefused unless it works or cannot be checked."""
        verdict = sign_in(self.oem, self.identifier, self.settings, secret)
        if verdict.outcome not in (Outcome.WORKS, Outcome.CANNOT_CHECK):
            raise SecretRefused(verdict)
        return verdict

    def settle(self, verdict: Verdict | None) -> bool:
        """Take over what a verdict on the current secret means, without saving; True if the status became another.

        None means that a secret took over unchecked.
        """
        before = self.status
        if verdict is None:
            self._become(Status.UNCHECKED)
            self.status_reason, self.status_details, self.silences, self.checked_at = "", {}, 0, None
            self.next_check_at = None
            return self.status != before
        now = timezone.now()
        self.status_reason, self.status_details = verdict.code, dict(verdict.details)
        if verdict.outcome is Outcome.CANNOT_CHECK:
            return False
        self.checked_at = now
        if verdict.outcome is Outcome.NO_ANSWER:
            self.silences += 1
            # A refusal is the worse news and stays until the OEM says something else.
            if self.silences >= SILENT_TIMES and self.status not in (Status.REJECTED, Status.SCOPES_MISSING):
                self._become(Status.UNREACHABLE)
            return self.status != before
        self.silences = 0
        if verdict.outcome is Outcome.WORKS:
            self.last_worked_at = now
        self._become(_STATUS_OF[verdict.outcome])
        return self.status != before

    @sensitive_variables()
    def _ask(self, secret: CredentialSecret) -> Verdict:
        try:
            opened = secret.open()
        except SealError:
            return Verdict(Outcome.CANNOT_CHECK, self.oem, "sealed")
        return sign_in(self.oem, self.identifier, self.settings, opened)

    def _keep(self, verdict: Verdict, version: int, actor: Actor) -> None:
        """Save what the verdict on this version means, unless another version took over or the credential is gone."""
        with transaction.atomic():
            stored = type(self)._default_manager.select_for_update().filter(pk=self.pk).first()
            if stored is None or stored.secret.version != version:
                return
            before = stored.status
            changed = stored.settle(verdict)
            stored.save(update_fields=CHECK_FIELDS)
            # FleetControl's own rounds leave an event only where something became different.
            if changed or actor.kind != "system":
                changes = {"status": [before, stored.status], "reason": [None, verdict.code]}
                AuditEvent.record(stored.fleet, actor, "credential.check", stored, changes)
        self.refresh_from_db()

    def _become(self, status: Status) -> None:
        if self.status != status:
            self.status, self.status_since = status, timezone.now()


CHECK_FIELDS = (
    "status", "status_reason", "status_details", "status_since", "silences", "checked_at", "last_worked_at",
)  # fmt: skip
_STATUS_OF = {
    Outcome.WORKS: Status.WORKING,
    Outcome.REFUSED: Status.REJECTED,
    Outcome.SCOPES_MISSING: Status.SCOPES_MISSING,
}
