"""What a person may do in a fleet, lowest first."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    MANAGER = "manager", _("Fleet manager")
    ADMINISTRATOR = "administrator", _("Administrator")

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that the other may: administrator > manager > viewer."""
        order = list(Role)
        return order.index(self) >= order.index(other)
