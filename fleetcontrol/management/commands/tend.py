"""`manage.py tend`: runs all scheduled duties. Let cron or a timer start it every five minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.duties import duties, run


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
        rounds = {}
        for name in chosen:
            rounds[name] = run(name)
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
