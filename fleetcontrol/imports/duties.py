"""What `manage.py tend` does for imports."""

from fleetcontrol.imports.models import ImportRun


def erase_left_imports() -> str:
    """Erase files that nobody went on with."""
    erased = ImportRun.erase_left_files()
    return f"{erased} erased" if erased else ""
