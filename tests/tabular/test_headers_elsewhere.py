"""A header below a title, in two lines, or none at all: found or asked for, and no vehicle is ever taken for one."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.core.management import call_command

from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular import NoHeader, Table, TabularProblem, csv_lines, read
from tests.support.factory import a_credential
from tests.tabular.test_files import table_of, workbook
from vehicles.imports import VehicleImporter
from vehicles.models import Vehicle

HEADER = ["name", "vin", "license_plate", "make"]
VANS = [["Van 1", "WDB9066331S123456", "B-AB 1", "MB"], ["Van 2", "WDB9066331S123457", "B-AB 2", "MB"]]


def tables(*rows: Sequence[str], header_row: int | None = None) -> list[Table]:
    """The rows as an importer reads them from CSV of both kinds and from a workbook."""
    as_csv = ["".join(csv_lines(rows[0], rows[1:], for_excel=for_excel)).encode() for for_excel in (False, True)]
    of_workbook: list[list[object]] = [list(row) for row in rows]
    files = [*as_csv, workbook(*of_workbook)]
    return [VehicleImporter.read(io.BytesIO(data), header_row=header_row) for data in files]


@pytest.mark.parametrize(
    "above",
    [
        [],
        [["Vehicle report", "", "", ""]],
        [["Vehicle report"], ["Created", "01.11.2026"], ["", "", "", ""]],
        [["Fleet list, as of November; all"], [], ["Filter: name"]],
        [["Name"]],
        [["x"]] * 20,
    ],
)
def test_the_header_is_found_below_a_title(above: list[list[str]]) -> None:
    for table in tables(*above, HEADER, *VANS):
        assert table.header == HEADER
        assert table.header_row == len(above) + 1
        assert list(table) == [(len(above) + 2, VANS[0]), (len(above) + 3, VANS[1])]


@pytest.mark.parametrize(
    "two",
    [
        (["Vehicle", "", "", "Telematics"], ["Name", "VIN", "License plate", "Make"]),
        (["Name", "VIN", "", ""], ["", "", "License plate", "Make"]),
        (["Name", "VIN", "Marks", ""], ["", "", "License plate", "Make"]),
        (["Name", "", "", "Make"], ["", "VIN", "License plate", ""]),
    ],
)
def test_a_merged_head_of_two_lines_is_one_header(two: tuple[list[str], list[str]]) -> None:
    for given in (None, 3):
        for table in tables(["A report"], *two, *VANS, header_row=given):
            assert table.header == ["Name", "VIN", "License plate", "Make"]
            assert [line for line, _cells in table] == [4, 5]


@pytest.mark.parametrize(
    "rows",
    [
        VANS,
        [VANS[0]],
        [["", *VANS[0]], ["", *VANS[1]]],
        [["B-AB 101", "x"], ["B-CD 102", "y"]],
        [["Anna", "SEGWAY"], ["Otto", "SEGWAY"]],
        [["A report", "", "", ""], *VANS],
        [["A report"], [], *VANS],
        [["A report", "2026"], *VANS],
        [*VANS, HEADER, *VANS],
        [["Make", *VANS[0]], ["Other", *VANS[1]]],
        [["Make", "B-AB 101"], ["Other", "B-CD 102"]],
    ],
)
def test_no_vehicle_becomes_a_header(rows: list[list[str]]) -> None:
    with pytest.raises(NoHeader) as caught:
        tables(*rows)
    assert "WDB" not in caught.value.reason


def test_unknown_names_are_a_header_all_the_same() -> None:
    for table in tables(["Alpha", "Beta 2"], ["1", "2"], ["3", "4"]):
        assert table.header == ["Alpha", "Beta 2"]
    for table in tables(["Alpha", "VIN"], ["name", "plate"]):
        assert table.header_row in (1, 2)


def test_a_line_is_named_or_none() -> None:
    for table in tables(*VANS, header_row=0):
        assert table.header == ["column 1", "column 2", "column 3", "column 4"]
        assert list(table) == [(1, VANS[0]), (2, VANS[1])]
    for table in tables(["Alpha", "9"], ["Beta", "8"], ["Gamma", "7"], header_row=2):
        assert (table.header, list(table)) == (["Beta", "8"], [(3, ["Gamma", "7"])])
    for line in (4, 99):
        with pytest.raises(TabularProblem, match=f"No row of the file begins on line {line}"):
            tables(HEADER, *VANS, header_row=line)


def test_without_names_the_first_row_is_the_header() -> None:
    data = "".join(csv_lines(VANS[0], VANS[1:])).encode()
    assert read(io.BytesIO(data)).header == VANS[0]


def test_a_title_does_not_hide_the_separator() -> None:
    assert table_of("My cars\n\na;b;c\n1;2,5;3\n4;5;6\n", header_row=3).header == ["a", "b", "c"]
    assert table_of("My cars, all\n\na;b;c\n1;2;3\n4;5;6\n", header_row=3).header == ["a", "b", "c"]


@pytest.mark.django_db
def test_the_command_asks_for_the_header_and_takes_it(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_credential(fleet, "Berlin")
    file = tmp_path / "cars.csv"
    file.write_text("".join(csv_lines(VANS[0], VANS[1:])))
    flags = [f"--fleet={fleet.slug}", "--set=telematics_brand=MERCEDES_BENZ", "--set=credential=Berlin"]
    with pytest.raises(SystemExit):
        call_command("import_vehicles", str(file), *flags)
    told = capsys.readouterr().out
    assert "--header-row" in told and "WDB" not in told
    names = ["--map=name=column 1", "--map=vin=column 2", "--map=license_plate=column 3"]
    call_command("import_vehicles", str(file), *flags, "--header-row=0", *names)
    assert sorted(Vehicle.objects.values_list("name", "vin", "license_plate")) == [tuple(row[:3]) for row in VANS]
