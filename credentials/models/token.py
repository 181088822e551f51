"""The OEM's access token of the last sign-in, sealed, so that one sign-in serves everyone until it ends."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from credentials.oem.verdict import SecretToken
from fleetcontrol.db.clock import database_now
from fleetcontrol.seal import SealedTextField, seal

# A token that a program reports as refused causes a new sign-in, but not more often than this.
REPORT_AGAIN_AFTER = timedelta(minutes=1)


class OemToken(models.Model):
    """The token that a sign-in with one version of a credential's secret gave, sealed.

    It is handed out until `renew_at`, shortly before it ends. A token that the OEM no longer takes is dropped: the row
    stays without a value while `refused_at`, the time of the last report that caused a sign-in, still counts.
    """

    credential = models.OneToOneField(
        "credentials.Credential", models.CASCADE, primary_key=True, related_name="oem_token"
    )
    version = models.PositiveIntegerField()
    value = SealedTextField(null=True)
    ends_at = models.DateTimeField()
    renew_at = models.DateTimeField(db_index=True)
    refused_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.credential_id)

    @classmethod
    def owner(cls, credential_id: str, version: int) -> str:
        """What a sealed token is bound to."""
        return f"oemtoken:{credential_id}:{version}"

    @classmethod
    @sensitive_variables()
    def keep(
        cls, token: SecretToken, life: int, *, credential_id: str, version: int, only_renew: bool = False
    ) -> datetime:
        """Keep a token that lives for `life` seconds in place of the former one; returns when it ends.

        With `only_renew` it is kept only if there is a former one, that is if programs use the credential.
        """
        ends_at = database_now() + timedelta(seconds=life)
        values = {
            "version": version,
            "value": seal(token.reveal(), cls.owner(credential_id, version)),
            "ends_at": ends_at,
            "renew_at": ends_at - timedelta(seconds=min(60, life // 10)),
        }
        if only_renew:
            cls.objects.filter(credential=credential_id).update(**values)
        else:
            cls.objects.update_or_create(credential_id=credential_id, defaults=values)
        return ends_at

    @classmethod
    def drop(cls, credential_id: str, *, refused_at: datetime | None = None) -> None:
        """Hand out the kept token no more. `refused_at` says that a program reported it as refused."""
        now = database_now()
        reported = {"refused_at": refused_at} if refused_at else {}
        cls.objects.filter(credential=credential_id).update(value=None, ends_at=now, renew_at=now, **reported)

    @classmethod
    def erase_ended(cls) -> int:
        """Delete the tokens that are no longer handed out; returns how many."""
        now = database_now()
        no_report_counts = Q(refused_at=None) | Q(refused_at__lt=now - REPORT_AGAIN_AFTER)
        return cls.objects.filter(no_report_counts, renew_at__lt=now).delete()[0]
