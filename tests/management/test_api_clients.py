"""create_api_client and revoke_api_client."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from fleetcontrol.api.models import ApiClient
from fleetcontrol.people.models import Fleet
from tests.support.api import Api, token


def created(**options: object) -> dict[str, str]:
    out = StringIO()
    chosen: dict[str, object] = {"fleet": "nordlicht-logistik", "name": "ERP"} | options
    permissions = [f"--permission={one}" for one in chosen.pop("permission", [])]  # type: ignore[attr-defined]  # a list
    words = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    call_command("create_api_client", *permissions, *words, stdout=out)
    return dict(line.split(": ", 1) for line in out.getvalue().splitlines())


def test_id_and_secret_are_printed_on_lines_of_their_own_and_work(fleet: Fleet) -> None:
    lines = created(permission=["vehicles.ro", "telematics-credentials"], ends_on="2099-12-31")
    assert list(lines) == ["Client ID", "Client secret"]
    assert lines["Client ID"].startswith("fc_") and lines["Client secret"].startswith("fcs_")
    assert token(lines["Client ID"], lines["Client secret"]).status_code == 200
    client = ApiClient.objects.get()
    assert client.permissions == ["vehicles.ro", "telematics-credentials"]
    assert str(client.ends_on) == "2099-12-31"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fleet": "none"}, "The fleets are: nordlicht-logistik"),
        ({"permission": ["everything"]}, "Unknown permission: everything"),
        ({"ends_on": "2001-01-01"}, "This day has passed."),
        ({"name": " "}, "This field cannot be blank."),
    ],
)
def test_mistakes_are_one_sentence(fleet: Fleet, options: dict[str, object], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        created(**{"permission": ["vehicles"]} | options)
    assert ApiClient.objects.count() == 0


def test_revoking_ends_the_client(fleet: Fleet) -> None:
    api, out = Api(fleet), StringIO()
    call_command("revoke_api_client", api.client.client_id, stdout=out)
    assert out.getvalue() == "Revoked ERP of Nordlicht Logistik.\n"
    assert token(api.client.client_id, api.secret).status_code == 401
    with pytest.raises(CommandError, match="There is no API client"):
        call_command("revoke_api_client", "fc_none")
