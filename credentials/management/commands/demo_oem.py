"""`manage.py demo_oem`: play the OEMs on this machine, so that checks can be tried without an account."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from credentials.oem.demo import BEHAVIOURS, DemoOem


class Command(BaseCommand):
    help = "Play every OEM of the catalogue on this machine, well-behaved and badly behaved, until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8443, help="where to listen on 127.0.0.1 (8443)")
        parser.add_argument("--wrong-certificate", action="store_true", help="show a certificate that is not the OEMs'")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("another.example",) if options["wrong_certificate"] else ()
        oem = DemoOem(settings.VAR_DIR / "demo_oem", options["port"], names, log=self.stdout.write)
        try:
            oem.start()
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.filename:
                raise CommandError(f"{error.filename}: {error.strerror}") from None
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise CommandError(
                f"Port {options['port']} cannot be used: {reason}. Choose another with --port."
            ) from None
        try:
            self._greet(oem)
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            oem.stop()

    def _greet(self, oem: DemoOem) -> None:
        self.stdout.write(f"The demo OEM listens. Start FleetControl with FLEETCONTROL_DEMO_OEM={oem.address}")
        if own := settings.FLEETCONTROL_BRANDS:
            self.stdout.write(f"It also plays the brands of {own}.")
        self.stdout.write(
            "Any client certificate works, and any secret except one that starts with one of these words:"
        )
        for word, behaviour in BEHAVIOURS.items():
            self.stdout.write(f"  {word:12}{behaviour}")
