"""The web process works under a database role that cannot rewrite history. Real connections of that role try."""

from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from psycopg.errors import InsufficientPrivilege

from credentials.models import Credential
from fleetcontrol.audit.chain import extend_chain
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.management.commands.create_database_roles import RIGHTS, tables
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.support import factory
from tests.support.browsers import signed_in

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "fleetcontrol_web_of_tests"


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("DATABASE_WEB_PASSWORD", "it's a password")
    call_command("create_database_roles", "--name", NAME, stdout=StringIO())
    yield NAME
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {NAME}")
        cursor.execute(f"DROP ROLE {NAME}")


@pytest.fixture
def alice(role: str) -> User:
    fleet = factory.a_fleet()
    factory.a_credential(fleet, name="BMW Germany")
    extend_chain()
    return factory.a_member(fleet, Role.ADMINISTRATOR, name="Alice")


@pytest.fixture
def as_web(alice: User) -> Iterator[Client]:
    """Return a browser whose requests run under the role."""
    browser = signed_in(alice)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {NAME}")
        yield browser
        cursor.execute("RESET ROLE")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditevent SET actor_label = 'x'",
        "DELETE FROM audit_auditevent",
        "DELETE FROM people_usedcode",
        "UPDATE people_usedcode SET step = 0",
        "TRUNCATE audit_auditevent",
        "ALTER TABLE audit_auditevent DISABLE TRIGGER ALL",
        "DROP TABLE audit_auditevent",
        "SET session_replication_role = replica",
        "INSERT INTO audit_auditseal (number) VALUES (99)",
        "UPDATE audit_auditseal SET retired_at = now()",
        "DELETE FROM audit_auditseal",
        "INSERT INTO audit_pseudonym (text, digest) VALUES ('x', 'y')",
        "UPDATE credentials_credentialsecret SET added_by = 'x'",
        "UPDATE credentials_credentialsecret SET version = 7",
        "UPDATE credentials_credentialsecret SET fingerprints = '{}'",
        "TRUNCATE credentials_credentialsecret CASCADE",
        "DELETE FROM people_user",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE vehicles_vehicle ADD COLUMN mine int",
        "DROP TRIGGER credential_identity_is_fixed ON credentials_credential",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY people_user TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE mine",
        "DELETE FROM django_migrations",
    ],
)
def test_the_role_is_refused(alice: User, statement: str) -> None:
    params = connection.get_connection_params()
    options = {key: params[key] for key in ("host", "port", "dbname") if params.get(key)}
    with (
        psycopg.connect(**options, user=NAME, password="it's a password") as web,
        pytest.raises(InsufficientPrivilege),
    ):
        web.execute(statement)


def test_a_version_goes_only_with_its_credential(as_web: Client) -> None:
    with connection.cursor() as cursor, pytest.raises(Exception, match="A version of a secret"):
        cursor.execute("DELETE FROM credentials_credentialsecret")


def test_the_web_process_does_its_work_under_the_role(as_web: Client, alice: User) -> None:
    fleet, credential = Fleet.objects.get(), Credential.objects.get()
    for name in ("credentials:index", "vehicles:index", "members:index", "history:index"):
        assert as_web.get(reverse(name, args=[fleet.slug])).status_code == 200
    credential.rotate(actor=factory.TEST, values={"client_secret": "another"})
    credential.revert(actor=factory.TEST)
    vehicle = factory.a_vehicle(fleet, credential)
    vehicle.change(actor=factory.TEST, license_plate="HH-NL 9")
    vehicle.remove(actor=factory.TEST)
    credential.remove(actor=factory.TEST)
    invite = {"emails": "nina@example.com", "role": "viewer"}
    assert as_web.post(reverse("members:invite", args=[fleet.slug]), invite).status_code == 302
    browser = Client()
    browser.post("/accounts/login/", {"login": alice.email, "password": "pw-of-tests"})
    assert "_auth_user_id" in browser.session
    assert AuditEvent.objects.filter(action="user.sign_in").exists()
    assert as_web.post(reverse("fleets:remove", args=[fleet.slug]), {"name": fleet.name}).status_code == 302
    assert not Membership.objects.exists()


def test_a_dry_run_prints_the_sql_and_changes_nothing(db: None) -> None:
    out = StringIO()
    call_command("create_database_roles", "--name", "nobody_yet", "--dry-run", stdout=out)
    assert 'GRANT SELECT, INSERT ON "audit_auditevent" TO "nobody_yet";' in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'nobody_yet'")
        assert cursor.fetchone() == (0,)


def test_every_table_with_fewer_rights_exists(db: None) -> None:
    assert RIGHTS.keys() <= set(connection.introspection.table_names())


def test_every_table_is_granted(db: None) -> None:
    assert tables() == set(connection.introspection.table_names())


def test_running_it_again_changes_neither_rights_nor_password(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_WEB_PASSWORD")
    before = rights_and_password_of(role)
    assert before
    out = StringIO()
    call_command("create_database_roles", "--name", role, stdout=out)
    assert out.getvalue() == f"The role {role} is ready.\n"
    assert rights_and_password_of(role) == before


def rights_and_password_of(role: str) -> list[tuple[str, ...]]:
    """Return every right of the role on a table or column, and the digest of its password."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, '', privilege_type FROM information_schema.role_table_grants WHERE grantee = %(role)s "
            "UNION SELECT table_name, column_name, privilege_type FROM information_schema.role_column_grants "
            "WHERE grantee = %(role)s "
            "UNION SELECT '', rolpassword, '' FROM pg_authid WHERE rolname = %(role)s ORDER BY 1, 2, 3",
            {"role": role},
        )
        found: list[tuple[str, ...]] = cursor.fetchall()
    return found
