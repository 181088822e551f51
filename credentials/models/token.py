"""The OEM's access token of the last sign-in, sealed, so that one sign-in serves everyone until it ends."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from fleetcontrol.seal import SealedTextField


class OemToken(models.Model):
    """The token that a sign-in with one version of a credential's secret gave, sealed.

    It is handed out until `renew_at`, shortly before it ends.
    """

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
        """Delete the tokens that are no longer handed out; returns how many."""
        return cls.objects.filter(renew_at__lt=Now()).delete()[0]
