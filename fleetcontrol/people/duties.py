"""What `manage.py tend` does for people's sessions."""

from django.contrib.sessions.models import Session
from django.db.models.functions import Now

from fleetcontrol.web.throttle import forget_expired


def forget_sessions() -> str:
    """Delete expired sessions, and attempts to sign in that the throttles no longer count."""
    deleted, _by_model = Session.objects.filter(expire_date__lt=Now()).delete()
    forget_expired()
    return f"deleted {deleted} sessions that were over" if deleted else ""
