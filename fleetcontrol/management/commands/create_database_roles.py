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

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, transaction
from django.utils.translation import gettext as _
from psycopg import sql

# The role's rights on a table. It may read and write the rows of all other tables.
RIGHTS = {
    "audit_auditevent": "SELECT, INSERT",
    "audit_auditseal": "SELECT",
    "audit_keycheck": "SELECT, INSERT",
    "audit_pseudonym": "SELECT",
    "people_user": "SELECT, INSERT, UPDATE",
    "people_usedcode": "SELECT, INSERT",
    "credentials_credentialsecret": (
        "SELECT, INSERT, DELETE, UPDATE (value, is_current, ends_on, erase_after, erased_at)"
    ),
    "django_migrations": "SELECT",
    "django_content_type": "SELECT",
    "auth_permission": "SELECT",
}
ALL_ROWS = "SELECT, INSERT, UPDATE, DELETE"
WITHOUT_MODEL = ("fleetcontrol_cache", "fleetcontrol_beat", "django_migrations")
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
    """Revoke all rights, then grant those that the web process needs."""
    role, database = sql.Identifier(name), sql.Identifier(str(connection.settings_dict["NAME"]))
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(role)
    yield sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role)
    yield sql.SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {}").format(role)
    # Imports work in temporary tables.
    yield sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, role)
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role)
    yield sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role)
    for table in sorted(tables()):
        rights = sql.SQL(RIGHTS.get(table, ALL_ROWS))
        yield sql.SQL("GRANT {} ON {} TO {}").format(rights, sql.Identifier(table), role)


def tables() -> set[str]:
    """Every table of FleetControl and of the packages it uses."""
    options = [model._meta for model in apps.get_models(include_auto_created=True)]
    return {one.db_table for one in options if one.managed and not one.proxy} | {*WITHOUT_MODEL}


def as_text(statement: sql.Composed) -> str:
    with connection.cursor() as cursor:
        return statement.as_string(cursor.connection)
