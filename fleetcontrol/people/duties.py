"""What `manage.py tend` does for people's sessions and mail, and for the replica."""

import time
from datetime import timedelta

from allauth.mfa import app_settings
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from fleetcontrol.db.replica import beat
from fleetcontrol.people import mails
from fleetcontrol.people.models import UsedCode
from fleetcontrol.web.throttle import forget_expired

KEEP_CODES_FOR = timedelta(days=1)


def forget_sessions() -> str:
    """Delete expired sessions, and attempts to sign in that the throttles no longer count."""
    deleted, _by_model = Session.objects.filter(expire_date__lt=Now()).delete()
    forget_expired()
    return f"deleted {deleted} sessions that were over" if deleted else ""


def forget_used_codes() -> str:
    """Delete codes of authenticator apps that have long ceased to be valid, whatever the clocks of the web servers."""
    now = int(time.time()) // app_settings.TOTP_PERIOD
    UsedCode.objects.filter(step__lt=now - KEEP_CODES_FOR.total_seconds() // app_settings.TOTP_PERIOD).delete()
    return ""


def send_mails() -> str:
    """Send mail that no worker has sent, and forget what could not be sent for a week."""
    forgotten, sent = mails.forget_old(), mails.send_due()
    return f"{sent} sent, {forgotten} given up" if sent or forgotten else ""


def beat_for_replica() -> str:
    """Write the time by which the replica's lag is measured."""
    if settings.EXPORT_DATABASE != "default":
        beat()
    return ""
