"""What `manage.py tend` does for imports."""

from fleetcontrol.imports.models import ImportRun


def erase_left_imports() -> str:
    """Erase the files of imports that people left unfinished."""
    erased = ImportRun.erase_left_files()
    return f"{erased} erased" if erased else ""
