"""`manage.py check_credentials`: sign in with stored secrets now, and list which of them do not work."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from credentials import brands
from credentials.models import TROUBLED, Credential
from credentials.oem.verdict import Outcome
from fleetcontrol.audit.models import Actor
from fleetcontrol.duties import guarded
from fleetcontrol.people.command import fleet_or_error

_MARKS = {Outcome.WORKS: gettext_lazy("works"), Outcome.CANNOT_CHECK: gettext_lazy("cannot be checked")}


class Command(BaseCommand):
    help = "Check credentials with their OEMs. Exit code 1 when one of them does not work."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fleet", help="only this fleet, by its short name")
        parser.add_argument("--brand", help="only this brand, such as TESLA")
        parser.add_argument("--failing", action="store_true", help="only those that did not work the last time")

    def handle(self, *args: Any, fleet: str | None, brand: str | None, failing: bool, **options: Any) -> None:
        actor = Actor.command("check_credentials")
        refused = checked = 0
        chosen = selected(fleet, brand, failing=failing)
        # By id, because OEMs take their time: a cursor of the database would have to stay open all the while.
        for pk in list(chosen.values_list("pk", flat=True)):
            credential = chosen.filter(pk=pk).first()
            if credential is None:  # deleted meanwhile, or mended by somebody
                continue
            checked += 1
            place = f"{credential.fleet.slug}: {credential.name} ({credential.oem.name})"
            mark, reason = None, _("could not be checked, see the log")
            with guarded(f"credential {pk}"):
                verdict = credential.verify(actor=actor)
                mark, reason = _MARKS.get(verdict.outcome), verdict.reason
            refused += mark is None
            self.stdout.write(f"{place}: {mark or reason}")
        if not checked:
            self.stdout.write(_("There is no credential to check."))
        if refused:
            words = _("%(refused)d of %(checked)d credentials do not work.")
            raise CommandError(words % {"refused": refused, "checked": checked}, returncode=1)


def selected(fleet: str | None, brand: str | None, *, failing: bool) -> QuerySet[Credential]:
    """The credentials that the options select. Raises CommandError with exit code 2."""
    found = Credential.objects.select_related("fleet").order_by("fleet__slug", "brand", "name")
    if fleet:
        found = found.filter(fleet=fleet_or_error(fleet))
    if brand:
        try:
            found = found.filter(brand=brands.find(brand).id)
        except brands.UnknownBrand as error:
            raise CommandError(str(error), returncode=2) from None
    return found.filter(status__in=TROUBLED) if failing else found
