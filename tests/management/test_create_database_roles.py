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
from fleetcontrol.audit.chain import WritersStillActive, extend_chain
from fleetcontrol.audit.models import AuditEvent
from fleetcontrol.management.commands.create_database_roles import RIGHTS
from fleetcontrol.people.models import Fleet, Membership, Role, User
from tests.support import factory
from tests.support.browsers import signed_in
from tests.support.reports import leave_all_reports

pytestmark = pytest.mark.django_db(transaction=True)
NAME = "fleetcontrol_web_of_tests"
EVENT = "actor_kind, actor_id, actor_label, action, target_kind, target_id, target_label, changes, flow_id"
VALUES = "'user', '1', 'Eve', 'fleet.change', 'fleet', '1', 'Nord', '{}', ''"


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
        # Where or when nothing happened
        f"INSERT INTO audit_auditevent (id, {EVENT}) VALUES (-5, {VALUES})",
        f"INSERT INTO audit_auditevent (id, {EVENT}) OVERRIDING SYSTEM VALUE VALUES (2, {VALUES})",
        f"INSERT INTO audit_auditevent (id, {EVENT}) VALUES (DEFAULT, {VALUES})",
        f"INSERT INTO audit_auditevent (time, {EVENT}) VALUES (now() - interval '1 year', {VALUES})",
        "INSERT INTO audit_auditevent SELECT * FROM audit_auditevent",
        "COPY audit_auditevent FROM STDIN",
        "SELECT nextval('audit_auditevent_id_seq')",
        "SELECT setval('audit_auditevent_id_seq', 1)",
        "ALTER SEQUENCE audit_auditevent_id_seq RESTART WITH 1",
        # The locks that sealing waits for
        "LOCK TABLE audit_auditchain IN ROW SHARE MODE",
        "LOCK TABLE audit_auditevent IN ROW EXCLUSIVE MODE",
        "LOCK TABLE audit_auditevent IN SHARE MODE",
        "LOCK TABLE audit_auditseal IN EXCLUSIVE MODE",
        "LOCK TABLE audit_pseudonym IN ACCESS EXCLUSIVE MODE",
        "LOCK TABLE audit_keycheck IN SHARE MODE",
        "SELECT 1 FROM audit_auditchain FOR UPDATE",
        "SELECT 1 FROM audit_auditchain FOR KEY SHARE",
        "SELECT 1 FROM audit_auditseal FOR SHARE",
        "SELECT 1 FROM audit_auditevent FOR KEY SHARE",
        "UPDATE audit_auditchain SET kept_head = ''",
        "DELETE FROM audit_auditchain",
        "INSERT INTO audit_auditchain (id, sealed_until, kept_head) VALUES (1, 0, '')",
        # Who removed people were
        "UPDATE audit_pseudonym SET text = 'x'",
        "DELETE FROM audit_pseudonym",
        "UPDATE audit_keycheck SET digest = 'x'",
        "UPDATE django_admin_log SET change_message = 'x'",
        "DELETE FROM django_admin_log",
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
        "CREATE SCHEMA mine",
        "DELETE FROM django_migrations",
    ],
)
def test_the_role_is_refused(alice: User, statement: str) -> None:
    with web_connection() as web, pytest.raises(InsufficientPrivilege):
        web.execute(statement)


def web_connection() -> psycopg.Connection:
    """Return a connection as the web process has it."""
    params = connection.get_connection_params()
    options = {key: params[key] for key in ("host", "port", "dbname") if params.get(key)}
    return psycopg.connect(**options, user=NAME, password="it's a password")


def test_a_check_value_that_the_role_made_up_does_not_stop_the_sealing(role: str) -> None:
    factory.a_fleet()
    with web_connection() as web:
        web.execute("INSERT INTO audit_keycheck (name, digest) VALUES ('AUDIT_KEY', 'x')")
        assert extend_chain(patience=5) > 0  # before it is committed
    factory.a_fleet("Another")
    assert extend_chain() > 0


def test_what_the_role_can_lock_does_not_hold_up_the_sealing(alice: User) -> None:
    with web_connection() as web:
        web.execute("SELECT pg_advisory_lock(x'5EA1'::int)")
        for table in ("audit_auditevent", "audit_auditseal", "audit_pseudonym", "audit_auditchain", "audit_keycheck"):
            web.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        web.execute("LOCK TABLE people_user, people_fleet, vehicles_vehicle IN ACCESS EXCLUSIVE MODE")
        assert extend_chain(patience=5) > 0


def test_an_event_gets_its_id_and_time_from_the_database(alice: User) -> None:
    with web_connection() as web:
        web.execute(f"INSERT INTO audit_auditevent ({EVENT}) VALUES ({VALUES})")
    events = AuditEvent.objects.order_by("id")
    ids = [event.pk for event in events]
    assert events.latest("id").actor_label == "Eve"
    assert ids == list(range(ids[0], ids[0] + len(ids)))


def test_an_open_insert_that_stalls_the_sealing_is_told(alice: User, client: Client) -> None:
    with web_connection() as web:
        web.execute(f"INSERT INTO audit_auditevent ({EVENT}) VALUES ({VALUES})")
        with pytest.raises(WritersStillActive):
            extend_chain(patience=0.2)
        leave_all_reports()
        assert client.get("/health/").json()["status"] == "pass"
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE audit_auditevent SET time = time - interval '16 minutes'")
            cursor.execute("SET session_replication_role = origin")
        answer = client.get("/health/")
        assert (answer.status_code, answer.json()["status"]) == (200, "warn")
        assert "audit events wait to be sealed" in answer.json()["problems"][0]
    extend_chain()
    assert client.get("/health/").json()["status"] == "pass"


def test_ids_need_no_right_on_a_sequence(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND column_default LIKE 'nextval%'"
        )
        assert cursor.fetchall() == []


def test_no_function_lends_the_rights_of_its_owner(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace")
        assert cursor.fetchall() == []


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
    assert 'GRANT SELECT, INSERT (name, digest) ON "audit_keycheck" TO "nobody_yet";' in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'nobody_yet'")
        assert cursor.fetchone() == (0,)


def test_the_rights_on_each_table_are_named(db: None) -> None:
    assert RIGHTS.keys() == set(connection.introspection.table_names())


def test_every_column_of_an_event_but_id_and_time_may_be_written(db: None) -> None:
    columns = [str(field.column) for field in AuditEvent._meta.concrete_fields if field.column not in ("id", "time")]
    assert RIGHTS["audit_auditevent"] == f"SELECT, INSERT ({', '.join(columns)})"


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
