"""A folder for a project of its own, with a database of its own, for tests that start programs."""

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
# What a program of ours finds on a machine where nobody has set anything.
TESTS_OWN = {"DJANGO_SETTINGS_MODULE"}  # pytest-django names the settings of the tests
UNSET = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in SETTINGS | TESTS_OWN}


@contextmanager
def a_folder() -> Iterator[Path]:
    """An empty folder with a short path; it goes together with the databases that root keeps elsewhere for it."""
    folder = Path(tempfile.mkdtemp(prefix="fc-"))
    yield folder
    for data in [path for path in folder.rglob("data") if path.is_symlink()]:
        data.readlink().parent.with_suffix(".project").unlink()
        shutil.rmtree(data.readlink().parent)
    shutil.rmtree(folder)
