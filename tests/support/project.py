"""A separate folder and environment for tests that start programs of the project."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
READ = "".join((PROJECT / "fleetcontrol" / name).read_text() for name in ("settings.py", "environment.py"))
SETTINGS = set(re.findall(r'(?:env\.\w+|key)\(\s*"([A-Z_]+)"', READ)) | {"OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"}
# The environment of this process without any setting of FleetControl.
TESTS_OWN = {"DJANGO_SETTINGS_MODULE"}  # set by pytest-django
UNSET = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in SETTINGS | TESTS_OWN}


def a_key(word: str) -> str:
    """Return a key that is strong enough to start with, the same for the same word."""
    return f"{word}-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGH"


KEYS = {name: a_key(name) for name in ("SECRET_KEY", "FERNET_KEYS", "FINGERPRINT_KEY", "AUDIT_KEY")}


@contextmanager
def a_folder() -> Iterator[Path]:
    """Make an empty folder with a short path. Removes it with the databases that root keeps elsewhere for it."""
    folder = Path(tempfile.mkdtemp(prefix="fc-"))
    yield folder
    for data in [path for path in folder.rglob("data") if path.is_symlink()]:
        data.readlink().parent.with_suffix(".project").unlink()
        shutil.rmtree(data.readlink().parent)
    shutil.rmtree(folder)
