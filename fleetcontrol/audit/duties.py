"""What `manage.py tend` does for the audit trail."""

import logging
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from fleetcontrol.audit.chain import SealingDelayed, retire, seal_events
from fleetcontrol.audit.models import AuditSeal

log = logging.getLogger(__name__)


def seal_audit() -> str:
    """Seal the new events and write the head to the log, which thereby keeps it outside of the database."""
    try:
        sealed = seal_events()
    except SealingDelayed as delay:
        return f"{delay} Left for the next time."
    if not sealed:
        return ""
    head = str(AuditSeal.objects.order_by("number").last())
    log.info("Sealed %s audit events.", sealed, extra={"head": head})
    return f"sealed {sealed} audit events, head {head}"


def retire_audit() -> str:
    """Delete audit events that are older than AUDIT_KEPT_DAYS; without that setting they are kept for ever."""
    if not settings.AUDIT_KEPT_DAYS:
        return ""
    gone = retire(timezone.now() - timedelta(days=settings.AUDIT_KEPT_DAYS))
    return f"deleted {gone} audit events" if gone else ""
