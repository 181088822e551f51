"""`manage.py status`: what the page *System* and /health/ say, for the terminal and for programs."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from fleetcontrol.operations.status import status


class Command(BaseCommand):
    help = "Say whether work can be done and what somebody should look at. Ends with 1 if no work can be done."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        now = status()
        if options["json"]:
            self.stdout.write(json.dumps(now.for_programs(), ensure_ascii=False, indent=2))
        else:
            self.stdout.writelines([f"{row.label}: {row.text}\n" for row in now.rows])
            self.stdout.writelines([f"! {sentence}\n" for sentence in [*now.problems, *now.warnings]])
            self.stdout.write(now.word)
        if now.problems:
            sys.exit(1)
