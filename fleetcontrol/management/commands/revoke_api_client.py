"""End an API client for good, with its secrets and tokens."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleetcontrol.api.models import ApiClient
from fleetcontrol.audit.models import Actor


class Command(BaseCommand):
    help = "Revoke an API client: its secrets and its tokens stop at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("client_id", metavar="CLIENT_ID", help="such as fc_9f2c…")

    def handle(self, *args: Any, **options: Any) -> None:
        client = ApiClient.objects.select_related("fleet").filter(client_id=options["client_id"]).first()
        if client is None:
            raise CommandError(f"There is no API client “{options['client_id']}”.")
        if client.revoked_at is not None:
            self.stdout.write(f"{client.name} of {client.fleet} was revoked before.")
            return
        client.revoke(actor=Actor.command("revoke_api_client"))
        self.stdout.write(f"Revoked {client.name} of {client.fleet}.")
