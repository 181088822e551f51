"""A missing or bad setting stops the start with one sentence that names it, and the README lists every setting."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fleetcontrol.environment import is_strong, require_good_keys
from tests.support.project import KEYS, PROJECT, SETTINGS, UNSET, a_folder, a_key

WHOLE = {
    "DATABASE_URL": "postgres://fleetcontrol@db.example.com/fleetcontrol",
    **KEYS,
}


NOT_COPIED = shutil.ignore_patterns(".*", "var", "tests", "__pycache__")
# Makes the database of a trial as it was before the first release, when every table belonged to the app "fleetcontrol".
MAKE_OLD_DATABASE = """
from pathlib import Path
import psycopg
from fleetcontrol.postgres import server
socket = server.ensure(Path("var/postgres").absolute(), durable=False)
with psycopg.connect(server.address(socket, server.NAME)) as connection:
    connection.execute("CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz)")
    for app in ("contenttypes", "auth", "fleetcontrol", "account", "credentials", "vehicles"):
        connection.execute("INSERT INTO django_migrations (app, name) VALUES (%s, '0001_initial')", [app])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project without its keys."""
    return Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("project"), ignore=NOT_COPIED, dirs_exist_ok=True))


@pytest.fixture
def trial() -> Iterator[Path]:
    """Copy the project without its database."""
    with a_folder() as folder:
        yield Path(shutil.copytree(PROJECT, folder, ignore=NOT_COPIED, dirs_exist_ok=True))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder without any setting of FleetControl."""
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=UNSET, capture_output=True, text=True)


def start(folder: Path, variables: dict[str, str]) -> str:
    """Return what `manage.py` prints when it starts with these variables."""
    run = subprocess.run(
        [sys.executable, "manage.py", "diffsettings"],
        cwd=folder,
        env={**UNSET, **variables},
        capture_output=True,
        text=True,
    )
    return run.stdout if run.returncode == 0 else run.stderr


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set. It is the key that signs sessions; set SECRET_KEY, or"),
        ({"SECRET_KEY_FILE": "/nowhere"}, "SECRET_KEY_FILE names a file that cannot be read: /nowhere: No such file"),
        ({"FERNET_KEYS": "a,,b"}, "FERNET_KEYS holds an empty key."),
        ({"TOKEN_KEYS": ""}, "TOKEN_KEYS holds an empty key."),
        ({"TOKEN_KEYS": " "}, "TOKEN_KEYS holds an empty key."),
        ({"TOKEN_KEYS_FILE": "/dev/null"}, "TOKEN_KEYS holds an empty key."),
        ({"DATABASE_URL": "mysql://a/b"}, "DATABASE_URL must start with postgres://"),
        ({"DATABASE_URL": "postgres://a:b@c:d/e"}, "DATABASE_URL is not an address of a PostgreSQL database."),
        ({"DATABASE_REPLICA_URL": "replica"}, "DATABASE_REPLICA_URL must start with postgres://"),
        ({"PUBLIC_URL": "fleet.example.com"}, "PUBLIC_URL must be the address people use"),
        ({"PUBLIC_URL": "http://[::1"}, "PUBLIC_URL must be the address people use"),
        ({"BEHIND_PROXY": "ture"}, "BEHIND_PROXY must be true or false, not ture."),
        ({"API_REQUESTS_PER_MINUTE": "many"}, "API_REQUESTS_PER_MINUTE must be a whole number, not many."),
        (
            {"FLEETCONTROL_WEBHOOK_PORTS": "443, 70000"},
            "FLEETCONTROL_WEBHOOK_PORTS must be ports from 1 to 65535, such",
        ),
        ({"FLEETCONTROL_WEBHOOK_PORTS": "0"}, "FLEETCONTROL_WEBHOOK_PORTS must be ports from 1 to 65535, such as"),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE must be a name such as Europe/Berlin, not Mars/Olympus."),
        ({"EMAIL_URL": "smtp://[::1"}, "EMAIL_URL is not an address of a mail server."),
        ({"OIDC_ISSUER": "https://[::1"}, "OIDC_ISSUER must be an address such as"),
        ({"EMAIL_URL": "mail.example.com"}, "EMAIL_URL is not an address of a mail server."),
        ({"AUDIT_HEAD_SYSLOG": "log.example.com"}, "AUDIT_HEAD_SYSLOG must be a socket such as /dev/log, or"),
        ({"AUDIT_HEAD_WEBHOOK": "http://log.example.com/"}, "AUDIT_HEAD_WEBHOOK must be an address such as https://"),
    ],
)
def test_a_bad_value_is_one_sentence(folder: Path, variables: dict[str, str], sentence: str) -> None:
    output = start(folder, WHOLE | variables)
    assert output.startswith(sentence)
    assert output.count("\n") == 1


WEAK = ["a", "k" * 64, "abcabcabc" * 8, "0123456789-abcdefghijklmnopqrst"]
NAMES = ["SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY", "TOKEN_KEYS"]


@pytest.mark.parametrize("name", NAMES)
def test_a_weak_key_is_one_sentence_that_says_how_to_make_one(folder: Path, name: str) -> None:
    output = start(folder, WHOLE | {name: "weak-key"})
    assert output.startswith(f"{name} is too weak: a key has 32 characters or more, 10 of them different. Make one ")
    assert "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'" in output
    assert output.count("\n") == 1
    assert "weak-key" not in output


@pytest.mark.parametrize("key", WEAK, ids=["one letter", "one letter often", "few letters", "31 letters"])
def test_a_key_is_weak_that_is_short_or_repeats_itself(key: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^FERNET_KEYS is too weak"):
        require_good_keys({"FERNET_KEYS": [key]})


@pytest.mark.parametrize("name", ["FERNET_KEYS", "TOKEN_KEYS"])
def test_only_the_newest_key_of_a_ring_has_to_be_strong(folder: Path, name: str) -> None:
    new = a_key("new")
    assert f"{name} = ['{new}', 'weak']" in start(folder, WHOLE | {name: f"{new},weak"})
    assert start(folder, WHOLE | {name: f"weak,{new}"}).startswith(f"The first of {name} is too weak: ")


@pytest.mark.parametrize("pair", list(combinations(NAMES, 2)), ids=" and ".join)
def test_no_key_serves_for_two_things(pair: tuple[str, str]) -> None:
    rings = {name: [a_key(name)] for name in NAMES}
    for name in pair:
        rings[name].append(a_key("shared"))  # an older key of a ring is one too
    with pytest.raises(ImproperlyConfigured, match=f"^{pair[0]} and {pair[1]} hold the same key") as caught:
        require_good_keys(rings)
    assert a_key("shared") not in str(caught.value)


def test_a_key_for_two_things_is_one_sentence(folder: Path) -> None:
    output = start(folder, WHOLE | {"TOKEN_KEYS": f"{a_key('new')},{WHOLE['FERNET_KEYS']}"})
    assert output.startswith("FERNET_KEYS and TOKEN_KEYS hold the same key, and each needs its own. Make one with: ")
    assert output.count("\n") == 1
    output = start(folder, WHOLE | {"AUDIT_KEY": WHOLE["SECRET_KEY"]})
    assert output.startswith("SECRET_KEY and AUDIT_KEY hold the same key")


@pytest.mark.parametrize(
    "program", [("-c", "import fleetcontrol.wsgi"), ("manage.py", "db_worker"), ("manage.py", "tend")]
)
def test_nothing_starts_with_a_weak_key(folder: Path, program: tuple[str, ...]) -> None:
    variables = {**UNSET, **WHOLE, "FERNET_KEYS": "a"}
    run = subprocess.run([sys.executable, *program], cwd=folder, env=variables, capture_output=True, text=True)
    assert run.returncode in (1, 3)
    assert run.stderr.startswith("FERNET_KEYS is too weak: ")
    assert run.stderr.count("\n") == 1


def test_keys_that_are_strong_enough() -> None:
    assert is_strong("0123456789abcdef" * 2)
    assert is_strong("0123456789" + "a" * 22)
    assert not is_strong("012345678" + "0" * 24)
    assert not is_strong("")


def test_a_value_may_lie_in_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{a_key('from-a-file')}\n")
    output = start(folder, WHOLE | {"FERNET_KEYS": "", "FERNET_KEYS_FILE": str(tmp_path / "key")})
    assert f"FERNET_KEYS = ['{a_key('from-a-file')}']" in output


@pytest.mark.parametrize(
    "arguments", [("-c", "import fleetcontrol.settings"), ("manage.py", "check")], ids=["settings", "check"]
)
def test_settings_and_checks_start_no_database(trial: Path, arguments: tuple[str, ...]) -> None:
    assert run(trial, *arguments).returncode == 0
    assert [path.name for path in (trial / "var").iterdir()] == ["keys"]


def test_the_database_of_an_old_trial_is_one_sentence(trial: Path) -> None:
    run(trial, "-c", MAKE_OLD_DATABASE).check_returncode()
    for command in ("migrate", "quickstart"):
        answer = run(trial, "manage.py", command)
        assert answer.returncode == 1
        assert answer.stderr.startswith("This database was made by a FleetControl before its first release")
        assert answer.stderr.count("\n") == 1


def test_an_embedded_database_that_cannot_be_used_is_one_sentence(trial: Path) -> None:
    (trial / "var").mkdir()
    (trial / "var" / "postgres").write_text("a file in the place of the folder")
    answer = run(trial, "manage.py", "migrate")
    assert answer.returncode == 1
    assert answer.stderr.startswith("The embedded PostgreSQL cannot be used")
    assert answer.stderr.count("\n") == 1


def test_the_readme_lists_every_setting() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "README.md").read_text(), re.MULTILINE))
    assert listed == SETTINGS
