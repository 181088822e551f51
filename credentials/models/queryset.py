"""What can be asked of many credentials at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from credentials.models.checkable import Status

if TYPE_CHECKING:
    from credentials.models.credential import Credential  # noqa: F401 - named in a string below

ATTENTION_BEFORE_END = timedelta(days=30)
IDLE_AFTER = timedelta(days=90)
TROUBLED = (Status.REJECTED, Status.REVOKED, Status.SCOPES_MISSING, Status.UNREACHABLE)  # worst first


class CredentialQuerySet(models.QuerySet["Credential"]):
    def needing_attention(self) -> Self:
        """Credentials that do not work, or end within ATTENTION_BEFORE_END; "not checked" alone is no alarm."""
        soon = timezone.localdate() + ATTENTION_BEFORE_END
        return self.filter(Q(status__in=TROUBLED) | Q(ends_on__lte=soon) | Q(status_reason="sealed"))

    def used(self) -> Self:
        """Credentials that at least one vehicle uses."""
        return self.filter(models.Exists(self._vehicles()))

    def unused(self) -> Self:
        """Credentials that no vehicle uses."""
        return self.filter(~models.Exists(self._vehicles()))

    def idle(self) -> Self:
        """Unused ones that are old enough and were not handed out to a program either, for IDLE_AFTER."""
        long_ago = timezone.now() - IDLE_AFTER
        untouched = Q(last_used_at=None) | Q(last_used_at__lt=long_ago)
        return self.unused().filter(untouched, created_at__lt=long_ago)

    def _vehicles(self) -> models.QuerySet[models.Model]:
        # Through the reverse relation: this app does not import the vehicles' one.
        vehicles = self.model._meta.get_field("vehicles").related_model
        return vehicles._default_manager.filter(credential=models.OuterRef("pk"))
