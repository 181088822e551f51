"""Nothing that one fleet, brand or row holds ends work for another, whatever somebody wrote into the row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import JSONField, Value
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from credentials import duties as credential_duties
from credentials.models import Credential, CredentialSecret, Notice, Status, Webhook
from credentials.oem.demo import DemoOem
from fleetcontrol.imports.models import ImportRun, Stage
from fleetcontrol.imports.work import attempt_in_background
from fleetcontrol.management.commands.db_worker import Worker
from fleetcontrol.people.models import Fleet, Role, User
from fleetcontrol.seal import Sealed, seal
from tests.support import factory
from tests.support.factory import TEST
from tests.support.webhook_receiver import Receiver

pytestmark = pytest.mark.django_db


@dataclass
class Tenant:
    fleet: Fleet
    person: User
    credential: Credential
    webhook: Webhook
    run: ImportRun

    @classmethod
    def of(cls, name: str, address: str) -> Tenant:
        fleet = factory.a_fleet(name=name)
        person = factory.a_member(fleet, Role.MANAGER, name=name)
        credential = factory.a_tesla(fleet, "right-1", f"Tesla of {name}")
        factory.a_vehicle(fleet, credential)
        credential.rotate(values={"client_secret": "right-2"}, actor=TEST)
        credential.secrets.filter(version=1).update(erase_after=timezone.now())
        credential.change(ends_on=timezone.localdate() + timedelta(days=7), actor=TEST)
        webhook, _key = Webhook.set_up(fleet=fleet, url=address, actor=TEST)
        long_ago = timezone.now() - timedelta(days=1)
        run = ImportRun.objects.create(
            fleet=fleet, kind="vehicle", file_name="a.csv", size=1, stage=Stage.WRITING, attempt=1, step="read",
            started_at=long_ago, beat_at=long_ago, actor={"kind": "user", "id": "1", "label": "x", "address": ""},
        )  # fmt: skip
        return cls(fleet, person, credential, webhook, run)


def is_refused(table: str, pk: object, *verbs: str) -> None:
    """Let the database refuse every change of one row, as a rule that the row breaks would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'Nadel-im-Heuhaufen' USING ERRCODE = 'check_violation'; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER refuse BEFORE {' OR '.join(verbs or ('UPDATE',))} ON {table} FOR EACH ROW "
            f"WHEN (OLD.id::text = '{pk}') EXECUTE FUNCTION refuse()"
        )


def set_settings(value: Any) -> Callable[[Tenant], Any]:
    return lambda sick: Credential.objects.filter(pk=sick.credential.pk).update(settings=value)


def set_address(value: str | bytes) -> Callable[[Tenant], Any]:
    def set_it(sick: Tenant) -> None:
        sealed = Sealed(value) if isinstance(value, bytes) else seal(value, sick.webhook.address_owner)
        Webhook.objects.filter(pk=sick.webhook.pk).update(address=sealed)

    return set_it


def set_facts(value: Any, **fields: Any) -> Callable[[Tenant], Any]:
    """A notice that is there already."""
    return lambda sick: Notice.objects.create(
        fleet=sick.fleet, credential=sick.credential, facts=value, key="poison",
        **{"kind": "credential.fails"} | fields,
    )  # fmt: skip


def set_brand(brand: str) -> Callable[[Tenant], Any]:
    """As if the operator had taken the brand out of the file; a trigger keeps people from it."""

    def set_it(sick: Tenant) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            for table, name in (("credentials_credential", "brand"), ("vehicles_vehicle", "telematics_brand")):
                cursor.execute(f"UPDATE {table} SET {name} = %s WHERE fleet_id = %s", [brand, sick.fleet.pk])
            cursor.execute("SET session_replication_role = origin")

    return set_it


def lose_secret(sick: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM credentials_credentialsecret WHERE credential_id = %s", [sick.credential.pk])
        cursor.execute("SET session_replication_role = origin")


def set_ends_on(sick: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credentials_credential SET ends_on = '-infinity' WHERE id = %s", [sick.credential.pk])


def set_status_since(sick: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credentials_credential SET status = %s, status_since = 'infinity' WHERE id = %s",
            [Status.REJECTED.value, sick.credential.pk],
        )


def task(args_kwargs: Any, status: str = "RUNNING", path: str = attempt_in_background.module_path) -> Any:
    return lambda sick: DBTaskResult.objects.create(
        args_kwargs=args_kwargs, task_path=path, status=status, backend_name="default", run_after=timezone.now(),
        exception_class_path="", traceback="",
    )  # fmt: skip


HARMLESS = {  # known to be wrong: told as a result, and nothing fails
    "webhook that is no name": set_address("https://(a)-xn--.example/hook"),
    "webhook that is no address": set_address("javascript:alert(1)"),
    "webhook with a port": set_address("https://localhost:99999/"),
    "webhook's seal": set_address(b"gAAAAAnonsense"),
    "webhook sealed for another": lambda sick: Webhook.objects.filter(pk=sick.webhook.pk).update(
        address=seal("https://localhost/", "webhook:other:address")
    ),
    "webhook's key": lambda sick: Webhook.objects.filter(pk=sick.webhook.pk).update(signing_key=Sealed(b"")),
    "secret's seal": lambda sick: sick.credential.secrets.filter(is_current=True).update(value=Sealed(b"nonsense")),
    "brand out of the file": set_brand("GONE"),
    "brand that is nonsense": set_brand("%(a)s{}"),
    "settings without the region": set_settings({}),
    "person's language": lambda sick: User.objects.filter(pk=sick.person.pk).update(language="../x"),
    "person's address": lambda sick: User.objects.filter(pk=sick.person.pk).update(email="a..b@(c)-xn--.example"),
    "import's noun": lambda sick: ImportRun.objects.filter(pk=sick.run.pk).update(kind="spaceship"),
    "import's language": lambda sick: ImportRun.objects.filter(pk=sick.run.pk).update(language="x\u2028", taken_up=9),
    "task {}": task({}),
    "task []": task([]),
    "task null": task({"args": None}),
    "task of an object": task({"args": [{"a": 1}, []], "kwargs": {}}),
    "task waiting": task({"args": ["x"]}, "READY"),
}
FAILS = {  # nobody knew: logged, and tend ends with an error
    "settings that are a list": set_settings(["a"]),
    "settings that are null": set_settings(Value(None, JSONField())),
    "region that is a number": set_settings({"region": 5}),
    "region that is an object": set_settings({"region": {"a": []}}),
    "secret that is gone": lose_secret,
    "secret that cannot be erased": lambda sick: is_refused(
        "credentials_credentialsecret", CredentialSecret.objects.get(credential=sick.credential, version=1).pk
    ),
    "notice without facts": set_facts({}),
    "notice whose facts are a list": set_facts([]),
    "notice with a number that is none": set_facts({"name": "a", "brand": "b", "vehicles": "many", "reason": ""}),
    "notice of an unknown kind": set_facts({}, kind="other"),
    "notice with a number too long": set_facts(
        {"name": "a", "brand": "TESLA", "ends_on": "never", "days": "x"}, kind="credential.expires"
    ),
    "import that cannot be changed": lambda sick: is_refused("imports_importrun", sick.run.pk),
    "end before all time": set_ends_on,
    "status after all time": set_status_since,
}


@pytest.fixture
def tenants(hook: tuple[str, type[Receiver]], oem: DemoOem) -> list[Tenant]:
    """Two fleets with the same to be done. The sick one is always first."""
    sick, healthy = Tenant.of("Sick", hook[0]), Tenant.of("Healthy", hook[0])
    Credential.objects.filter(pk=sick.credential.pk).update(next_check_at=timezone.now() - timedelta(days=9))
    return [sick, healthy]


@pytest.mark.parametrize("name", [*HARMLESS, *FAILS])
def test_a_row_that_is_poison_keeps_no_other_from_its_turn(
    name: str, tenants: list[Tenant], hook: tuple[str, type[Receiver]], caplog: pytest.LogCaptureFixture
) -> None:
    sick, healthy = tenants
    ({**HARMLESS, **FAILS}[name])(sick)
    tend(fails=name in FAILS)
    tend(fails=None)
    healthy.credential.refresh_from_db()
    assert healthy.credential.status == Status.WORKING
    assert not healthy.credential.secrets.filter(version=1, erased_at=None).exists()
    assert [message.to for message in mail.outbox].count([healthy.person.email]) == 1
    posted = [body["credential"]["id"] for body in hook[1].bodies() if body["fleet"] == healthy.fleet.slug]
    assert posted == [healthy.credential.pk]
    healthy.run.refresh_from_db()
    assert healthy.run.taken_up == 1
    assert "Nadel" not in caplog.text and "right-" not in caplog.text


def tend(*, fails: bool | None) -> None:
    """Run all duties. None does not care whether some of them fail."""
    try:
        call_command("tend", stdout=StringIO())
    except CommandError as error:
        assert fails is not False, error
        assert "some items failed" in str(error) and "These duties failed" not in str(error)
    else:
        assert not fails


@pytest.mark.django_db(transaction=True)
def test_a_credential_that_cannot_be_changed_keeps_no_other_from_its_turn(tenants: list[Tenant]) -> None:
    is_refused("credentials_credential", tenants[0].credential.pk)
    try:
        tend(fails=True)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse CASCADE")
    tenants[1].credential.refresh_from_db()
    assert tenants[1].credential.status == Status.WORKING
    assert len(mail.outbox) == 2


def test_many_silences_of_one_fleet_put_off_no_other(tenants: list[Tenant], oem: DemoOem) -> None:
    sick, healthy = tenants
    for number in range(6):
        bad = factory.a_tesla(sick.fleet, f"trouble-{number}", f"Bad {number}")
        factory.a_vehicle(sick.fleet, bad)
    Credential.objects.filter(name__startswith="Bad").update(next_check_at=timezone.now() - timedelta(days=10))
    credential_duties.verify_due()
    healthy.credential.refresh_from_db()
    assert healthy.credential.status == Status.WORKING
    assert Credential.objects.filter(name__startswith="Bad", silences=1).count() == 3


def test_what_fails_comes_again(tenants: list[Tenant], hook: tuple[str, type[Receiver]]) -> None:
    sick, _healthy = tenants
    notice = set_facts({})(sick)
    tend(fails=True)
    facts = {"name": "Now good", "brand": "TESLA", "vehicles": 1, "reason": ""}
    Notice.objects.filter(pk=notice.pk).update(facts=facts, post_after=timezone.now())
    notice.emails.update(try_after=timezone.now())
    tend(fails=False)
    assert "Now good" in mail.outbox[-1].subject
    assert hook[1].bodies()[-1]["credential"]["name"] == "Now good"


def test_reseal_seals_all_rows_but_the_one_that_refuses(tenants: list[Tenant], settings: Any) -> None:
    sick, healthy = tenants
    settings.FERNET_KEYS = ["a-new-key-of-the-ring-0123456789", *settings.FERNET_KEYS]
    is_refused("credentials_webhook", sick.webhook.pk)
    with pytest.raises(CommandError, match=rf"could not be sealed again.*address {sick.webhook.pk}"):
        call_command("reseal", stdout=StringIO())
    settings.FERNET_KEYS = settings.FERNET_KEYS[:1]
    healthy.webhook.refresh_from_db()
    assert healthy.webhook.address is not None and healthy.webhook.address.can_be_opened()
    assert not Webhook.objects.get(pk=sick.webhook.pk).address.can_be_opened()  # type: ignore[union-attr]
    assert all(one.value is None or one.value.can_be_opened() for one in CredentialSecret.objects.all())


def test_check_credentials_goes_through_all_fleets(tenants: list[Tenant], caplog: pytest.LogCaptureFixture) -> None:
    lose_secret(tenants[0])
    out = StringIO()
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("check_credentials", stdout=out)
    assert "could not be checked, see the log" in out.getvalue()
    assert "Tesla of Healthy (Tesla): works" in out.getvalue()
    assert f"Credential {tenants[0].credential.pk} failed" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("poison", [{}, [], {"args": None}, {"args": ["x"], "kwargs": []}])
def test_a_task_that_cannot_be_read_does_not_end_the_worker(poison: Any) -> None:
    task(poison, "READY")(None)
    task({"args": [], "kwargs": {}}, "READY", "fleetcontrol.nothing.at_all")(None)
    task({"args": ["none", 1, "en"], "kwargs": {}}, "READY")(None)
    Worker(
        queue_names=["default"], interval=0, batch=True, backend_name="default", startup_delay=False, max_tasks=None,
        worker_id="test", excluded_queue_names=[],
    ).run()  # fmt: skip
    assert set(DBTaskResult.objects.values_list("status", flat=True)) == {"FAILED"}
