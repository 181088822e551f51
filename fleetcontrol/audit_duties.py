"""What `manage.py tend` does for the audit trail and for people's sessions."""

import logging
from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from fleetcontrol.audit_seal import AuditSeal, SealingDelayed, retire, seal_events
from fleetcontrol.duties import duty
from fleetcontrol.throttle import forget_expired

log = logging.getLogger(__name__)


@duty
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


@duty
def retire_audit() -> str:
    """Delete audit events that are older than AUDIT_KEPT_DAYS; without that setting they are kept for ever."""
    if not settings.AUDIT_KEPT_DAYS:
        return ""
    gone = retire(timezone.now() - timedelta(days=settings.AUDIT_KEPT_DAYS))
    return f"deleted {gone} audit events" if gone else ""


@duty
def forget_sessions() -> str:
    """Delete sessions that are over, and what the throttles of sign-in no longer count."""
    gone, _by_model = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    forget_expired()
    return f"deleted {gone} sessions that were over" if gone else ""
