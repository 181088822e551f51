"""A folder for a project of its own, with a database of its own, for tests that start programs."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def a_folder() -> Iterator[Path]:
    """An empty folder with a short path; it goes together with the databases that root keeps elsewhere for it."""
    folder = Path(tempfile.mkdtemp(prefix="fc-"))
    yield folder
    for data in [path for path in folder.rglob("data") if path.is_symlink()]:
        data.readlink().parent.with_suffix(".project").unlink()
        shutil.rmtree(data.readlink().parent)
    shutil.rmtree(folder)
