"""`manage.py create_fleet`: a new fleet with its first administrator, who invites everybody else."""

import argparse
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from fleetcontrol.audit.models import Actor
from fleetcontrol.people.accounts import new_person
from fleetcontrol.people.addresses import normal
from fleetcontrol.people.mails import link_to_choose_a_password
from fleetcontrol.people.models import Fleet, User


class Command(BaseCommand):
    help = "Create a fleet and make a person its administrator; a person who is new gets a link to choose a password."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="what people call the fleet")
        parser.add_argument("--slug", default="", help="its short name in addresses (default: made from the name)")
        parser.add_argument("--administrator", metavar="EMAIL", required=True, help="who administers it")

    def handle(self, *, name: str, slug: str, administrator: str, **options: Any) -> None:
        if not slug and not slugify(name):
            raise CommandError(_("Give the fleet a short name of letters, digits and hyphens with --slug."))
        try:
            email = normal(administrator)
            with transaction.atomic():
                person = User.objects.filter(email=email).first()
                is_new = person is None
                person = person or new_person(email=email, name="")
                fleet = Fleet.add(name=name, slug=slug, administrator=person, actor=Actor.command("create_fleet"))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self._write_result(fleet, person, is_new=is_new)

    def _write_result(self, fleet: Fleet, person: User, *, is_new: bool) -> None:
        address = f"{settings.PUBLIC_URL}/f/{fleet.slug}/credentials/"
        words = _("Created the fleet %(fleet)s at %(address)s with %(email)s as its administrator.")
        self.stdout.write(words % {"fleet": fleet, "address": address, "email": person.email})
        if is_new:
            words = _("Send them this link to choose a password; it works once, for %(days)s days:\n%(link)s")
            days = settings.PASSWORD_RESET_TIMEOUT // 86_400
            self.stdout.write(words % {"days": days, "link": link_to_choose_a_password(person)})
        else:
            self.stdout.write(_("They sign in as before."))
