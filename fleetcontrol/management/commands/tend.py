"""`manage.py tend`: runs all scheduled duties. Let cron or a timer start it every five minutes."""

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.duties import duties

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
        parser.add_argument("--list", action="store_true", help="name the duties and do nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = options["only"] or list(duties())
        if options["list"]:
            self.stdout.write("\n".join(chosen))
            return
        require_audit_key()
        failed = []
        for name in chosen:
            try:
                done = duties()[name]()
            except Exception:  # a duty that fails must not stop the others
                logger.exception("The duty %s failed.", name)
                failed.append(name)
                continue
            if done or options["verbosity"] > 1:
                self.stdout.write(f"{name}: {done or 'nothing to do'}")
        if failed:
            raise CommandError(f"These duties failed, see the log: {', '.join(failed)}.")
