"""Dates as Germans, ISO with time and spreadsheets write them."""

from datetime import date
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular.dates import read_date
from tests.support.import_files import import_by_command


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-31", "2026-12-31T00:00:00Z", "2026-12-31 00:00:00", "2026-12-31T23:59:59.123456+01:00",
        "31.12.2026", "31. 12. 2026", "31.12.2026 00:00", "31.12.2026, 14:05:00", "2026/12/31",
        "31/12/2026", "12/31/2026", "12/31/2026 0:00", "31-12-2026",
    ],
)  # fmt: skip
def test_one_day_in_many_forms(text: str) -> None:
    assert read_date(text) == date(2026, 12, 31)


def test_a_day_that_may_be_two_is_not_guessed() -> None:
    assert read_date("03.04.2026") == date(2026, 4, 3)
    assert read_date("4/4/2026") == date(2026, 4, 4)
    with pytest.raises(ValidationError, match="one of two days"):
        read_date("03/04/2026")


@pytest.mark.parametrize(
    "text", ["", "46387", "31.12.26", "2026", "2026-13-01", "30.02.2026", "soon", "1/1", "99/99/2026"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not a date"):
        read_date(text)


@pytest.mark.django_db
def test_an_import_takes_them(fleet: Fleet, tmp_path: Path) -> None:
    text = (
        "name;brand;client_id;client_secret;Läuft ab\nOne;NIU;a;b-secret;31.12.2026\nTwo;NIU;c;d;2026-12-31T00:00:00Z\n"
    )
    assert import_by_command("import_credentials", fleet, text, tmp_path=tmp_path)[0] == 0
    assert {str(one.ends_on) for one in fleet.credentials.all()} == {"2026-12-31"}
