"""Whether this Python has the packages that pyproject.toml asks for. Uses nothing but the standard library."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
AFTER_AN_UPDATE = (
    "Run these again, as after each update: pip install -q -c constraints.txt -e . "
    "(with the pip of the same environment, such as .venv/bin/pip), then manage.py migrate."
)


def missing() -> str:
    """A sentence that names the packages which are missing or too old. "" if all are there."""
    wanted = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [text for text in (_lack(requirement) for requirement in wanted) if text]
    if not names:
        return ""
    return f"This version of FleetControl needs {', '.join(names)}. {AFTER_AN_UPDATE}"


def _lack(requirement: str) -> str:
    """What is wrong with the package of a requirement such as "psycopg[binary,pool]>=3.3". "" if nothing is."""
    found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:>=\s*([0-9.]+))?", requirement)
    assert found  # noqa: S101 - pyproject.toml is ours
    name, least = found[1], found[2]
    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"{name}, which is not installed"
    if least and _numbers(installed) < _numbers(least):
        return f"{name} {least} or newer instead of {installed}"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version, without an ending such as rc1."""
    start = re.match(r"[0-9.]*", text)
    numbers = [int(number) for number in start[0].split(".") if number] if start else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
