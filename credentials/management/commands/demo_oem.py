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
        except OSError as error:
            raise CommandError(
                f"Port {options['port']} cannot be used: {error.strerror}. Choose another with --port."
            ) from None
        self.stdout.write(f"The demo OEM listens. Start FleetControl with FLEETCONTROL_DEMO_OEM={oem.address}")
        self.stdout.write("Any secret works, except those that start with one of these words:")
        for word, behaviour in BEHAVIOURS.items():
            self.stdout.write(f"  {word:12}{behaviour}")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            oem.stop()
