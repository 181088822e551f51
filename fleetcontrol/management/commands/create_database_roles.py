"""Create the database role of the web process, which can do its work but cannot rewrite history.

The role may not change or delete audit events, write seals, alter or drop tables, or delete people or change versions
of secrets. Migrations, `tend`, `reseal` and `remove_person` still run as the owner of the tables.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

ALL_ROWS = "SELECT, INSERT, UPDATE, DELETE"
# The role's rights on each table. A table that is missing here fails a test.
RIGHTS = {
    "account_emailaddress": ALL_ROWS,
    "account_emailconfirmation": ALL_ROWS,
    "api_apiclient": ALL_ROWS,
    "api_keptanswer": ALL_ROWS,
    "api_tally": ALL_ROWS,
    "audit_auditchain": "SELECT",
    # Without id and time, which the database gives: nobody puts an event where or when none was.
    "audit_auditevent": (
        "SELECT, INSERT (fleet_id, actor_kind, actor_id, actor_label, action, target_kind, target_id, target_label, "
        "changes, flow_id, address)"
    ),
    "audit_auditseal": "SELECT",
    "audit_keycheck": "SELECT, INSERT (name, digest)",
    "audit_pseudonym": "SELECT",
    "auth_group": "SELECT",
    "auth_group_permissions": "SELECT",
    "auth_permission": "SELECT",
    "credentials_credential": ALL_ROWS,
    "credentials_credentialsecret": (
        "SELECT, INSERT, DELETE, UPDATE (value, is_current, ends_on, erase_after, erased_at)"
    ),
    "credentials_notice": ALL_ROWS,
    "credentials_noticeemail": ALL_ROWS,
    "credentials_oemtoken": ALL_ROWS,
    "credentials_webhook": ALL_ROWS,
    "django_admin_log": "SELECT, INSERT",
    "django_content_type": "SELECT",
    "django_migrations": "SELECT",
    "django_session": ALL_ROWS,
    "django_tasks_database_dbtaskresult": ALL_ROWS,
    "fleetcontrol_beat": "SELECT, INSERT, UPDATE",
    "fleetcontrol_cache": ALL_ROWS,
    "imports_importpiece": ALL_ROWS,
    "imports_importrun": ALL_ROWS,
    "mfa_authenticator": ALL_ROWS,
    "operations_report": "SELECT, INSERT, UPDATE",
    "people_fleet": ALL_ROWS,
    "people_invitation": ALL_ROWS,
    "people_mail": ALL_ROWS,
    "people_membership": ALL_ROWS,
    "people_usedcode": "SELECT, INSERT",
    "people_user": "SELECT, INSERT, UPDATE",
    "people_user_groups": "SELECT",
    "people_user_user_permissions": ALL_ROWS,
    "socialaccount_socialaccount": ALL_ROWS,
    "socialaccount_socialapp": "SELECT",
    "socialaccount_socialtoken": ALL_ROWS,
    "usersessions_usersession": ALL_ROWS,
    "vehicles_vehicle": ALL_ROWS,
}
LONGEST_NAME = 63  # bytes


class Command(BaseCommand):
    help = (
        "Creates or refreshes the database role of the web process, without rights to change the audit trail, the "
        "history of secrets or the schema. Run it as the owner of the database, again after every migrate."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="fleetcontrol_web", help="name of the role (default: fleetcontrol_web)")
        parser.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")

    def handle(self, *args: Any, name: str, dry_run: bool, **options: Any) -> None:
        if not name or len(name.encode()) > LONGEST_NAME:
            raise CommandError(_("The name of a role has 1 to 63 bytes."))
        statements = [*role_statements(name, exists=self._exists(name)), *right_statements(name)]
        if dry_run:
            for statement in statements:
                self.stdout.write(f"{as_text(statement)};")
            return
        password, given = self._password(exists=self._exists(name))
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(as_text(statement))
                if password:
                    # A statement about roles takes no parameters; the literal is quoted by psycopg.
                    change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
                    cursor.execute(as_text(change))
        except DatabaseError as error:
            raise CommandError(_("The database refused: %(reason)s") % {"reason": str(error).strip()}) from None
        self.stdout.write(_("The role %(name)s is ready.") % {"name": name})
        if password and not given:
            self.stdout.write(_("Its password, shown once: %(password)s") % {"password": password})

    def _exists(self, name: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [name])
            (exists,) = cursor.fetchone()
        return bool(exists)

    def _password(self, *, exists: bool) -> tuple[str, bool]:
        """The password to set, and whether the environment gave it: DATABASE_WEB_PASSWORD, else new for a new role."""
        if file := os.environ.get("DATABASE_WEB_PASSWORD_FILE"):
            return Path(file).read_text().strip(), True
        if given := os.environ.get("DATABASE_WEB_PASSWORD"):
            return given, True
        return ("" if exists else secrets.token_urlsafe(32)), False


def role_statements(name: str, *, exists: bool) -> Iterator[sql.Composed]:
    role = sql.Identifier(name)
    if not exists:
        yield sql.SQL("CREATE ROLE {}").format(role)
    yield sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS").format(role)


def right_statements(name: str) -> Iterator[sql.Composed]:
    """Revoke all rights, then grant those that the web process needs.

    It needs none on sequences: a column GENERATED AS IDENTITY gives its ids to whoever may insert a row.
    """
    role, database = sql.Identifier(name), sql.Identifier(str(connection.settings_dict["NAME"]))
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(role)
    yield sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role)
    yield sql.SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {}").format(role)
    yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, role)
    # Imports work in temporary tables.
    yield sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, role)
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role)
    for table, rights in RIGHTS.items():
        yield sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), sql.Identifier(table), role)


def as_text(statement: sql.Composed) -> str:
    with connection.cursor() as cursor:
        return statement.as_string(cursor.connection)
