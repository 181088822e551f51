"""`manage.py tend`: runs all scheduled duties. Let cron or a timer start it every five minutes."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from fleetcontrol.audit.chain import HeadStands, WritersStillActive, adopt_head
from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.duties import Refused, duties

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = (
        "Erase former secrets whose time is up, check credentials again, send reminders, and whatever else is due. "
        "Run it every five minutes; two at once do no harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only", action="append", choices=list(duties()), metavar="DUTY", help="only this duty; repeatable"
        )
        parser.add_argument(
            "--adopt-head",
            metavar="REASON",
            help="first go on from an audit trail without the kept head, after a restore or failover",
        )
        parser.add_argument("--list", action="store_true", help="name the duties and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = options["only"] or list(duties())
        if options["list"]:
            self.stdout.write("\n".join(chosen))
            return
        require_audit_key()
        if options["adopt_head"] is not None:
            self._adopt_head(options["adopt_head"].strip())
        failed = []
        for name in chosen:
            try:
                done = duties()[name]()
            except Refused as refusal:
                self.stderr.write(f"{name}: {refusal}")
                failed.append(name)
                continue
            except Exception:  # a duty that fails must not stop the others
                logger.exception("The duty %s failed.", name)
                failed.append(name)
                continue
            if done or options["verbosity"] > 1:
                self.stdout.write(f"{name}: {done or 'nothing to do'}")
        if failed:
            raise CommandError(f"These duties failed, see the log: {', '.join(failed)}.")

    def _adopt_head(self, reason: str) -> None:
        if not reason:
            raise CommandError(_("Give the reason, such as “restored from the backup of Monday”."), returncode=2)
        try:
            sealed = adopt_head(reason)
        except HeadStands:
            raise CommandError(_("The kept head is in the audit trail: there is nothing to adopt.")) from None
        except WritersStillActive as delay:
            raise CommandError(str(delay)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from None
        self.stdout.write(_("The audit trail goes on. Sealed: %(sealed)s events.") % {"sealed": sealed})
