"""`manage.py move_vehicles`: all vehicles of one credential to another of its brand, all or none."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Value
from django.db.models.functions import Lower
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.models import Credential
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.command import fleet_or_error
from fleetcontrol.people.models import Fleet


class Command(BaseCommand):
    help = "Move all vehicles from one credential to another of its fleet and brand, in one transaction."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fleet", required=True, help="the fleet's short name")
        parser.add_argument("--from", required=True, dest="source", help="name or id of the credential they use now")
        parser.add_argument("--to", required=True, dest="target", help="name or id of the credential they move to")
        parser.add_argument("--dry-run", action="store_true", help="only say what would move")

    def handle(self, *args: Any, fleet: str, source: str, target: str, dry_run: bool, **options: Any) -> None:
        owner = fleet_or_error(fleet)
        before, after = credential_of(owner, source), credential_of(owner, target)
        for label in differences(before, after):
            words = _("Note: %(before)s and %(after)s differ in %(label)s.")
            self.stderr.write(words % {"before": before, "after": after, "label": label})
        if dry_run:
            count = before.vehicles.count()
            words = ngettext(
                "%(count)d vehicle would move from %(before)s to %(after)s.",
                "%(count)d vehicles would move from %(before)s to %(after)s.",
                count,
            )
            self.stdout.write(words % {"count": count, "before": before, "after": after})
            return
        try:
            moved = before.vehicles.all().move(after, actor=Actor.command("move_vehicles"))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        words = ngettext(
            "%(count)d vehicle moved from %(before)s to %(after)s.",
            "%(count)d vehicles moved from %(before)s to %(after)s.",
            moved,
        )
        self.stdout.write(words % {"count": moved, "before": before, "after": after})


def credential_of(fleet: Fleet, text: str) -> Credential:
    """The fleet's credential of this name, without regard to case, or this id. Raises CommandError with exit code 2."""
    credentials = fleet.credentials
    named = credentials.annotate(lower=Lower("name")).filter(lower=Lower(Value(text)))  # as the database compares names
    found = named.first() or credentials.filter(pk=text[:26]).first()
    if found is None:
        raise CommandError(_("The fleet has no credential “%(name)s”.") % {"name": text}, returncode=2)
    return found


def differences(before: Credential, after: Credential) -> list[str]:
    """Settings in which the two differ, such as the region."""
    first, second = dict(before.readable_settings), dict(after.readable_settings)
    return [str(label) for label in dict.fromkeys([*first, *second]) if first.get(label) != second.get(label)]
