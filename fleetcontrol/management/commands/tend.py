"""`manage.py tend`: runs all scheduled duties. Let cron or a timer start it every five minutes."""

from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.translation import gettext as _

from fleetcontrol.audit.chain import HeadStands, WritersStillActive, adopt_head
from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.duties import Round, duties, run
from fleetcontrol.operations.models import Report

MOST_NAMED = 10  # items of a duty that failed


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
        rounds = {}
        for name in chosen:
            rounds[name] = run(name)
            _report(name, rounds[name])
            if rounds[name].refusal:
                self.stderr.write(f"{name}: {rounds[name].refusal}")
            if not rounds[name].failed and (rounds[name].done or options["verbosity"] > 1):
                self.stdout.write(f"{name}: {rounds[name].done or 'nothing to do'}")
        failed = [name for name, one in rounds.items() if one.failed]
        partly = [f"{name} ({len(one.failed_items)})" for name, one in rounds.items() if one.failed_items]
        sentences = []
        if failed:
            sentences.append(f"These duties failed, see the log: {', '.join(failed)}.")
        if partly:
            sentences.append(
                f"Of these duties some items failed, see the log; the others are done: {', '.join(partly)}."
            )
        if sentences:
            raise CommandError(" ".join(sentences))

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


def _report(name: str, one: Round) -> None:
    """Keep what came of a duty for the health check; a database that is away has nowhere to keep it."""
    items = ", ".join(one.failed_items[:MOST_NAMED])
    with suppress(DatabaseError):
        Report.leave(name, one.refusal or items or one.done, failed=one.failed or bool(one.failed_items))
