"""Mail as the worker sends it: a request only queues it."""

from typing import Any

from django.core import mail
from django.db import connection

from fleetcontrol.people import mails


def sent_mail() -> list[Any]:
    """Do what the worker does, and return all mail that has been sent in this test."""
    mails.send_due()
    return mail.outbox


def forget_the_rule_of_addresses() -> None:
    """Let this test's database hold an address that it refuses: one of a row that something else has damaged."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE people_user DROP CONSTRAINT user_email_normal")
