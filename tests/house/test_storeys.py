"""Rules of the house that import-linter cannot state. Who may import whom stands in pyproject.toml."""

import ast
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleetcontrol
from tests.support.project import PROJECT

OURS = ("fleetcontrol", "credentials", "vehicles")
MODULES = sorted(path for package in OURS for path in (PROJECT / package).rglob("*.py"))
# A name that fits any module tells a reader nothing about this one.
VAGUE = {
    "utils", "helpers", "common", "core", "base", "misc", "services", "managers", "mixins", "constants", "exceptions",
}  # fmt: skip
# Django loads a database backend from the module `base` of the package that ENGINE names.
NAMED_BY_DJANGO = {"fleetcontrol/postgres/backend/base.py", "fleetcontrol/postgres/served/base.py"}
LONGEST_LINE = 120


def test_every_room_of_the_house_has_its_storey() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    storeys = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name.removeprefix("fleetcontrol.") for storey in storeys for name in re.split(r"\s*:\s*", storey)}
    rooms = {module.name for module in pkgutil.iter_modules(fleetcontrol.__path__)}
    assert rooms - placed == {"formats"}  # Django's own formats of dates, which import nothing


def test_no_import_of_our_own_code_is_for_type_checkers_only() -> None:
    assert [place(path, found) for path in MODULES for found in type_checking_imports(parsed(path))] == []


def test_no_function_imports_but_ready_of_an_app() -> None:
    assert [place(path, found) for path in MODULES for found in imports_in_functions(parsed(path), path.name)] == []


def test_no_module_has_a_vague_name() -> None:
    names = {path.relative_to(PROJECT).as_posix() for path in MODULES} - NAMED_BY_DJANGO
    assert sorted(name for name in names if VAGUE & set(name.removesuffix(".py").split("/"))) == []


@pytest.mark.parametrize("pattern", ["templates/**/*.html", "templates/**/*.txt", "static/css/**/*.css"])
def test_no_line_of_templates_and_styles_is_too_long(pattern: str) -> None:
    files = sorted(PROJECT.glob(pattern))
    assert files
    assert [
        f"{path.relative_to(PROJECT)}:{number} has {len(line)} characters"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > LONGEST_LINE
    ] == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("if TYPE_CHECKING:\n    from credentials.models import Credential", 1),
        ("if typing.TYPE_CHECKING:\n    import vehicles.models", 1),
        ("if TYPE_CHECKING:\n    from .models import Credential", 1),
        ("if TYPE_CHECKING:\n    from django_stubs_ext import StrOrPromise", 0),
        ("from credentials.models import Credential", 0),
    ],
)
def test_an_import_for_type_checkers_is_found(source: str, count: int) -> None:
    assert len(list(type_checking_imports(ast.parse(source)))) == count


@pytest.mark.parametrize(
    ("file", "source", "count"),
    [
        ("models.py", "def find():\n    if True:\n        import json", 1),
        ("models.py", "class Vehicle:\n    async def find(self):\n        from vehicles import vin", 1),
        ("models.py", "class VehiclesConfig:\n    def ready(self):\n        from vehicles import vin", 1),
        ("apps.py", "class VehiclesConfig:\n    def ready(self):\n        from vehicles import vin", 0),
        ("models.py", "import json", 0),
    ],
)
def test_an_import_in_a_function_is_found(file: str, source: str, count: int) -> None:
    assert len(list(imports_in_functions(ast.parse(source), file))) == count


def type_checking_imports(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the imports of our own code below `if TYPE_CHECKING`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            yield from (found for found in imports_below(node) if is_ours(found))


def imports_in_functions(tree: ast.Module, file: str) -> Iterator[ast.stmt]:
    """Yield the imports inside functions. `ready` in an apps.py may import, because models exist only by then."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (file, node.name) != ("apps.py", "ready"):
            yield from imports_below(node)


def imports_below(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    yield from (found for found in ast.walk(node) if isinstance(found, ast.Import | ast.ImportFrom))


def is_ours(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or str(node.module).partition(".")[0] in OURS
    return any(alias.name.partition(".")[0] in OURS for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place(path: Path, node: ast.stmt) -> str:
    return f"{path.relative_to(PROJECT)}:{node.lineno} {ast.unparse(node)}"
