"""What an operator has to know of the keys and the audit trail."""

from __future__ import annotations

from django.utils.translation import gettext as _

from fleetcontrol import seal
from fleetcontrol.audit.keys import key_problems
from fleetcontrol.health import Row


def keys_that_fit() -> list[str]:
    """Sentences about keys that are not those of this database, or open none of its secrets."""
    if problems := key_problems():
        return problems
    return [] if seal.keys_fit() else ["FERNET_KEYS does not open the secrets in the database."]


def watch_keys() -> list[Row]:
    """Whether FERNET_KEYS opens the oldest and newest secrets."""
    opened, closed = seal.sample()
    warning = _("FERNET_KEYS does not open some of the secrets: add the key that sealed them.") if closed else ""
    value = _("%(opened)s of %(all)s") % {"opened": opened, "all": opened + closed}
    return [Row("keys", _("Secrets opened on trial"), value, warning)]
