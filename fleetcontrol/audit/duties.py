"""What `manage.py tend` does for the audit trail."""

import logging
from datetime import timedelta

from django.conf import settings

from fleetcontrol.audit.chain import WritersStillActive, extend_chain, retire_events
from fleetcontrol.audit.models import AuditSeal
from fleetcontrol.db.clock import database_now

log = logging.getLogger(__name__)


def seal_audit() -> str:
    """Seal the new events. Also log the head, so that a copy of it exists outside the database."""
    try:
        sealed = extend_chain()
    except WritersStillActive as delay:
        return f"{delay} Left for the next time."
    if not sealed:
        return ""
    head = str(AuditSeal.objects.order_by("number").last())
    log.info("Sealed %s audit events.", sealed, extra={"head": head})
    return f"sealed {sealed} audit events, head {head}"


def retire_audit() -> str:
    """Delete audit events that are older than AUDIT_KEPT_DAYS. Without that setting, keep them for ever."""
    if not settings.AUDIT_KEPT_DAYS:
        return ""
    deleted = retire_events(database_now() - timedelta(days=settings.AUDIT_KEPT_DAYS))
    return f"deleted {deleted} audit events" if deleted else ""
