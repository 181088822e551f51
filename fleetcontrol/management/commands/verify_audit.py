"""`manage.py verify_audit`: prove that the audit trail is complete, or name what differs."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fleetcontrol.audit import head
from fleetcontrol.audit.chain import lock_chain
from fleetcontrol.audit.keys import WrongKey, require_audit_key
from fleetcontrol.audit.models import AuditSeal
from fleetcontrol.audit.proof import Report, findings
from fleetcontrol.people.command import fleet_or_error


class Command(BaseCommand):
    help = (
        "Compares every audit event with its seal, and the seals with the head that `tend` keeps outside of the "
        "database. Exits with 1 and names what was changed, taken out or put in."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fleet", help="short name of one fleet; without it all are verified")
        parser.add_argument("--head", action="store_true", help="only print the newest seal's head, to keep elsewhere")
        parser.add_argument("--expect", type=_head, metavar="HEAD", help="a head kept elsewhere must be in the chain")

    def handle(self, *args: Any, **options: Any) -> None:
        fleet = fleet_or_error(options["fleet"]) if options["fleet"] is not None else None
        if options["head"]:
            seals = AuditSeal.objects.order_by("number")
            last = (seals if fleet is None else seals.filter(fleet_id=fleet.pk)).last()
            if last is None:
                raise CommandError(_("Nothing is sealed yet. `manage.py tend` seals the audit trail."))
            self.stdout.write(str(last))
            return
        report, wrong = Report(), 0
        try:
            require_audit_key()
        except WrongKey as error:  # wrong usage, and no evidence against the audit trail
            raise CommandError(str(error), returncode=2) from None
        kept = self._kept_head()
        with transaction.atomic():
            chain = lock_chain()
            expect = {kept, options["expect"]} - {"", None, head.BEFORE_ALL}
            for finding in findings(report, fleet_id=fleet.pk if fleet else None, expect=expect):
                wrong += 1
                self.stderr.write(str(finding))
            if not expect and (problem := head.head_problem(chain, kept)):
                wrong += 1
                self.stderr.write(problem)
        if not wrong and not AuditSeal.objects.exists():
            raise CommandError(_("Nothing is sealed yet. `manage.py tend` seals the audit trail."), returncode=1)
        if wrong:
            raise CommandError(ngettext("%(n)s finding.", "%(n)s findings.", wrong) % {"n": wrong}, returncode=1)
        self._write_success(report)

    def _kept_head(self) -> str:
        try:
            return head.kept_head()
        except head.HeadRefused as error:
            raise CommandError(str(error), returncode=1) from None
        except OSError as error:
            words = _("%(file)s cannot be read: %(reason)s.")
            raise CommandError(words % {"file": error.filename, "reason": error.strerror}, returncode=2) from None

    def _write_success(self, report: Report) -> None:
        self.stdout.write(
            _("The audit trail is whole: %(events)s events in %(seals)s seals, %(retired)s of them retired.")
            % {"events": report.events, "seals": report.seals, "retired": report.retired}
        )
        self.stdout.write(_("Not sealed yet: %(waiting)s events.") % {"waiting": report.waiting})
        if report.head:
            self.stdout.write(_("Head, to keep elsewhere: %(head)s") % {"head": report.head})


def _head(text: str) -> str:
    """The head as it was printed. What cannot be one is wrong usage, and no evidence against the audit trail."""
    if head.is_head(text):
        return text
    raise argparse.ArgumentTypeError(_("a head is a number, a colon and 64 hex digits, as --head prints it"))
