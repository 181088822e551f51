"""The OEM of the tests: the server of `manage.py demo_oem`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_django.fixtures import Settings

from credentials.oem.demo import DemoOem


def play(settings: Settings, folder: Path, **options: Any) -> Iterator[DemoOem]:
    """Start the demo OEM and send all sign-ins to it until the test ends."""
    oem = DemoOem(folder / "oem", **options)
    oem.start()
    settings.FLEETCONTROL_DEMO_OEM = oem.address
    settings.FLEETCONTROL_DEMO_OEM_CA = str(oem.ca_file)
    try:
        yield oem
    finally:
        oem.stop()
