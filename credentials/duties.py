"""What `manage.py tend` does for credentials."""

from django.utils import timezone

from credentials import delivery, reminders, rounds
from credentials.models import CredentialSecret, OemToken
from fleetcontrol.audit.models import Actor


def erase_former_secrets() -> str:
    erased = CredentialSecret.objects.all().erase_due(actor=Actor.system())
    return f"{erased} erased" if erased else ""


def erase_oem_tokens() -> str:
    erased = OemToken.erase_ended()
    return f"{erased} erased" if erased else ""


def check_credentials() -> str:
    checked = rounds.check_due()
    return f"{checked} checked" if checked else ""


def send_notices() -> str:
    new = reminders.note_ends(timezone.localdate()) + reminders.note_statuses()
    emails, posts = delivery.email_notices(), delivery.post_notices()
    return f"{new} new, {emails} emails, {posts} posted" if new or emails or posts else ""
