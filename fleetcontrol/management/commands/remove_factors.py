"""`manage.py remove_factors`: let somebody in again who lost their second factor and their recovery codes."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from fleetcontrol.audit.models import Actor
from fleetcontrol.people import mails
from fleetcontrol.people.addresses import known_as
from fleetcontrol.people.models import MailKind, User


class Command(BaseCommand):
    help = (
        "Removes every second factor and recovery code of a person who lost them, signs the person out everywhere and "
        "tells them by email. Make sure first that it is the person who asks. They set up a new factor after the next "
        "sign-in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        user = User.objects.filter(email=known_as(email)).first()
        if user is None:
            raise CommandError(_("There is no person with the email %(email)s.") % {"email": email})
        kinds = user.remove_factors(actor=Actor.command("remove_factors"))
        if not kinds:
            self.stdout.write(_("There was no second factor. The person is signed out everywhere."))
            return
        labels = ", ".join(str(Authenticator.Type(kind).label) for kind in kinds)
        self.stdout.write(_("Removed: %(kinds)s. The person is signed out everywhere.") % {"kinds": labels})
        mails.queue(MailKind.FACTORS_REMOVED, user)
