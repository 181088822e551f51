"""A key that is not the one this database was used with does no damage: it stops whoever would use it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from credentials.models import CredentialSecret
from fleetcontrol.audit.chain import extend_chain, retire_events
from fleetcontrol.audit.keys import WrongKey, require_audit_key, require_keys, warn_of_weak_keys
from fleetcontrol.audit.models import AuditChain, AuditEvent, AuditSeal, KeyCheck, Pseudonym
from fleetcontrol.environment import ring
from fleetcontrol.people.models import Fleet, User
from tests.support import factory
from tests.support.project import PROJECT, UNSET, a_folder, a_key
from tests.support.reports import leave_all_reports

NOT_COPIED = shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "benchmarks")
OLD, NEW, LOST = "old-key", "new-key", "lost-key"


@pytest.fixture
def used(db: None, settings: Settings) -> None:
    """A database that was used with these keys."""
    settings.FERNET_KEYS, settings.FINGERPRINT_KEY, settings.AUDIT_KEY = [OLD], "prints", "audit"
    require_keys()


@pytest.mark.parametrize("keys", [[OLD], [NEW, OLD], [OLD, NEW]])
def test_a_ring_with_a_known_key_starts(used: None, settings: Settings, keys: list[str]) -> None:
    settings.FERNET_KEYS = keys
    require_keys()
    settings.FERNET_KEYS = [OLD]  # another process, not restarted yet
    require_keys()


def test_a_ring_without_a_known_key_stops(used: None, settings: Settings) -> None:
    settings.FERNET_KEYS = [NEW, LOST]
    with pytest.raises(WrongKey, match=r"^FERNET_KEYS does not open the secrets in the database"):
        require_keys()
    assert KeyCheck.objects.filter(name="FERNET_KEYS").count() == 1  # a wrong key does not become a known one


def test_another_fingerprint_key_stops(used: None, settings: Settings) -> None:
    settings.FINGERPRINT_KEY = "another"
    with pytest.raises(WrongKey, match=r"^FINGERPRINT_KEY is not the one"):
        require_keys()


def test_a_database_from_before_check_values_is_asked_for_its_secrets(fleet: Fleet, settings: Settings) -> None:
    factory.a_credential(fleet)
    right, settings.FERNET_KEYS = settings.FERNET_KEYS, [LOST]
    with pytest.raises(WrongKey, match=r"^FERNET_KEYS"):
        require_keys()
    settings.FERNET_KEYS = right
    require_keys()


def test_the_other_keys_change_freely(used: None, settings: Settings) -> None:
    settings.SECRET_KEY, settings.TOKEN_KEYS = "another", ["another"]
    require_keys()


def test_no_check_value_contains_its_key(used: None, settings: Settings) -> None:
    require_audit_key()
    stored = " ".join([*KeyCheck.objects.values_list("digest", flat=True), AuditChain.objects.get().key_check])
    assert stored.count(" ") == 2
    assert not any(key in stored for key in (OLD, "prints", "audit"))


def test_reseal_forgets_the_keys_that_were_taken_away(used: None, settings: Settings, fleet: Fleet) -> None:
    factory.a_credential(fleet)
    settings.FERNET_KEYS = [NEW, OLD]
    require_keys()
    call_command("reseal", stdout=StringIO())
    settings.FERNET_KEYS = [OLD]
    require_keys()  # still in the ring when reseal ran
    settings.FERNET_KEYS = [NEW]
    call_command("reseal", stdout=StringIO())
    settings.FERNET_KEYS = [OLD]
    with pytest.raises(WrongKey):
        require_keys()


def test_reseal_forgets_nothing_while_a_secret_needs_it(used: None, settings: Settings, fleet: Fleet) -> None:
    factory.a_credential(fleet)
    settings.FERNET_KEYS = [NEW, OLD]
    require_keys()
    settings.FERNET_KEYS = [NEW]
    with pytest.raises(CommandError):
        call_command("reseal", stdout=StringIO())
    settings.FERNET_KEYS = [OLD]
    require_keys()


# AUDIT_KEY


def test_another_audit_key_seals_nothing(used: None, settings: Settings, fleet: Fleet) -> None:
    extend_chain()
    sealed = AuditSeal.objects.count()
    factory.a_credential(fleet)
    settings.AUDIT_KEY = "another"
    with pytest.raises(ImproperlyConfigured, match=r"^AUDIT_KEY is not the key that sealed"):
        call_command("tend", stdout=StringIO())
    with pytest.raises(WrongKey):
        extend_chain()
    with pytest.raises(WrongKey):
        retire_events(AuditEvent.objects.latest("time").time)
    assert AuditSeal.objects.count() == sealed
    settings.AUDIT_KEY = "audit"
    assert "The audit trail is whole" in verify_audit()


def test_another_audit_key_is_wrong_usage_and_no_evidence(used: None, settings: Settings, fleet: Fleet) -> None:
    extend_chain()
    settings.AUDIT_KEY = "another"
    with pytest.raises(CommandError, match=r"^AUDIT_KEY is not the key") as caught:
        verify_audit()
    assert caught.value.returncode == 2


def test_another_audit_key_makes_no_pseudonym(used: None, settings: Settings, bob: User) -> None:
    """Its digest would be of the wrong key, and the proof of the person's events gone for good."""
    extend_chain()
    settings.AUDIT_KEY = "another"
    with pytest.raises(WrongKey):
        call_command("remove_person", bob.email, stdout=StringIO())
    assert User.objects.filter(pk=bob.pk).exists()
    assert not Pseudonym.objects.exists()


def test_a_trail_from_before_check_values_is_asked_itself(used: None, settings: Settings, fleet: Fleet) -> None:
    extend_chain()
    AuditChain.objects.update(key_check="")
    settings.AUDIT_KEY = "another"
    with pytest.raises(WrongKey):
        require_audit_key()
    settings.AUDIT_KEY = "audit"
    require_audit_key()


def test_a_bent_check_value_stops_nobody(used: None, fleet: Fleet) -> None:
    extend_chain()
    AuditChain.objects.update(key_check="0" * 64)
    assert "The audit trail is whole" in verify_audit()


def verify_audit() -> str:
    out = StringIO()
    call_command("verify_audit", stdout=out, stderr=StringIO())
    return out.getvalue()


# Health


@pytest.mark.django_db(transaction=True)
def test_health_fails_with_keys_of_another_database(used: None, settings: Settings, client: Client) -> None:
    settings.FERNET_KEYS, settings.FINGERPRINT_KEY = [LOST], "another"
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")
    assert [words.split()[0] for words in answer.json()["problems"]] == ["FERNET_KEYS", "FINGERPRINT_KEY"]


@pytest.mark.django_db(transaction=True)
def test_health_warns_when_some_secrets_do_not_open(
    used: None, settings: Settings, client: Client, fleet: Fleet
) -> None:
    factory.a_credential(fleet, name="Sealed with the old key")
    settings.FERNET_KEYS = [NEW, OLD]
    require_keys()
    factory.a_credential(fleet, name="Sealed with the new key")
    settings.FERNET_KEYS = [NEW]
    leave_all_reports()
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["status"]) == (200, "warn")
    assert answer.json()["problems"] == ["FERNET_KEYS does not open some of the secrets: add the key that sealed them."]
    assert CredentialSecret.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_health_tells_a_key_that_is_missing_anywhere_in_the_ring(
    used: None, settings: Settings, client: Client, fleet: Fleet, taken: int
) -> None:
    """Many secrets are sealed with each key, so that those at both ends of each column tell nothing of the middle."""
    leave_all_reports()
    ring: list[str] = []
    for key in (OLD, "middle-key", NEW):
        settings.FERNET_KEYS = ring = [key, *ring]
        require_keys()
        for number in range(12):
            factory.a_credential(fleet, name=f"{key} {number}")
    assert client.get("/health/").json()["status"] == "pass"
    settings.FERNET_KEYS = [key for number, key in enumerate(ring) if number != taken]
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["status"]) == (200, "warn")
    assert answer.json()["problems"][0].startswith("FERNET_KEYS ")
    settings.FERNET_KEYS = ring
    call_command("reseal", stdout=StringIO())
    settings.FERNET_KEYS = [NEW]
    assert client.get("/health/").json()["problems"][0].startswith("FERNET_KEYS lacks 2 of the keys that sealed")
    call_command("reseal", stdout=StringIO())
    assert client.get("/health/").json()["status"] == "pass"


def test_an_older_key_that_is_weak_is_logged(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.FERNET_KEYS = [a_key("new"), "weak", a_key("old")]
    settings.TOKEN_KEYS = [a_key("token"), "feeble"]
    warn_of_weak_keys()
    assert caplog.messages == [
        f"Key 2 of {name} is weak. Take it away when the newer keys have replaced it."
        for name in ("FERNET_KEYS", "TOKEN_KEYS")
    ]
    caplog.clear()
    settings.TOKEN_KEYS = settings.FERNET_KEYS
    warn_of_weak_keys()
    assert len(caplog.messages) == 1


# Writing them


@pytest.mark.parametrize(
    "text", ["a,b", "a, b", "a\nb", "a\nb\n", "a\r\nb\r\n", "a,\nb", "a\n\nb", " a \n b ", "a,\r\n\r\nb"]
)
def test_commas_and_line_breaks_separate_keys(text: str) -> None:
    assert ring("FERNET_KEYS", text) == ["a", "b"]


@pytest.mark.parametrize("text", ["a b", "a\tb", "a,b c", "a\nb c"])
def test_a_blank_inside_a_key_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^FERNET_KEYS holds a key with a blank in it"):
        ring("FERNET_KEYS", text)


@pytest.mark.parametrize("text", ["a,,b", ",", "a,"])
def test_an_empty_key_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^FERNET_KEYS holds an empty key"):
        ring("FERNET_KEYS", text)


# Real processes


@pytest.fixture(scope="module")
def trial() -> Iterator[Path]:
    """A copy of the project whose database was used with the keys in its var/keys."""
    with a_folder() as folder:
        shutil.copytree(PROJECT, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
        for command in (("migrate", "--verbosity=0"), ("tend",)):
            subprocess.run([sys.executable, "manage.py", *command], cwd=folder, env=UNSET, check=True)
        yield folder


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**UNSET, **variables}, capture_output=True, text=True
    )


@pytest.mark.parametrize("key", ["FERNET_KEYS", "FINGERPRINT_KEY"])
@pytest.mark.parametrize(
    "start",
    [
        ("manage.py", "db_worker", "--batch"),
        ("manage.py", "tend"),
        ("manage.py", "find_secret"),
        ("manage.py", "quickstart", "--no-demo", "--port", "8971"),
        ("manage.py", "import_credentials", "nothing.csv", "--fleet", "demo"),
        ("-c", "import fleetcontrol.wsgi"),
    ],
    ids=lambda start: start[1],
)
def test_nothing_starts_with_a_wrong_key(trial: Path, start: tuple[str, ...], key: str) -> None:
    answer = run(trial, *start, **{key: a_key("wrong")})
    assert answer.returncode in (1, 3)
    assert answer.stderr.startswith(f"{key} ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["tend", "verify_audit"])
def test_the_trail_is_not_touched_with_a_wrong_key(trial: Path, command: str) -> None:
    answer = run(trial, "manage.py", command, AUDIT_KEY=a_key("wrong"))
    assert answer.returncode != 0
    assert "AUDIT_KEY is not the key that sealed this audit trail." in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_what_needs_no_key_starts_with_a_wrong_one(trial: Path) -> None:
    for command in ("check", "migrate", "help"):
        assert run(trial, "manage.py", command, FERNET_KEYS=a_key("wrong")).returncode == 0


def test_the_right_keys_start(trial: Path) -> None:
    key, new = (trial / "var" / "keys" / "FERNET_KEYS").read_text(), a_key("new")
    for keys in (key, f"{new},{key}", f"{new}\n{key}\n"):
        answer = run(trial, "-c", "import fleetcontrol.wsgi", FERNET_KEYS=keys)
        assert (answer.returncode, answer.stderr) == (0, "")
