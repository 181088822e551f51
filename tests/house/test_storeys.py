"""pyproject.toml says who may import whom; import-linter holds it, for every room that is named there."""

import pkgutil
import re
import tomllib

import fleetcontrol
from tests.support.project import PROJECT


def test_every_room_of_the_house_has_its_storey() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    storeys = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    placed = {name.removeprefix("fleetcontrol.") for storey in storeys for name in re.split(r"\s*:\s*", storey)}
    rooms = {module.name for module in pkgutil.iter_modules(fleetcontrol.__path__)}
    assert rooms - placed == {"formats"}  # Django's own formats of dates, which import nothing
