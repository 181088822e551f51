"""OEM credentials: everything that can be asked of them and done with them.

A sign-in takes up to 10 seconds. No row is locked meanwhile, so each verb that signs in looks again afterwards whether
the secret it used is still the one in use.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from credentials import brands
from credentials.models.secret import CredentialSecret, fingerprints_of
from credentials.models.token import REPORT_AGAIN_AFTER, OemToken
from credentials.oem.sign_in import LIFE_IF_NOT_UNDERSTOOD, sign_in
from credentials.oem.verdict import NOT_ASKED, Outcome, SecretToken, Verdict, explain
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.audit.versions import require_version
from fleetcontrol.db import rules
from fleetcontrol.db.clock import database_now, database_today
from fleetcontrol.db.ids import new_id
from fleetcontrol.db.texts import UNTIDY, PlainLines, PlainText, is_tidy
from fleetcontrol.db.writing import insert
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SHORTEST_FOUND, Sealed, SealError

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ATTENTION_BEFORE_END = timedelta(days=30)
IDLE_AFTER = timedelta(days=90)
FORMER_VERSION_KEPT = timedelta(hours=24)
# One missing answer is a bad moment of the OEM. Three in a row are a state.
SILENT_TIMES = 3
_LAST_USE_PRECISION = timedelta(minutes=1)

# After a failed sign-in the OEM is not asked again for this long, lest a busy client get its account locked. If the
# OEM names a longer time, that one counts, up to the limit.
_PAUSE_AFTER_FAILURE = timedelta(seconds=10)
_LONGEST_PAUSE = timedelta(minutes=10)

# "OEMT": the first number of the advisory lock of a sign-in; the second is a hash of the credential's id. The import's
# lock (fleetcontrol/imports/load.py) has a first number of its own, the audit chain's takes one 64-bit number.
SIGN_IN_LOCK = 0x4F454D54
# Each waiter holds a web thread and a connection, so cap them lest a slow OEM use them all up.
MOST_WAITING = 16
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = %s::oid
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Status(models.TextChoices):
    UNCHECKED = "UNCHECKED", _("Not checked")
    WORKING = "WORKING", _("Working")
    REJECTED = "REJECTED", _("Sign-in rejected")
    UNREACHABLE = "UNREACHABLE", _("Not reachable")
    SCOPES_MISSING = "SCOPES_MISSING", _("Permissions missing")
    PENDING = "PENDING", _("Pending")
    REVOKED = "REVOKED", _("Revoked")


TROUBLED = (Status.REJECTED, Status.REVOKED, Status.SCOPES_MISSING, Status.UNREACHABLE)  # worst first
_STATUS_OF = {
    Outcome.WORKS: Status.WORKING,
    Outcome.REFUSED: Status.REJECTED,
    Outcome.SCOPES_MISSING: Status.SCOPES_MISSING,
}


class CredentialInUse(Exception):
    """A credential that vehicles use cannot be deleted. `count` is how many vehicles use it."""

    def __init__(self, credential: Credential, count: int) -> None:
        self.credential = credential
        self.count = count
        super().__init__(f"{count} vehicles use {credential.name}")


class SecretRefused(Exception):
    """A secret was to be used only if it works, and it does not; nothing was changed. `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.code)

    def __str__(self) -> str:
        return self.verdict.reason


class ReplacedMeanwhile(Exception):
    """Somebody else replaced the secret first; `version` is theirs, now in use."""

    def __init__(self, version: CredentialSecret) -> None:
        self.version = version
        super().__init__(version.version)

    def __str__(self) -> str:
        words = gettext("%(person)s replaced this secret meanwhile. Version %(version)s is in use.")
        return words % {"person": self.version.added_by, "version": self.version.version}


class NothingToRevertTo(Exception):
    """The former version is erased, or there never was one."""

    def __str__(self) -> str:
        return gettext("There is no earlier version to go back to: it was erased.")


class SignInFailed(Exception):
    """The OEM gave no token. It is not asked again before `until`, which is None if FleetControl cannot sign in."""

    def __init__(self, reason: str, until: datetime | None) -> None:
        self.reason, self.until = reason, until
        super().__init__(reason)


class ReportedTooSoon(Exception):
    """A program reports a token again soon after a report caused a sign-in. The next may at `until`."""

    def __init__(self, until: datetime) -> None:
        self.until = until
        super().__init__(until)


class TooManyWait(Exception):
    """Too many requests wait for a sign-in already. A moment later there may be a token."""


@dataclass(frozen=True, slots=True)
class Loan:
    """A token of the OEM, and when it ends."""

    token: SecretToken
    ends_at: datetime

    @sensitive_variables()
    def is_of(self, token: str) -> bool:
        """Whether this is the token that is lent."""
        return hmac.compare_digest(self.token.reveal().encode(), token.encode(errors="surrogatepass"))


class CredentialQuerySet(models.QuerySet["Credential"]):
    def needing_attention(self) -> Self:
        """Credentials that do not work, leaked, or end within ATTENTION_BEFORE_END; "not checked" alone is no alarm."""
        return self.filter(self._needs_attention())

    def with_needs_attention(self) -> Self:
        """With `needs_attention`: whether the credential is one of `needing_attention`."""
        return self.annotate(needs_attention=_as_boolean(self._needs_attention()))

    def used(self) -> Self:
        """Credentials that at least one vehicle uses."""
        return self.filter(self._is_used())

    def unused(self) -> Self:
        """Credentials that no vehicle uses."""
        return self.filter(~self._is_used())

    def idle(self) -> Self:
        """Unused credentials older than IDLE_AFTER that were not handed out to a program for as long."""
        return self.filter(self._is_idle())

    def with_idle(self) -> Self:
        """With `is_idle`: whether the credential is one of `idle`."""
        return self.annotate(is_idle=_as_boolean(self._is_idle()))

    def with_current_secret(self) -> Self:
        """With `current_secrets`: a list that holds the version in use, without its sealed value."""
        current = CredentialSecret.objects.filter(is_current=True).defer("value")
        return self.prefetch_related(models.Prefetch("secrets", current, "current_secrets"))

    def _needs_attention(self) -> Q:
        soon = database_today() + ATTENTION_BEFORE_END
        return Q(status__in=TROUBLED) | Q(ends_on__lte=soon) | Q(status_reason="sealed") | Q(leaked_at__isnull=False)

    def _is_idle(self) -> Q:
        long_ago = database_now() - IDLE_AFTER
        not_handed_out = Q(last_used_at=None) | Q(last_used_at__lt=long_ago)
        return not_handed_out & Q(created_at__lt=long_ago) & ~self._is_used()  # the expensive condition last

    def _is_used(self) -> Q:
        # Through the reverse relation, because this app does not import the vehicles.
        vehicles = self.model._meta.get_field("vehicles").related_model
        return Q(models.Exists(vehicles._default_manager.filter(credential=models.OuterRef("pk"))))


def _as_boolean(condition: Q) -> models.Case:
    """The condition as a column, false where the condition is NULL."""
    return models.Case(models.When(condition, then=models.Value(True)), default=models.Value(False))  # noqa: FBT003 - SQL's


class Credential(models.Model):
    """What an OEM issued so that its telematics units can be reached; shared by all vehicles that refer to it.

    Brand, identifier, name and fleet never change (a trigger holds that); only the secret is replaced.

    `status_reason` is a key of `credentials.oem.verdict.REASONS`, so that it can be said in the reader's language.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(
        Fleet, models.PROTECT, verbose_name=_("fleet"), related_name="credentials", db_index=False
    )  # no index of its own: that of credential_name_unique_in_fleet begins with it
    name = PlainText(_("name"), max_length=100)
    brand = models.CharField(_("brand"), max_length=40)
    identifier = models.CharField(_("identifier"), max_length=254, blank=True)
    settings = models.JSONField(_("settings"), default=dict, blank=True)
    note = PlainLines(_("note"), max_length=500, blank=True)
    ends_on = models.DateField(_("ends on"), null=True, blank=True)
    status = models.CharField(_("connection"), max_length=14, choices=Status, default=Status.UNCHECKED, editable=False)
    status_reason = models.CharField(max_length=40, blank=True, editable=False)
    status_details = models.JSONField(default=dict, encoder=DjangoJSONEncoder, editable=False)
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    silences = models.PositiveSmallIntegerField(default=0, editable=False)
    checked_at = models.DateTimeField(_("checked"), null=True, editable=False)
    next_check_at = models.DateTimeField(null=True, editable=False)
    last_worked_at = models.DateTimeField(_("last worked"), null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    leaked_at = models.DateTimeField(_("secret leaked"), null=True, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now, editable=False)
    created_by = models.CharField(max_length=254, editable=False)
    changed_at = models.DateTimeField(_("changed"), default=timezone.now, editable=False)
    changed_by = models.CharField(max_length=254, editable=False)

    objects = CredentialQuerySet.as_manager()

    notes: Sequence[str] = ()  # what `add` has to say of a new credential; not stored
    is_idle: bool  # only after `with_idle`
    current_secrets: list[CredentialSecret]  # only after `with_current_secret`

    field_of_rule: ClassVar[dict[str, str]] = {
        "credential_name_unique_in_fleet": "name",
        "credential_name_not_empty": "name",
        "credential_name_tidy": "name",
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
            models.CheckConstraint(
                condition=is_tidy("name"), name="credential_name_tidy", violation_error_message=UNTIDY
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
    def secret(self) -> CredentialSecret:
        """The version of the secret that is in use."""
        return self.secrets.get(is_current=True)

    @property
    def former_secret(self) -> CredentialSecret | None:
        """The version that `revert` goes back to, while it is kept."""
        former = self.secrets.filter(is_current=False, erased_at=None).first()
        return former if former and former.can_return else None

    @property
    def status_detail(self) -> str:
        """Why the status is what it is, in the reader's language."""
        return explain(self.status_reason, self.oem, self.status_details)

    @property
    def can_be_checked(self) -> bool:
        """Whether the brand has a public sign-in and the credential has the settings that it needs."""
        declared = self.oem.sign_in
        return declared is not None and all(self.settings.get(key) for key in declared.needs)

    @property
    def short_identifier(self) -> str:
        """The identifier for lists, shortened in the middle: 7f3c2a90…91ab."""
        text = self.identifier
        return text if len(text) <= 20 else f"{text[:8]}…{text[-4:]}"

    @property
    def readable_settings(self) -> list[tuple[StrOrPromise, StrOrPromise]]:
        """Label and value, in words, of each of the brand's settings that has a value."""
        pairs = ((one.label, one.in_words(str(self.settings.get(one.key, "")))) for one in self.oem.settings_fields)
        return [(label, value) for label, value in pairs if value]

    @property
    def environment(self) -> str:
        """The settings that are choices, in words, such as "Production, Europe"; leaves out names and addresses."""
        choices = (one for one in self.oem.settings_fields if one.kind is brands.Kind.CHOICE)
        values = (str(one.in_words(str(self.settings.get(one.key, "")))) for one in choices)
        return ", ".join(value for value in values if value)

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
        verify_first: bool = False,
    ) -> Credential:
        """Add a credential with version 1 of its secret. Its `notes` hold what a person should know of it.

        `values` are the brand's own fields as typed, such as client_id and client_secret. With `verify_first`, sign in
        before saving, and save only if that works or the brand cannot be checked.
        Raises ValidationError with the brand's fields, `name`, `brand`, `note` or `ends_on` as keys, and SecretRefused.
        """
        oem = shared_brand(brand)
        credential = cls(fleet=fleet, brand=oem.id, name=name.strip(), note=note.strip(), ends_on=ends_on)
        credential.created_by = credential.changed_by = actor.label
        cleaned, errors = credential._fill(values, ends_on)
        rules.require_valid(credential, errors)
        if verify_first:
            if broken := rules.broken(credential):
                raise ValidationError(dict(broken))
            credential.apply_verdict(credential.try_secret(cleaned.secret))
        with rules.worded(credential):
            insert(credential)
            cleaned = replace(cleaned, ends_on=credential.ends_on)
            secret = credential._add_secret(cleaned, version=1, actor=actor)
            changes = {field: [None, value] for field, value in credential._audited_facts().items()}
            AuditEvent.record(fleet, actor, "credential.add", credential, changes)
        credential.notes = [*map(str, cleaned.notes), *credential._notes_on_similar(secret)]
        return credential

    def change(self, *, actor: Actor, expected_version: str | None = None, **changes: Any) -> None:
        """Change the note or the end date, or give `settings` that were left empty, such as the address to sign in at.

        `expected_version` is the version that the person saw. Raises ChangedMeanwhile, and ValidationError for anything
        else: a different client ID is a different credential.
        """
        for field in changes.keys() - {"note", "ends_on", "settings"}:
            raise ValidationError({field: _("This cannot be changed. A different value is a different credential.")})
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            require_version(credential, expected_version)
            before = {field: getattr(credential, field) for field in changes}
            if before.get("ends_on") != changes.get("ends_on"):
                _refuse_past(changes["ends_on"])
            if "settings" in changes:
                changes["settings"] = credential._with_missing_settings(changes["settings"])
            for field, value in changes.items():
                setattr(credential, field, value)
            credential.full_clean(validate_unique=False, validate_constraints=False)
            different = {f: [_as_json(before[f]), _as_json(v)] for f, v in changes.items() if before[f] != v}
            if different:
                credential.changed_at, credential.changed_by = database_now(), actor.label
                credential.save()
                # The end date belongs to the secret in use: after a revert the other version has its own.
                credential.secrets.filter(is_current=True).update(ends_on=credential.ends_on)
                AuditEvent.record(credential.fleet, actor, "credential.change", credential, different)
        self.refresh_from_db()

    @sensitive_variables()
    def rotate(
        self,
        *,
        actor: Actor,
        values: Mapping[str, str],
        verify_first: bool = False,
        ends_on: date | None = None,
        why: str = "",
        expected_version: int | None = None,
    ) -> CredentialSecret:
        """Replace the secret with a new version, and keep the former one for 24 hours.

        With `verify_first`, sign in with the new secret before anything changes, and go on only if that works or the
        brand cannot be checked. `ends_on` belongs to the new version; a certificate carries its own. `why` is planned,
        expires or leaked: a leaked secret is erased at once, and so is one that was reported as leaked before.
        `expected_version` is the version that the person saw and means to replace.

        Raises ValidationError with the brand's secret fields as keys, SecretRefused or ReplacedMeanwhile; then nothing
        has changed.
        """
        if not self.oem.secret_fields:
            words = gettext("The brand %(brand)s is no longer in the catalogue, so its secrets cannot be replaced.")
            raise ValidationError({"brand": words % {"brand": self.brand}})
        cleaned = self.oem.clean(values, partial=True)
        _refuse_past(ends_on)
        if ends_on:
            cleaned = replace(cleaned, ends_on=ends_on)
        expected = self.secret.version if expected_version is None else expected_version
        self._refuse_same(cleaned.secret)
        verdict = self.try_secret(cleaned.secret) if verify_first else None
        with transaction.atomic():
            credential, current = self._lock_at(expected)
            credential.secrets.filter(is_current=False).erase()
            why = "leaked" if credential.leaked_at else why
            credential.leaked_at = None
            if why == "leaked":
                credential._retire_erased(current)
            else:
                credential._retire_kept(current)
            version = credential.secrets.order_by("-version").values_list("version", flat=True)[0] + 1
            secret = credential._add_secret(cleaned, version=version, actor=actor)
            changes: dict[str, Any] = {"version": [current.version, secret.version]}
            if why:
                changes["reason"] = [None, why]
            credential._save_new_secret(secret, verdict, actor)
            AuditEvent.record(credential.fleet, actor, "credential.rotate", credential, changes)
        self.refresh_from_db()
        return secret

    def report_leak(self, *, actor: Actor, expected_version: int | None = None) -> None:
        """Note that the secret leaked, until the next `rotate`; a report of what is known already changes nothing.

        `expected_version` is the version that the person saw. If another one is in use meanwhile, nothing is noted.
        After a `revert` the note stays, because the version that leaked is kept and can come back.
        """
        with transaction.atomic():
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            version = credential.secret.version
            if credential.leaked_at or expected_version not in (None, version):
                return
            credential.leaked_at = database_now()
            credential.save(update_fields=["leaked_at"])
            AuditEvent.record(
                credential.fleet, actor, "credential.report_leak", credential, {"version": [None, version]}
            )
        self.refresh_from_db()

    def revert(self, *, actor: Actor, expected_version: int | None = None) -> CredentialSecret:
        """Go back to the former version in one step, and keep the one that was in use for 24 hours in its place.

        Raises NothingToRevertTo or ReplacedMeanwhile; then nothing has changed.
        """
        expected = self.secret.version if expected_version is None else expected_version
        with transaction.atomic():
            credential, current = self._lock_at(expected)
            former = credential.former_secret
            if former is None:
                raise NothingToRevertTo
            # The constraints allow one current and one former version. So erase the current one for a moment, and put
            # its value back once the former one has taken its place.
            value = CredentialSecret.objects.values_list("value", flat=True).get(pk=current.pk)
            credential._retire_erased(current)
            credential.secrets.filter(pk=former.pk).update(is_current=True, erase_after=None)
            credential._restore_as_former(current, value)
            former.refresh_from_db()
            changes = {"version": [current.version, former.version]}
            credential._save_new_secret(former, None, actor)
            AuditEvent.record(credential.fleet, actor, "credential.revert", credential, changes)
        self.refresh_from_db()
        return former

    def verify(self, *, actor: Actor) -> Verdict:
        """Sign in with the current secret, save status and reason, and return the verdict with the OEM's token in it.

        A token that is kept for programs is replaced by the new one, or dropped if the OEM refuses the secret.
        Takes up to 10 seconds. Nothing is locked meanwhile: if the secret is replaced, the verdict is not saved.
        """
        secret = self.secret
        verdict = self._sign_in_with(secret)
        self._save_verdict(verdict, secret.version, actor)
        return verdict

    @sensitive_variables()
    def try_secret(self, secret: Mapping[str, str]) -> Verdict:
        """Sign in with a secret that is not stored (yet). Raises SecretRefused unless it works or cannot be checked."""
        verdict = sign_in(self.oem, self.identifier, self.settings, secret)
        if verdict.outcome not in (Outcome.WORKS, Outcome.CANNOT_CHECK):
            raise SecretRefused(verdict)
        return verdict

    def apply_verdict(self, verdict: Verdict) -> bool:
        """Set status and reason to what a verdict on the current secret means, without saving (see VERDICT_FIELDS).

        Returns whether the status changed.
        """
        before = self.status
        now = database_now()
        self.status_reason, self.status_details = verdict.code, dict(verdict.details)
        if verdict.outcome is Outcome.CANNOT_CHECK:
            return False
        self.checked_at = now
        if verdict.outcome is Outcome.NO_ANSWER:
            self.silences += 1
            # A refusal is the worse news and stays until the OEM says something else.
            if self.silences >= SILENT_TIMES and self.status not in (Status.REJECTED, Status.SCOPES_MISSING):
                self._set_status(Status.UNREACHABLE)
            return self.status != before
        self.silences = 0
        if verdict.outcome is Outcome.WORKS:
            self.last_worked_at = now
        self._set_status(_STATUS_OF[verdict.outcome])
        return self.status != before

    @sensitive_variables()
    def lend_token(
        self, *, actor: Actor, for_whom: Mapping[str, object] | None = None, refused_token: str = ""
    ) -> Loan:
        """Return the OEM's access token, from the last sign-in or from a new one, which takes up to 10 seconds.

        One sign-in serves everyone who waits for it, on whatever machine it happens, and its failure is shared too.
        `refused_token` is a token that the OEM no longer accepts. If it is the kept one, drop it and sign in again, at
        most once in REPORT_AGAIN_AFTER however many programs report it. For any other, return the kept one.
        `for_whom` goes into the audit event, such as the vehicle.
        Raises SignInFailed, ReportedTooSoon, TooManyWait, and ObjectDoesNotExist if the credential is deleted.
        """
        loan = self._stored_loan()
        if loan is None or loan.is_of(refused_token):
            loan = self._new_loan(actor, refused_token)
        with transaction.atomic():
            AuditEvent.record(self.fleet, actor, "credential.lend_token", self, dict(for_whom or {}))
            self.record_use()
        return loan

    @sensitive_variables()
    def release(self, *, actor: Actor, for_whom: Mapping[str, object] | None = None) -> dict[str, str]:
        """Return the secret fields in plain text, with an audit event each time. Raises SealError."""
        secret = self.secret
        opened = secret.open()
        with transaction.atomic():
            changes = {"version": [None, secret.version], **(for_whom or {})}
            AuditEvent.record(self.fleet, actor, "credential.release", self, changes)
            self.record_use()
        return opened

    def record_use(self) -> None:
        """Note that the secret or a token was handed out now, to the minute, so that busy clients do not queue."""
        now = database_now()
        is_old = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USE_PRECISION)
        Credential.objects.filter(is_old, pk=self.pk).update(last_used_at=now)

    def remove(self, *, actor: Actor) -> None:
        """Delete the credential and all versions of its secret. Raises CredentialInUse while a vehicle uses it."""
        with transaction.atomic():
            # While the row is locked no vehicle can be added to it: its foreign key waits for the lock.
            credential = Credential.objects.select_for_update().get(pk=self.pk)
            if count := credential.vehicles.count():
                raise CredentialInUse(credential, count)
            changes = {field: [value, None] for field, value in credential._audited_facts().items()}
            AuditEvent.record(credential.fleet, actor, "credential.remove", credential, changes)
            credential.delete()

    @sensitive_variables()
    def _fill(self, values: Mapping[str, str], ends_on: date | None) -> tuple[brands.Cleaned, rules.Errors]:
        """Set what the brand's fields say; returns them cleaned, secret included, and everything that is wrong."""
        cleaned = brands.Cleaned()
        errors: rules.Errors = {}
        try:
            _refuse_past(ends_on)
        except ValidationError as error:
            errors |= error.error_dict
        try:
            cleaned = self.oem.clean(values)
            self.identifier, self.settings = cleaned.identifier, dict(cleaned.settings)
            self.ends_on = ends_on or cleaned.ends_on
        except ValidationError as error:
            errors |= error.error_dict
        return cleaned, errors

    def _audited_facts(self) -> dict[str, Any]:
        """What the audit events of adding and deleting say of the credential."""
        return {
            "brand": self.brand,
            "identifier": self.identifier,
            "settings": self.settings,
            "ends_on": _as_json(self.ends_on),
        }

    def _notes_on_similar(self, secret: CredentialSecret) -> list[str]:
        """Notes on other credentials of the fleet with the same identifier or a secret field of the same value."""
        others = Credential.objects.filter(fleet=self.fleet_id).exclude(pk=self.pk)
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

    def _with_missing_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The settings, with those of `settings` that were empty. Raises ValidationError with the settings' keys."""
        errors, completed = {}, dict(self.settings)
        fields = {one.key: one for one in self.oem.settings_fields}
        for key, value in settings.items():
            if key in fields and value == completed.get(key):
                continue
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

    def _refuse_same(self, secret: Mapping[str, str]) -> None:
        """Raise ValidationError if the secret is the one in use."""
        is_same = set(self.secret.fingerprints) == set(fingerprints_of(secret, self.fleet_id))
        if min(map(len, secret.values())) < SHORTEST_FOUND:  # its fingerprint equals nothing; a wrong guess replaces it
            with suppress(SealError):
                is_same = self.secret.open() == dict(secret)
        if is_same:
            field = self.oem.secret_fields[0].key
            words = gettext("This is the secret that is in use already.")
            raise ValidationError({field: ValidationError(words, code="same_secret")})

    def _lock_at(self, version: int) -> tuple[Credential, CredentialSecret]:
        """Lock the row; returns it with its current secret. Raises ReplacedMeanwhile if that is another version."""
        locked = Credential.objects.select_for_update().get(pk=self.pk)
        current = locked.secret
        if current.version != version:
            raise ReplacedMeanwhile(current)
        return locked, current

    def _retire_kept(self, version: CredentialSecret) -> None:
        until = database_now() + FORMER_VERSION_KEPT
        self.secrets.filter(pk=version.pk).update(is_current=False, erase_after=until)

    def _retire_erased(self, version: CredentialSecret) -> None:
        self.secrets.filter(pk=version.pk).update(is_current=False, value=None, erased_at=database_now())

    def _restore_as_former(self, version: CredentialSecret, value: Sealed | None) -> None:
        until = database_now() + FORMER_VERSION_KEPT
        self.secrets.filter(pk=version.pk).update(value=value, erased_at=None, erase_after=until)

    @sensitive_variables()
    def _add_secret(self, cleaned: brands.Cleaned, *, version: int, actor: Actor) -> CredentialSecret:
        return CredentialSecret.add(
            credential_id=self.pk, fleet_id=self.fleet_id, cleaned=cleaned, version=version, actor=actor
        )

    def _save_new_secret(self, secret: CredentialSecret, verdict: Verdict | None, actor: Actor) -> None:
        """Save what a secret that has just become current means for the row. No verdict: it was not tried first."""
        if verdict is None:
            self._forget_verdict()
        else:
            self.apply_verdict(verdict)
        self.ends_on = secret.ends_on
        self.changed_at, self.changed_by = database_now(), actor.label
        self.save()

    def _forget_verdict(self) -> None:
        self._set_status(Status.UNCHECKED)
        self.status_reason, self.status_details, self.silences, self.checked_at = "", {}, 0, None
        self.next_check_at = None

    def _set_status(self, status: Status) -> None:
        if self.status != status:
            self.status, self.status_since = status, database_now()

    @sensitive_variables()
    def _sign_in_with(self, secret: CredentialSecret) -> Verdict:
        try:
            opened = secret.open()
        except SealError:
            return Verdict(Outcome.CANNOT_CHECK, self.oem, "sealed")
        return sign_in(self.oem, self.identifier, self.settings, opened)

    def _save_verdict(self, verdict: Verdict, version: int, actor: Actor) -> None:
        """Save a verdict on this version, unless another version took over or the credential is gone."""
        with transaction.atomic():
            stored = Credential.objects.select_for_update().filter(pk=self.pk).first()
            if stored is None or stored.secret.version != version:
                return
            before = stored.status
            changed = stored.apply_verdict(verdict)
            stored.save(update_fields=VERDICT_FIELDS)
            stored._renew_kept_token(verdict, version)
            # FleetControl's own rounds leave an event only where the status changed.
            if changed or actor.kind != "system":
                changes = {"status": [before, stored.status], "reason": [None, verdict.code]}
                AuditEvent.record(stored.fleet, actor, "credential.verify", stored, changes)
        self.refresh_from_db()

    def _renew_kept_token(self, verdict: Verdict, version: int) -> None:
        """Put the token of a verdict in place of the kept one, which ends when the OEM refuses the secret."""
        if verdict.token is not None:
            life = verdict.expires_in or LIFE_IF_NOT_UNDERSTOOD
            OemToken.keep(verdict.token, life, credential_id=self.pk, version=version, only_renew=True)
        elif verdict.outcome in (Outcome.REFUSED, Outcome.SCOPES_MISSING):
            OemToken.drop(self.pk)

    def _stored_loan(self) -> Loan | None:
        """The token of the last sign-in with the current secret, until shortly before it ends."""
        declared = self.oem.sign_in
        # A little more, because the clocks of two machines differ.
        longest = timedelta(seconds=declared.longest_life if declared else brands.LONGEST_LIFE, minutes=5)
        now = database_now()
        stored = OemToken.objects.filter(
            credential=self.pk,
            value__isnull=False,
            renew_at__gt=now,
            ends_at__lte=now + longest,
            version=self.secrets.filter(is_current=True).values("version")[:1],
        ).first()
        if stored is None or stored.value is None:
            return None
        try:
            token = stored.value.open(OemToken.owner(self.pk, stored.version))
        except SealError:  # its key is gone: a new sign-in gives a new token
            return None
        return Loan(SecretToken(token), stored.ends_at)

    @sensitive_variables()
    def _new_loan(self, actor: Actor, refused_token: str) -> Loan:
        """Sign in while holding a lock: whoever waits for it finds the token or the failure."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(WAITING, [SIGN_IN_LOCK])
                if cursor.fetchone()[0] >= MOST_WAITING:
                    raise TooManyWait
                cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [SIGN_IN_LOCK, self.pk])
            loan = self._stored_loan()
            if loan and not loan.is_of(refused_token):
                return loan
            if loan:
                self._refuse_report_too_soon()
            self.refresh_from_db()
            until = self._paused_until()
            if until and until > database_now():
                failure = SignInFailed(self.status_detail, until)
            else:
                version = self.secret.version
                verdict = self.verify(actor=actor)
                # Only now, because the credential's row is to be locked before that of its token.
                if loan:
                    OemToken.drop(self.pk, refused_at=database_now())
                if verdict.token is not None:
                    life = verdict.expires_in or LIFE_IF_NOT_UNDERSTOOD
                    ends_at = OemToken.keep(verdict.token, life, credential_id=self.pk, version=version)
                    return Loan(verdict.token, ends_at)
                cannot = verdict.outcome is Outcome.CANNOT_CHECK
                failure = SignInFailed(verdict.reason, None if cannot else self._paused_until() or database_now())
        raise failure  # outside the transaction, so that the verdict stays saved

    def _refuse_report_too_soon(self) -> None:
        """Raise ReportedTooSoon if a report caused a sign-in a moment ago."""
        reported = OemToken.objects.filter(credential=self.pk).values_list("refused_at", flat=True).first()
        if reported and reported + REPORT_AGAIN_AFTER > database_now():
            raise ReportedTooSoon(reported + REPORT_AGAIN_AFTER)

    def _paused_until(self) -> datetime | None:
        """Until when the failure of the last sign-in answers for the next ones; None if it did not fail."""
        if self.checked_at is None or self.status_reason in {"works", *NOT_ASKED}:
            return None
        retry_after = timedelta(seconds=int(self.status_details.get("retry_after", 0)))
        return self.checked_at + min(max(_PAUSE_AFTER_FAILURE, retry_after), _LONGEST_PAUSE)


# What `apply_verdict` sets.
VERDICT_FIELDS = (
    "status", "status_reason", "status_details", "status_since", "silences", "checked_at", "last_worked_at",
)  # fmt: skip


def shared_brand(text: str) -> brands.Brand:
    """The brand, if it takes shared credentials. Raises ValidationError that says what the brand needs instead."""
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


def _refuse_past(ends_on: date | None) -> None:
    """Raise ValidationError if a secret would have ended before it is stored."""
    if ends_on and ends_on < database_today():
        raise ValidationError({"ends_on": gettext("This day is over. Give a day from today on.")})


def _as_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
