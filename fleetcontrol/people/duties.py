"""What `manage.py tend` does for people's sessions."""

from django.contrib.sessions.models import Session
from django.utils import timezone

from fleetcontrol.web.throttle import forget_expired


def forget_sessions() -> str:
    """Delete sessions that are over, and what the throttles of sign-in no longer count."""
    gone, _by_model = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    forget_expired()
    return f"deleted {gone} sessions that were over" if gone else ""
