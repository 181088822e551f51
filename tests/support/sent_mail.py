"""Mail as the worker sends it: a request only queues it."""

from typing import Any

from django.core import mail

from fleetcontrol.people import mails


def sent_mail() -> list[Any]:
    """Do what the worker does, and return all mail that has been sent in this test."""
    mails.send_due()
    return mail.outbox
