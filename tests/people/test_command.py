"""Every command that takes a fleet answers an unknown one alike."""

import pytest
from django.core.management import CommandError, call_command

from fleetcontrol.people.models import Fleet


@pytest.mark.django_db
@pytest.mark.parametrize(
    "command",
    [
        ["check_credentials"],
        ["create_api_client", "--name", "Booking", "--permission", "vehicles:read"],
        ["export_credentials"],
        ["export_vehicles"],
        ["find_secret"],
        ["import_credentials", "-"],
        ["import_vehicles", "-"],
        ["move_vehicles", "--from", "First", "--to", "Second"],
        ["verify_audit"],
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_fleet_is_wrong_usage_and_the_fleets_are_named(fleet: Fleet, command: list[str]) -> None:
    sentence = f"There is no fleet “nobody”. The fleets are: {fleet.slug}."
    with pytest.raises(CommandError, match=sentence) as error:
        call_command(*command, "--fleet", "nobody")
    assert error.value.returncode == 2
