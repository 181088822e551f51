"""A missing or bad setting stops the start with one sentence that names it, and the README lists every setting."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import PROJECT, SETTINGS, UNSET

WHOLE = {
    "DATABASE_URL": "postgres://fleetcontrol@db.example.com/fleetcontrol",
    "SECRET_KEY": "a",
    "FERNET_KEYS": "b",
    "FINGERPRINT_KEY": "c",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project without its keys."""
    ignored = shutil.ignore_patterns(".*", "var", "tests", "static", "__pycache__")
    return Path(shutil.copytree(PROJECT, tmp_path_factory.mktemp("project"), ignore=ignored, dirs_exist_ok=True))


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
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE must be a name such as Europe/Berlin, not Mars/Olympus."),
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


def test_the_readme_lists_every_setting() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", (PROJECT / "README.md").read_text(), re.MULTILINE))
    assert listed == SETTINGS
