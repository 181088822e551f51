"""Files of every usual kind are read as rows with their line numbers, or with what is wrong."""

import csv
import io
import json
import tracemalloc
import zipfile
from itertools import repeat
from typing import BinaryIO, cast

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetcontrol.tabular import Limits, OddCells, Table, TabularProblem, csv_lines, read, safe_cell, unescaped

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
CARS = "Name;Größe;VIN\nKöln 1;7,5;X\nKöln 2;;Y\n"


def table_of(data: bytes | str, **options: object) -> Table:
    raw = data.encode() if isinstance(data, str) else data
    return read(io.BytesIO(raw), **options)  # type: ignore[arg-type]  # limits and format, as named


def problems(table: Table) -> list[tuple[int, str, str]]:
    return [(line, p.column, p.reason) for line, p in table if isinstance(p, TabularProblem)]


def odd_cells(table: Table) -> list[tuple[int, str, str]]:
    """Line, column and reason of each cell that is no plain text."""
    return [
        (line, table.header[position], one.reason)
        for line, cells in table
        if isinstance(cells, OddCells)
        for position, one in cells.odd.items()
    ]


def workbook(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_usual_encoding_and_line_end_reads_alike(encoding: str, end: str) -> None:
    table = table_of(CARS.replace("\n", end).encode(encoding))
    assert table.header == ["Name", "Größe", "VIN"]
    assert list(table) == [(2, ["Köln 1", "7,5", "X"]), (3, ["Köln 2", "", "Y"])]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_encoding_that_shows_late_is_still_found(encoding: str) -> None:
    late = "name,plate\n" + "van,HH-1\n" * 60_000 + "Kölner Straße,HH-2\n"
    table = table_of(late.encode(encoding))
    assert list(table)[-1] == (60_002, ["Kölner Straße", "HH-2"])
    assert table.encoding.lower() == {"utf-8": "utf-8", "cp1252": "windows-1252"}[encoding]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_usual_separator_is_found(separator: str) -> None:
    table = table_of(f'a{separator}b\n"1,5;|"{separator}2\n')
    assert list(table) == [(2, ["1,5;|", "2"])]


def test_excels_separator_line_is_understood() -> None:
    assert list(table_of("sep=;\r\nname;note\r\nVan;a,b\r\n")) == [(3, ["Van", "a,b"])]


def test_a_row_over_several_lines_is_named_by_its_first() -> None:
    table = table_of('name,note\n"a","one\ntwo"\n\n,\nb,x\nc\n')
    assert next(it := iter(table)) == (2, ["a", "one\ntwo"])
    assert next(it) == (6, ["b", "x"])
    assert next(it)[0] == 7


def test_each_bad_row_is_a_problem_with_its_line_and_the_rest_is_read() -> None:
    table = table_of(b'name,note\n"a"b,1\nok,1\nx,1,2\nn\0l,1\n\xc3\xbc,1\n\xff,1\n"open,1\nok,2\nend,3\n')
    rows = list(table)
    assert [line for line, cells in rows if isinstance(cells, list)] == [3, 5, 6, 7, 9, 10]
    wrong = {line: p.reason for line, p in rows if isinstance(p, TabularProblem)}
    wrong |= {line: cells.odd[0].reason for line, cells in rows if isinstance(cells, OddCells)}
    assert wrong == {
        2: "A closing quote must be followed by a separator or the end of the line.",
        4: "This row has 3 cells, the header has 2.",
        5: "This cell holds a NUL character.",
        7: "This cell holds bytes that are not UTF-8.",
        8: "A quote is opened on this line and not closed.",
    }


def test_a_giant_cell_is_a_problem_and_not_a_crash() -> None:
    table = table_of("name,note\nvan," + "x" * 40_000 + "\nvan,y\n")
    assert problems(table) == [(2, "", "A cell must not have more than 32767 characters.")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "The file is empty."),
        (b" \n\n", "The file is empty."),
        (b",,\n", "The file is empty."),
        (b"name,vin\n", "The file has a header but no rows."),
        (b"%PDF-1.7", "This is a PDF file. Save it as CSV or XLSX."),
        (b"PK\x03\x04 and nothing", "This workbook is damaged. Open it and save it again as XLSX."),
        (b'["name", 1]', 'A row must be one JSON object, such as {"name": "Van 7"}.'),
        (b"name\n" + b"x" * 5_000_000, "This line is too long to be a table's row."),
    ],
)
def test_a_file_that_is_no_table_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(TabularProblem) as caught:
        list(table_of(data))
    assert caught.value.reason == reason


def test_limits_of_bytes_rows_and_columns_are_stated_when_met() -> None:
    data = "a,b\n" + "1,2\n" * 10
    for limits, reason in [
        (Limits(bytes=20), "The file must not be larger than 20\xa0bytes."),
        (Limits(rows=9), "The file has more than 9 rows."),
        (Limits(columns=1), "The file has more than 1 columns."),
    ]:
        with pytest.raises(TabularProblem) as caught:
            list(table_of(data, limits=limits))
        assert caught.value.reason == reason


def test_json_lines_become_the_text_a_cell_would_hold() -> None:
    table = table_of(
        '{"name": "Van", "year": 2009, "on": true}\n\n{"name": null, "tags": ["a", "ö"]}\n'
        '{"name": "x", "name": "y"}\n{"name": \n[1]\n{"name": "\\ud800"}\n{"name": "a\\u0000"}\n'
    )
    assert table.format == "jsonl"
    assert table.header == ["name", "year", "on", "tags"]
    rows = list(table)
    assert rows[:2] == [(1, ["Van", "2009", "true", ""]), (3, ["", "", "", '["a","ö"]'])]
    assert [p.odd[0].reason if isinstance(p, OddCells) else getattr(p, "reason", "") for _line, p in rows[2:]] == [
        "This object has a key twice.",
        "This line is not JSON: see its character 9.",
        'A row must be one JSON object, such as {"name": "Van 7"}.',
        "This cell holds half of a character.",
        "This cell holds a NUL character.",
    ]


def test_a_workbook_reads_like_the_csv_it_would_be_saved_as() -> None:
    data = workbook(["name", "year", "plate"], ["Van", 2009, None], [], ["Bus", 1.5, "HH"], ["=1+1", 2, "'=x"])
    table = table_of(data)
    assert list(table) == [(2, ["Van", "2009", ""]), (4, ["Bus", "1.5", "HH"]), (5, ["", "2", "'=x"])]
    reason = "The file has only the formula of this cell. Open it in a spreadsheet, save it, and send it again."
    assert odd_cells(table_of(data)) == [(5, "name", reason)]


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    source = zipfile.ZipFile(io.BytesIO(workbook(["name"], ["Van"])))
    for target in ("xl/worksheets/sheet1.xml", "xl/styles.xml"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
            for part in source.namelist():
                blown = b"<c>" + b" " * 90_000_000 if part == target else b""
                bomb.writestr(part, source.read(part).replace(b"</", blown + b"</", 1))
        tracemalloc.start()
        with pytest.raises(TabularProblem, match="too large"):
            list(table_of(out.getvalue()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16_000_000


def test_memory_does_not_grow_with_the_rows() -> None:
    peaks = []
    for count in (50_000, 200_000):
        tracemalloc.start()
        assert sum(1 for _row in read(cast("BinaryIO", _Stream(count)))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


class _Stream:
    """A stream of one header and `count` rows, generated while it is read."""

    def __init__(self, count: int) -> None:
        self._pieces = iter([b"name,plate\n", *repeat(b"van,HH-1234567890\n" * 1000, count // 1000)])

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


@example(rows=[["", "", " 0"]], for_excel=False)
@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3).filter(lambda row: "".join(row).strip()), min_size=1, max_size=5),
    st.booleans(),
)
def test_what_csv_lines_write_reads_back_unchanged(
    rows: list[list[str]],
    for_excel: bool,  # noqa: FBT001 -- hypothesis passes it by name
) -> None:
    text = "".join(csv_lines(["a", "b", "c"], rows, for_excel=for_excel))
    read_back = [list(map(unescaped, cells)) for _line, cells in table_of(text) if isinstance(cells, list)]
    assert read_back == rows


@given(CELL)
def test_no_written_cell_starts_a_formula(cell: str) -> None:
    assert not safe_cell(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert next(csv.reader(io.StringIO("".join(csv_lines(["a"], [[cell]])), newline="")))


@given(st.lists(st.dictionaries(st.sampled_from("abc"), CELL, min_size=1), min_size=1, max_size=5))
def test_json_lines_read_back_unchanged(records: list[dict[str, str]]) -> None:
    table = table_of("".join(json.dumps(record) + "\n" for record in records))
    wanted = [[record.get(key, "") for key in table.header] for record in records if any(record.values())]
    if wanted:
        assert [cells for _line, cells in table] == wanted


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_whatever_crash_the_reader(data: bytes) -> None:
    for start in (b"", b"a,b\n", b'{"a": 1}\n', b"\xff\xfe"):
        read_all(start + data)


@settings(max_examples=10, deadline=None)  # each starts a process
@given(st.binary(max_size=300))
def test_no_bytes_whatever_crash_the_reader_of_workbooks(data: bytes) -> None:
    read_all(b"PK\x03\x04" + data)


def read_all(data: bytes) -> None:
    try:
        for line, _cells in table_of(data):
            assert line >= 1
    except TabularProblem as problem:
        assert problem.reason
