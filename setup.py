"""Says in a sentence that Python is too old. Without this file, older pips report conflicting dependencies instead."""

import sys

if sys.version_info < (3, 12):  # noqa: UP036 - this is the check itself
    sys.exit(
        "FleetControl needs Python 3.12 or newer; this is Python %d.%d. "  # noqa: UP031 - for an old Python
        "Make the environment again with a newer one, for example: python3.13 -m venv --clear .venv"
        % sys.version_info[:2]
    )

from setuptools import setup

setup()
