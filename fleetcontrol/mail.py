"""Hands one mail to the mail server, and tells a mailbox that is refused from a server that fails."""

from __future__ import annotations

from contextlib import suppress
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused

from django.core.mail import EmailMessage, mailers

SERVER_FAILURES = (OSError, SMTPException)
_SERVER_CLOSES = 421  # in place of any answer: the mail server ends the conversation, whoever the mail is for


def deliver(message: EmailMessage) -> str:
    """Send to one person. Returns "" or, if the server takes no mail for this person, what it answered: a number.

    Raises OSError or SMTPException if it is the mail server that fails, or whatever answers in its place.
    """
    mailer = mailers.default
    mailer.open()
    try:
        mailer.send_messages([message])
    except SMTPRecipientsRefused as error:
        codes = {code for code, _words in error.recipients.values()}
        if _SERVER_CLOSES in codes:
            raise
        return " ".join(map(str, sorted(codes)))
    except SMTPDataError as error:
        if error.smtp_code == _SERVER_CLOSES:
            raise
        return str(error.smtp_code)
    except ValueError:  # an address that no server can be asked for
        return "no address"
    finally:
        # Once a mail is taken, how the conversation ends does not matter.
        with suppress(OSError, SMTPException):
            mailer.close()
    return ""


def kind_of_failure(error: BaseException) -> str:
    """What failed, for the log. The error's text may hold an address, so this is its kind and number alone."""
    number = getattr(error, "smtp_code", None) or getattr(error, "errno", None) or ""
    return f"{type(error).__name__} {number}".strip()
