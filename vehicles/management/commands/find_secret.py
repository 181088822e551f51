"""`manage.py find_secret`: whether a value that leaked is one of ours, and which vehicles depend on it."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from credentials.brands.field import tidy
from credentials.models import CredentialSecret, may_look_for
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.command import fleet_or_error
from fleetcontrol.people.models import Fleet
from vehicles.models import Vehicle

_MOST = 20_000  # characters; the longest secret is a certificate


class Command(BaseCommand):
    help = (
        "Read a secret from standard input (or ask for it without showing it) and name the credentials and vehicles "
        "that hold it. Exit code 0 when something was found, 1 when nothing was. The value is not stored or logged."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fleet", help="only this fleet, by its short name")

    def handle(self, *args: Any, fleet: str | None, **options: Any) -> None:
        fleets: Iterable[Fleet] = [fleet_or_error(fleet)] if fleet else Fleet.objects.order_by("slug")
        value = tidy(getpass.getpass("Secret: ") if sys.stdin.isatty() else sys.stdin.read(_MOST))
        if not value:
            raise CommandError(_("Nothing to look for: give the secret on standard input."), returncode=2)
        lines: list[str] = []
        for one in fleets:
            try:
                may_look_for(value, one, actor=Actor.command("find_secret"))
            except ValidationError as error:
                raise CommandError(error.messages[0], returncode=2) from None
            lines += found(value, one)
        self.stdout.write("\n".join(lines) if lines else _("No credential and no unit has this secret."))
        if not lines:
            sys.exit(1)


def found(value: str, fleet: Fleet) -> list[str]:
    """One line for each place of the fleet where the value is or was."""
    lines = []
    for one in CredentialSecret.objects.holding(value, fleet.pk).with_vehicle_counts():
        lines.append(f"{fleet.slug}: {_version(one)}")
    units = Vehicle.objects.holding(value, fleet.pk).order_by("name").values_list("name", flat=True)
    words = _("vehicle %(name)s, password of its unit")
    return [*lines, *(f"{fleet.slug}: {words % {'name': name}}" for name in units)]


def _version(one: CredentialSecret) -> str:
    count: int = getattr(one, "vehicle_count", 0)
    if one.erased_at:
        words = _("credential %(name)s, version %(version)d, erased here")
    elif not one.is_current:
        words = _("credential %(name)s, version %(version)d, no longer in use and still kept")
    else:
        words = ngettext(
            "credential %(name)s, version %(version)d, in use, %(count)d vehicle depends on it",
            "credential %(name)s, version %(version)d, in use, %(count)d vehicles depend on it",
            count,
        )
    return words % {"name": one.credential.name, "version": one.version, "count": count}
