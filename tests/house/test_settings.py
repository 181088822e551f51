"""A missing or bad setting stops the start with one sentence that names it, and the README lists every setting."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.project import PROJECT, SETTINGS, UNSET, a_folder

WHOLE = {
    "DATABASE_URL": "postgres://fleetcontrol@db.example.com/fleetcontrol",
    "SECRET_KEY": "a",
    "FERNET_KEYS": "b",
    "FINGERPRINT_KEY": "c",
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
    ],
)
def test_a_bad_value_is_one_sentence(folder: Path, variables: dict[str, str], sentence: str) -> None:
    output = start(folder, WHOLE | variables)
    assert output.startswith(sentence)
    assert output.count("\n") == 1


def test_a_value_may_lie_in_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    output = start(folder, WHOLE | {"FERNET_KEYS": "", "FERNET_KEYS_FILE": str(tmp_path / "key")})
    assert "FERNET_KEYS = ['from-a-file']" in output


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
