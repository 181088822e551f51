"""What `manage.py tend` does for people's sessions and mail, and for the replica."""

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from fleetcontrol.db.replica import beat
from fleetcontrol.people import mails
from fleetcontrol.web.throttle import forget_expired


def forget_sessions() -> str:
    """Delete expired sessions, and attempts to sign in that the throttles no longer count."""
    deleted, _by_model = Session.objects.filter(expire_date__lt=Now()).delete()
    forget_expired()
    return f"deleted {deleted} sessions that were over" if deleted else ""


def send_mails() -> str:
    """Send mail that no worker has sent, and forget what could not be sent for a week."""
    forgotten, sent = mails.forget_old(), mails.send_due()
    return f"{sent} sent, {forgotten} given up" if sent or forgotten else ""


def beat_for_replica() -> str:
    """Write the time by which the replica's lag is measured."""
    if settings.EXPORT_DATABASE != "default":
        beat()
    return ""
