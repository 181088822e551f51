"""Add an API client to a fleet and print its id and secret."""

from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleetcontrol.api.models import PERMISSIONS, ApiClient
from fleetcontrol.audit.models import Actor
from fleetcontrol.people.command import fleet_or_error


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"“{text}” is not a day; write it like 2027-12-31.") from None


class Command(BaseCommand):
    help = "Add an API client to a fleet. Its secret is printed once and cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fleet", required=True, metavar="SLUG", help="the fleet's short name in addresses")
        parser.add_argument("--name", required=True, help="what the program is, unique in the fleet")
        parser.add_argument(
            "--permission",
            required=True,
            action="append",
            metavar="PERMISSION",
            help=f"may be given several times: {', '.join(PERMISSIONS)}",
        )
        parser.add_argument("--ends-on", type=day, metavar="DAY", help="the last day it works, such as 2027-12-31")

    def handle(self, *args: Any, **options: Any) -> None:
        fleet = fleet_or_error(options["fleet"])
        if unknown := sorted(set(options["permission"]) - PERMISSIONS.keys()):
            raise CommandError(f"Unknown permission: {', '.join(unknown)}. There are: {', '.join(PERMISSIONS)}.")
        try:
            client, secret = ApiClient.add(
                fleet=fleet,
                actor=Actor.command("create_api_client"),
                name=options["name"],
                permissions=options["permission"],
                ends_on=options["ends_on"],
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(f"Client ID: {client.client_id}\nClient secret: {secret}")
