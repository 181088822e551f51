"""What a spreadsheet made of texts is told cell by cell, and what it shows is read as it shows it."""

import datetime
import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import openpyxl
import pytest
from django.core.management import call_command

from credentials.models import Credential
from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular import TabularProblem
from tests.support.factory import a_credential
from tests.tabular.test_files import odd_cells, table_of, workbook
from tests.tabular.test_malicious_files import NAMESPACE, hostile, sheet
from vehicles.models import Vehicle


def saved(book: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def in_format(*pairs: tuple[object, str]) -> list[str]:
    """What is read of values in number formats."""
    book = openpyxl.Workbook()
    book.worksheets[0].append(["id"])
    for row, (value, number_format) in enumerate(pairs, start=2):
        book.worksheets[0].cell(row, 1, value).number_format = number_format
    return [cells[0] for _line, cells in table_of(saved(book)) if isinstance(cells, list)]


def test_number_formats_of_zeros_are_followed() -> None:
    assert in_format(
        (4711000815, "000000000000"),
        (7, "0000"),
        (12345, "0000"),
        (1234567, "000-0000"),
        (1234567, '"SN"00000\\/0000'),
        (42, "00000;-00000"),
        (-42, "0000"),
        (2009, "0"),
        (5, "General"),
        (9.3, "0.0"),
        (1234, "#,##0"),
        (0, "000"),
    ) == [
        "004711000815",
        "0007",
        "12345",
        "123-4567",
        "SN00123/4567",
        "00042",
        "-42",
        "2009",
        "5",
        "9.3",
        "1234",
        "000",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (4000000000000121, "15 digits"),
        (8.9e18, "15 digits"),
        (-1234567890123456, "15 digits"),
        (0.1234567890123456, "15 digits"),
        (datetime.date(2026, 3, 9), "made a date"),
        (datetime.datetime(2026, 3, 9, 14, 5), "made a date"),
        (datetime.time(14, 5), "made a date"),
        (datetime.timedelta(hours=30), "made a date"),
        (True, "made a truth value"),
        (False, "made a truth value"),
        ("=1+1", "only the formula"),
        ("#REF!", "error of a formula"),
        ("x" * 40_000, "more than 32767 characters"),
    ],
)
def test_what_a_spreadsheet_made_of_a_text_is_told(value: object, words: str) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["name", "id"])
    book.worksheets[0].append(["Van", 1])
    cell = book.worksheets[0].cell(2, 2)
    cell.value = value
    if len(str(value)) > 32_767:  # openpyxl cuts it
        data = hostile(sheet=sheet(f'<row r="2"><c r="B2" t="inlineStr"><is><t>{value}</t></is></c></row>'))
        [(_line, _name, reason)] = odd_cells(table_of(data, header_row=0))
    else:
        [(_line, _name, reason)] = odd_cells(table_of(saved(book)))
    assert words in reason
    assert str(value)[:6] not in reason or value in (True, False)


@pytest.mark.parametrize("number", ["356938035643809", "999999999999999", "1.5", "9.3000000000000007", "2009", "1E5"])
def test_numbers_that_a_spreadsheet_keeps_whole_are_texts_too(number: str) -> None:
    data = hostile(sheet=sheet(f'<row r="2"><c r="A2"><v>{number}</v></c></row>'))
    assert list(table_of(data)) == [(2, [{"9.3000000000000007": "9.3", "1E5": "100000"}.get(number, number)])]


def test_the_stored_value_of_a_formula_is_read() -> None:
    rows = (
        '<row r="2"><c r="A2" t="str"><f>B2&amp;"1"</f><v>Van_x0041_</v></c></row>'
        '<row r="3"><c r="A3"><f>1+1</f><v>2</v></c></row>'
        '<row r="4"><c r="A4" t="s"><f>1+1</f></c></row>'
        '<row r="5"><c r="A5" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
        '<row r="6"><c r="A6" t="str"><f>""</f><v></v></c></row>'
        '<row r="7"><c r="A7"><f t="shared" si="0"/><v>3</v></c></row>'
    )
    data = hostile(sheet=sheet(rows))
    assert list(table_of(data)) == [(2, ["VanA"]), (3, ["2"]), (4, [""]), (5, [""]), (7, ["3"])]
    assert [line for line, _name, _reason in odd_cells(table_of(data))] == [4, 5]


def test_the_first_visible_sheet_is_read() -> None:
    book = openpyxl.Workbook()
    for number, state in enumerate(("hidden", "veryHidden", "visible", "visible")):
        one = book.worksheets[0] if not number else book.create_sheet()
        one.append(["name"])
        one.append([f"sheet {number}"])
        one.sheet_state = state
    book.active = 2
    assert list(table_of(saved(book))) == [(2, ["sheet 2"])]


def test_excels_own_escapes_are_undone() -> None:
    texts = ["a_x000D_b", "_x005F_x000D_", "_x005F_", "_xD83D__xDE97_", "_xD83D_", "x_y", "_x00_"]
    wanted = ["a\rb", "_x000D_", "_", "\U0001f697", "�", "x_y", "_x00_"]
    rows_of_texts: list[list[object]] = [[text] for text in texts]
    table = table_of(workbook(["name"], *rows_of_texts))
    assert [cells[0] for _line, cells in table if isinstance(cells, list)] == wanted
    shared = f'<sst xmlns="{NAMESPACE}"><si><t>a_x000D_b</t></si><si><r><t>c_x00</t></r><r><t>0D_d</t></r></si></sst>'
    rows = '<row r="2"><c r="A2" t="s"><v>0</v></c></row><row r="3"><c r="A3" t="s"><v>1</v></c></row>'
    assert list(table_of(hostile(texts=shared, sheet=sheet(rows)))) == [(2, ["a\rb"]), (3, ["c\rd"])]
    assert odd_cells(table_of(workbook(["name"], ["a_x0000_b"]))) == [(2, "name", "This cell holds a NUL character.")]


def test_rows_of_blanks_are_no_rows() -> None:
    assert list(table_of(workbook(["name", "vin"], ["Van", "X"], [" ", "\t"], ["Bus", "Y"]))) == [
        (2, ["Van", "X"]),
        (4, ["Bus", "Y"]),
    ]


def test_a_strict_workbook_and_one_without_a_visible_sheet_say_so() -> None:
    strict = '<workbook xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"><sheets/></workbook>'
    with pytest.raises(TabularProblem, match="Strict Open XML"):
        table_of(hostile(book=strict))
    book = openpyxl.Workbook()
    book.create_chartsheet()
    book.worksheets[0].sheet_state = "hidden"
    with pytest.raises(TabularProblem, match="no visible sheet"):
        table_of(saved(book))


def imported(command: str, fleet: Fleet, data: bytes, tmp_path: Path, *flags: str) -> tuple[dict[str, int], str]:
    """The summary of an import and what it said."""
    file = tmp_path / "file.xlsx"
    file.write_bytes(data)
    out, errors = io.StringIO(), io.StringIO()
    where = [f"--fleet={fleet.slug}", f"--report={tmp_path / 'report'}", "--json"]
    with suppress(SystemExit):
        call_command(command, str(file), *where, *flags, stdout=out, stderr=errors)
    return json.loads(out.getvalue()), (tmp_path / "report").read_text()


@pytest.mark.django_db
def test_a_date_is_for_fields_of_dates_alone(fleet: Fleet, tmp_path: Path) -> None:
    day = datetime.date(2026, 3, 9)
    header: list[object] = ["name", "brand", "client_id", "client_secret", "ends_on"]
    good = workbook(header, ["One", "NIU", "one", "a-secret", day])
    assert imported("import_credentials", fleet, good, tmp_path)[0]["new"] == 1
    assert Credential.objects.get().ends_on == day
    bad = workbook(header, ["Two", "NIU", day, "b-secret", day], ["Three", "NIU", "three", day, day])
    summary, told = imported("import_credentials", fleet, bad, tmp_path)
    assert summary["errors"] == 2
    assert told.count("A spreadsheet made a date or time of this.") == 2
    assert "2026" not in told.replace("2026-12-31", "")
    assert Credential.objects.count() == 1


@pytest.mark.django_db
def test_only_cells_that_are_imported_refuse_a_row(fleet: Fleet, tmp_path: Path) -> None:
    a_credential(fleet, "Berlin")
    header: list[object] = ["name", "telematics_brand", "vin", "credential", "age", "odd", "year", "model"]
    row: list[object] = ["Van", "MERCEDES_BENZ", "WDB9066331S123456", "Berlin", "=1+1", 4000000000000121, 2009]
    summary, told = imported("import_vehicles", fleet, workbook(header, row), tmp_path)
    assert summary["new"] == 1, told
    assert Vehicle.objects.get().year == 2009
    row = ["Bus", "MERCEDES_BENZ", "WDB9066331S123457", "Berlin", "", "", 2009, datetime.date(2026, 3, 9)]
    summary, told = imported("import_vehicles", fleet, workbook(header, row), tmp_path)
    assert summary["errors"] == 1
    assert "line,column,value,reason\n2,model,,A spreadsheet made a date" in told.replace("\r", "")
    summary, told = imported("import_vehicles", fleet, workbook(header, row), tmp_path, "--map=model=")
    assert summary["new"] == 1, told


def test_what_is_no_workbook_inside_an_archive_says_what_it_is() -> None:
    kinds = {
        ("mimetype", "content.xml"): "OpenDocument",
        ("cars.csv",): "ZIP archive",
        ("Index/Document.iwa",): "Apple Numbers",
        ("[Content_Types].xml", "xl/workbook.bin"): "binary workbook",
        ("[Content_Types].xml", "word/document.xml"): "no workbook",
    }
    for names, words in kinds.items():
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in names:
                archive.writestr(name, "application/vnd.oasis.opendocument.spreadsheet")
        with pytest.raises(TabularProblem, match=words):
            table_of(out.getvalue())
