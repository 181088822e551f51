"""Django's PostgreSQL backend for the embedded server, which it starts at the first connection.

The settings name the server's folder and durability in EMBEDDED. Where the server listens is known only once it runs.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import client
from django.utils.functional import cached_property

from fleetcontrol.postgres import home, server
from fleetcontrol.postgres.served import base as served


def start(settings_dict: dict[str, Any]) -> None:
    """Start the server unless it runs, and put its socket's folder into HOST. Raises ImproperlyConfigured."""
    try:
        settings_dict["HOST"] = str(server.ensure(**settings_dict["EMBEDDED"]))
    except server.PostgresError as error:
        raise ImproperlyConfigured(str(error)) from None


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell`."""

    @classmethod
    def settings_to_cmd_args_env(cls, settings_dict: dict[str, Any], parameters: Any) -> Any:
        start(settings_dict)
        return super().settings_to_cmd_args_env(settings_dict, parameters)


class DatabaseWrapper(served.DatabaseWrapper):
    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        start(self.settings_dict)
        return super().get_connection_params()

    @cached_property
    def pg_version(self) -> int:
        """The version that the wheel brings. Django's system checks ask for it; asking the server would start it."""
        return int(home.MAJOR) * 10_000
