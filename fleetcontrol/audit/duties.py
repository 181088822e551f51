"""What `manage.py tend` does for the audit trail."""

import logging
from datetime import timedelta

from django.conf import settings

from fleetcontrol.audit import head
from fleetcontrol.audit.chain import WritersStillActive, extend_chain, retire_events
from fleetcontrol.audit.models import AuditSeal
from fleetcontrol.db.clock import database_now
from fleetcontrol.duties import Refused
from fleetcontrol.outbound import NoAnswer

log = logging.getLogger(__name__)


def seal_audit() -> str:
    """Seal the new events. Keep the head outside of the database, log it, and tell it to whom the settings name."""
    try:
        sealed = extend_chain()
    except WritersStillActive as delay:
        return f"{delay} Left for the next time."
    except OSError as error:
        file = error.filename or head.head_file()
        raise Refused(f"The head of the audit trail cannot be kept in {file}: {error.strerror}.") from None
    last = AuditSeal.objects.order_by("number").last()
    if sealed:
        log.info("Sealed %s audit events.", sealed, extra={"head": str(last)})
    if last is not None:
        try:
            head.tell(str(last))
        except (OSError, NoAnswer) as error:
            raise Refused(f"The head of the audit trail is kept, but could not be told elsewhere: {error}.") from None
    return f"sealed {sealed} audit events, head {last}" if sealed else ""


def retire_audit() -> str:
    """Delete audit events that are older than AUDIT_KEPT_DAYS. Without that setting, keep them for ever."""
    if not settings.AUDIT_KEPT_DAYS:
        return ""
    deleted = retire_events(database_now() - timedelta(days=settings.AUDIT_KEPT_DAYS))
    return f"deleted {deleted} audit events" if deleted else ""
