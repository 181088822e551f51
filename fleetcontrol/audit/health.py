"""What an operator has to know of the keys and the audit trail."""

from __future__ import annotations

from django.utils.translation import gettext as _

from fleetcontrol import seal
from fleetcontrol.audit.chain import is_sealing_behind
from fleetcontrol.audit.keys import key_problems, missing_keys
from fleetcontrol.audit.models import AuditSeal
from fleetcontrol.health import Row


def keys_that_fit() -> list[str]:
    """Sentences about keys that are not those of this database, or open none of its secrets."""
    if problems := key_problems():
        return problems
    return [] if seal.keys_fit() else ["FERNET_KEYS does not open the secrets in the database."]


def watch_keys() -> list[Row]:
    """Whether FERNET_KEYS opens the oldest and newest secrets, and holds every key that sealed some."""
    opened, closed = seal.sample()
    warning = ""
    if closed:
        warning = _("FERNET_KEYS does not open some of the secrets: add the key that sealed them.")
    elif missing := missing_keys():
        words = _(
            "FERNET_KEYS lacks %(missing)s of the keys that sealed secrets: add what was taken away, or run "
            "`manage.py reseal`, which forgets a key that no secret needs."
        )
        warning = words % {"missing": missing}
    value = _("%(opened)s of %(all)s") % {"opened": opened, "all": opened + closed}
    return [Row("keys", _("Secrets opened on trial"), value, warning)]


def watch_seals() -> list[Row]:
    """The last seal of the audit trail, and whether events have waited too long for the next."""
    warning = ""
    if is_sealing_behind():
        warning = _(
            "Since more than 15 minutes audit events wait to be sealed: `manage.py tend` does not run, or refuses, "
            "or waits for a transaction that writes events."
        )
    last = AuditSeal.objects.order_by("-number").values_list("sealed_at", flat=True).first()
    return [Row("seals", _("Audit trail sealed"), last or _("Never"), warning)]
