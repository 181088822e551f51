"""Using a credential without handing its secret on: one sign-in gives the OEM's token to everyone who waits for it.

The token is kept sealed until shortly before it ends. Who asks meanwhile gets the same one; who asks while FleetControl
signs in waits for that sign-in, on whatever machine it happens, and shares its failure too.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, models, transaction
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from credentials.models.rotatable import Rotatable
from credentials.oem.sign_in import Outcome, SecretToken, Verdict
from credentials.oem.verdict import NOT_ASKED
from fleetcontrol.audit.models import Actor, AuditEvent
from fleetcontrol.seal import SealedTextField, SealError, seal

# An OEM that has just refused is not asked again at once, so that a busy client does not get its account locked; one
# that names a time is left alone that long, within reason.
_FAILURE_HOLDS = timedelta(seconds=10)
_FAILURE_HOLDS_AT_MOST = timedelta(minutes=10)
_LIFE_IF_UNTOLD = 60  # seconds
LOCKS = zlib.crc32(b"credentials.usable") - 2**31
# Each that waits holds a thread of a web server and a connection: a slow OEM is not to take them all.
MOST_WAITING = 16
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = (%s::bigint & 4294967295)::oid
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class SignInFailed(Exception):
    """The OEM gave no token and is not asked again before `until`, which is None where FleetControl cannot sign in."""

    def __init__(self, reason: str, until: datetime | None) -> None:
        self.reason, self.until = reason, until
        super().__init__(reason)


class TooManyWait(Exception):
    """So many wait for sign-ins already that one more is turned away; a moment later there may be a token."""


@dataclass(frozen=True, slots=True)
class Loan:
    """A token of the OEM, and when it ends."""

    token: SecretToken
    ends_at: datetime


class OemToken(models.Model):
    """The token that was got with one version of a credential's secret, sealed."""

    credential = models.OneToOneField(
        "credentials.Credential", models.CASCADE, primary_key=True, related_name="oem_token"
    )
    version = models.PositiveIntegerField()
    value = SealedTextField()
    ends_at = models.DateTimeField()
    renew_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.credential_id)

    @classmethod
    def owner(cls, credential_id: str, version: int) -> str:
        """What a sealed token is bound to."""
        return f"oemtoken:{credential_id}:{version}"

    @classmethod
    def erase_ended(cls) -> int:
        """Delete the tokens that are not handed out any more; returns how many."""
        return cls.objects.filter(renew_at__lt=timezone.now()).delete()[0]


class Usable(Rotatable):
    """What software that talks to vehicles may have of a credential."""

    class Meta:
        abstract = True

    def lend_token(self, *, actor: Actor, for_whom: Mapping[str, object] | None = None) -> Loan:
        """The OEM's access token, from the last sign-in or a new one; takes up to 10 seconds then.

        Raises SignInFailed, TooManyWait, and ObjectDoesNotExist when the credential is deleted meanwhile. `for_whom`
        is noted in the audit event, such as the vehicle.
        """
        loan = self._kept_token() or self._new_token(actor)
        with transaction.atomic():
            AuditEvent.record(self.fleet, actor, "credential.lend_token", self, dict(for_whom or {}))
            self.record_use()
        return loan

    @sensitive_variables()
    def release(self, *, actor: Actor, for_whom: Mapping[str, object] | None = None) -> dict[str, str]:
        """The secret fields in plain text, each time with an audit event. Raises SealError."""
        secret = self.secret
        opened = secret.open()
        with transaction.atomic():
            changes = {"version": [None, secret.version], **(for_whom or {})}
            AuditEvent.record(self.fleet, actor, "credential.release", self, changes)
            self.record_use()
        return opened

    def _kept_token(self) -> Loan | None:
        kept = OemToken.objects.filter(
            credential=self.pk,
            renew_at__gt=timezone.now(),
            version=self.secrets.filter(is_current=True).values("version")[:1],
        ).first()
        if kept is None or kept.value is None:
            return None
        try:
            token = kept.value.open(OemToken.owner(self.pk, kept.version))
        except SealError:  # of a key that is gone: a new sign-in gives a new token
            return None
        return Loan(SecretToken(token), kept.ends_at)

    def _new_token(self, actor: Actor) -> Loan:
        """Sign in, alone: whoever else wants this waits for the lock and finds the token or the failure."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(WAITING, [LOCKS])
                if cursor.fetchone()[0] >= MOST_WAITING:
                    raise TooManyWait
                cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKS, self.pk])
            if loan := self._kept_token():
                return loan
            self.refresh_from_db()
            until = self._failed_until()
            if until and until > timezone.now():
                failure = SignInFailed(self.status_detail, until)
            else:
                version = self.secret.version
                verdict = self.check(actor=actor)
                if verdict.token is not None:
                    return self._keep_token(verdict, verdict.token, version)
                cannot = verdict.outcome is Outcome.CANNOT_CHECK
                failure = SignInFailed(verdict.reason, None if cannot else self._failed_until() or timezone.now())
        raise failure  # outside of the transaction: what the check found is kept

    def _failed_until(self) -> datetime | None:
        """Until when the failure of the last sign-in stands for the next ones; None when there was none."""
        if self.checked_at is None or self.status_reason in {"works", *NOT_ASKED}:
            return None
        asked = timedelta(seconds=int(self.status_details.get("retry_after", 0)))
        return self.checked_at + min(max(_FAILURE_HOLDS, asked), _FAILURE_HOLDS_AT_MOST)

    @sensitive_variables()
    def _keep_token(self, verdict: Verdict, token: SecretToken, version: int) -> Loan:
        life = verdict.expires_in or _LIFE_IF_UNTOLD
        now = timezone.now()
        ends_at = now + timedelta(seconds=life)
        OemToken.objects.update_or_create(
            credential_id=self.pk,
            defaults={
                "version": version,
                "value": seal(token.reveal(), OemToken.owner(self.pk, version)),
                "ends_at": ends_at,
                "renew_at": ends_at - timedelta(seconds=min(60, life // 10)),
            },
        )
        return Loan(token, ends_at)
