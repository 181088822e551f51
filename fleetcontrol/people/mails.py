"""Mail to one person: queued in the request, written and sent by the worker.

The request leaves a `Mail` and a task that names it. Neither holds a link, a token or an email address: these come from
the person or the invitation when the mail is sent, so that a link is valid from then on, and whoever was removed or
revoked gets none. No lock is held while the mail server answers. A mail is put off just before it is sent, so that no
other process sends it too, and deleted when it was taken. What is left, by a worker that died or a mail server that was
away, the worker looks for twice a minute, and `tend`, which sends mail also where no worker runs.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from allauth.account.adapter import get_adapter
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest
from django.tasks import task
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from fleetcontrol.mail import SERVER_FAILURES, deliver, kind_of_failure
from fleetcontrol.people.models import Invitation, Mail, MailKind, User

KEPT = timedelta(days=7)
BEFORE_IMPORTS = 10  # the priority of a mail's task
_CLAIMED_FOR = timedelta(minutes=5)
_SERVER_AGAIN_AFTER = timedelta(minutes=1)
# After a mailbox was refused: three days and a half, then the mail is given up.
_REFUSED_AGAIN_AFTER = [timedelta(minutes=m) for m in (5, 30, 120, 480, 1440, 1440, 1440)]
_MOST_AT_ONCE = 500
_BROWSERS = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
_SYSTEMS = {
    "Android": "Android", "iPhone": "iOS", "iPad": "iOS", "Windows": "Windows", "Mac OS X": "macOS", "CrOS": "ChromeOS",
    "Linux": "Linux",
}  # fmt: skip

logger = logging.getLogger(__name__)


def queue(
    kind: MailKind, user: User | None, *, invitation: Invitation | None = None, request: HttpRequest | None = None
) -> None:
    """Let the worker send a mail to the person or the invited address; to nobody if there is neither.

    `request` is what caused it, for mails that say from where.
    """
    mail = Mail(kind=kind, user=user, invitation=invitation, language=translation.get_language() or "")
    if request is not None:
        mail.address = request.META.get("REMOTE_ADDR") or None
        mail.browser = browser_of(request.META.get("HTTP_USER_AGENT", ""))
    if invitation is not None:
        invitation.mails.all().delete()  # one that waits would hold the same link
    with transaction.atomic():  # a task without its mail would find nothing, a mail without its task would wait
        mail.save(force_insert=True)
        send_mail.using(priority=BEFORE_IMPORTS).enqueue(kind.value, mail.pk)


@task
def send_mail(kind: str, pk: str) -> None:
    """Send the mail, unless it was sent or put off. `kind` is for those who read the table of tasks."""
    send(pk)


def send_due() -> int:
    """Send the mails that are due, those first that wait longest; returns how many were sent."""
    sent = 0
    for pk in list(Mail.objects.filter(try_after__lte=Now()).order_by("try_after").values_list("pk", flat=True)):
        sent += send(pk)
        if sent >= _MOST_AT_ONCE:
            break
    return sent


def send(pk: str) -> bool:
    """Send one mail if it is due; returns whether it was sent. A mail that fails keeps no other from being sent."""
    if not Mail.objects.filter(pk=pk, try_after__lte=Now()).update(try_after=Now() + _CLAIMED_FOR):
        return False
    mail = Mail.objects.select_related("user", "invitation__fleet").filter(pk=pk).first()
    if mail is None:
        return False
    try:
        message = message_of(mail)
        refusal = deliver(message) if message else ""
    except SERVER_FAILURES as error:
        logger.error("The mail server failed (%s); mail waits.", kind_of_failure(error))
        # All others too, so that nothing waits for a server that hangs once for each of them.
        Mail.objects.filter(try_after__lte=Now()).update(try_after=Now() + _SERVER_AGAIN_AFTER)
        return False
    except Exception:
        logger.exception("The mail %s (%s) could not be made.", mail.pk, mail.kind)
        refusal = "not made"
    if refusal:
        _put_off(mail, refusal)
        return False
    Mail.objects.filter(pk=pk).delete()
    return message is not None


def forget_old() -> int:
    """Delete mails that nobody could be sent for a week; returns how many."""
    deleted, _by_model = Mail.objects.filter(created_at__lt=Now() - KEPT).delete()
    return deleted


def message_of(mail: Mail) -> EmailMessage | None:
    """The mail as it is sent now, in the person's language. None if it is for nobody any more."""
    person, invitation = mail.user, mail.invitation
    language = (person.language if person else "") or mail.language or settings.LANGUAGE_CODE
    with translation.override(language):
        if mail.kind == MailKind.INVITATION:
            return _invitation(invitation) if invitation and invitation.is_open else None
        if person is None or (mail.kind == MailKind.PASSWORD_RESET and not person.is_active):
            return None
        context = {
            "user": person,
            "current_site": {"name": "FleetControl", "domain": settings.PUBLIC_URL},
            "ip": mail.address or _("unknown"),
            "user_agent": mail.browser or _("unknown"),
            "timestamp": date_format(timezone.localtime(mail.created_at), "DATETIME_FORMAT"),
            "provider": settings.OIDC.get("name", ""),
            "sessions": f"{settings.PUBLIC_URL}{reverse('usersessions_list')}",
        }
        if mail.kind == MailKind.PASSWORD_RESET:
            context["password_reset_url"] = link_to_choose_a_password(person)
        message: EmailMessage = get_adapter().render_mail(mail.kind, person.email, context)
        return message


def link_to_choose_a_password(person: User) -> str:
    """A link that works once and is valid from now on."""
    parts = {"uidb36": user_pk_to_url_str(person), "key": default_token_generator.make_token(person)}
    return f"{settings.PUBLIC_URL}{reverse('account_reset_password_from_key', kwargs=parts)}"


def browser_of(user_agent: str) -> str:
    """Browser and system in words of ours: a visitor may send any text, and a mail must not repeat it."""
    names = (_BROWSERS, _SYSTEMS)
    found = (next((name for mark, name in known.items() if mark in user_agent), "") for known in names)
    return ", ".join(filter(None, found))


def _invitation(invitation: Invitation) -> EmailMessage:
    fleet = " ".join(invitation.fleet.name.split())  # a subject is one line
    context = {
        "person": invitation.invited_by,
        "fleet": invitation.fleet.name,
        "role": invitation.get_role_display(),
        "link": invitation.link,
        "date": date_format(timezone.localtime(invitation.expires_at), "DATETIME_FORMAT"),
    }
    subject = _("Invitation to %(fleet)s on FleetControl") % {"fleet": fleet}
    return EmailMessage(subject, render_to_string("people/invitations/email.txt", context), to=[invitation.email])


def _put_off(mail: Mail, refusal: str) -> None:
    """Try again later, longer each time, and give up after the last."""
    given_up = mail.refusals >= len(_REFUSED_AGAIN_AFTER)
    try_after = None if given_up else Now() + _REFUSED_AGAIN_AFTER[mail.refusals]
    Mail.objects.filter(pk=mail.pk).update(refusals=mail.refusals + 1, try_after=try_after)
    # Neither the address nor the server's words, which often repeat it.
    words = "The mail server refused the mail %s (%s): %s; %s."
    logger.warning(words, mail.pk, mail.kind, refusal, "given up" if given_up else "it is tried again")
