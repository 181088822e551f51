"""Small files that would take minutes or gigabytes are refused with a reason, or read as what they are."""

import io
import json
import os
import resource
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcontrol.tabular import Limits, OddCells, TabularProblem, read
from tests.tabular.test_files import table_of, workbook

NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c></row>'
SHEET = "xl/worksheets/sheet1.xml"
STYLES = "xl/styles.xml"
TEXTS = "xl/sharedStrings.xml"
TYPES = "[Content_Types].xml"
BOOK = "xl/workbook.xml"
OVERRIDE = (
    b'<Override PartName="/xl/sharedStrings.xml" ContentType="application/'
    b'vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
)


def hostile(**parts: str | bytes) -> bytes:
    """A workbook with some parts replaced: sheet, styles, texts, types, book."""
    names = {"sheet": SHEET, "styles": STYLES, "texts": TEXTS, "types": TYPES, "book": BOOK}
    source, out = zipfile.ZipFile(io.BytesIO(workbook(["name"], ["Van"]))), io.BytesIO()
    replaced = {names[key]: content for key, content in parts.items()}
    if TEXTS in replaced:
        replaced[TYPES] = source.read(TYPES).replace(b"<Override", OVERRIDE + b"<Override", 1)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in {*source.namelist(), *replaced}:
            archive.writestr(name, replaced.get(name) or source.read(name))
    return out.getvalue()


def sheet(rows: str, before: str = "", start: str = "") -> str:
    return f'{start}<worksheet xmlns="{NAMESPACE}">{before}<sheetData>{HEADER}{rows}</sheetData></worksheet>'


def reason_of(data: bytes, **limits: int) -> str:
    """Why a file is not read to its end; "" if it is."""
    try:
        for _row in read(io.BytesIO(data), limits=Limits(**limits)):
            pass
    except TabularProblem as problem:
        return problem.reason
    return ""


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """A gigabyte more than this process and those that it starts take now: whatever needs more fails here too."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {one} "{f"&{before};" * 10}">' for before, one in zip("abcdefgh", "bcdefghi", strict=True)
) + "]>"  # fmt: skip
BLOWN = f'<!DOCTYPE x [<!ENTITY a "{"a" * 100_000}">]>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: hostile(sheet=sheet('<row r="1000000000"><c t="n"><v>1</v></c></row>')), "higher numbers"),
        (lambda: hostile(sheet=sheet('<row r="1e9"><c t="n"><v>1</v></c></row>')), "higher numbers"),
        (lambda: hostile(sheet=sheet('<row r="nan"/>')), "higher numbers"),
        (lambda: hostile(sheet=sheet(f'<row r="{"9" * 5000}"/>')), "higher numbers"),
        (lambda: hostile(sheet=sheet('<row r="one"/>')), "damaged"),
        (lambda: hostile(styles=f'<styleSheet xmlns="{NAMESPACE}"><cellXfs>' + "<xf/>" * 5_000_000), "too large"),
        (lambda: hostile(sheet=sheet("<row >" + "<c><v>1</v></c>" * 4_000_000 + "</row >")), "too large"),
        (lambda: hostile(sheet=sheet("<row>" + "<c/>" * 3_000_000 + "</row>")), "too large"),
        (lambda: hostile(sheet=sheet("<row>" + "<c>" * 1_000_000)), "too large"),
        (lambda: hostile(sheet=sheet("<row><c><v>" + "1" * 50_000_000 + "</v></c></row>")), "too large"),
        (lambda: hostile(sheet=sheet("<row><c><v>" + "1" * 5_000_000 + "</v></c></row>")), "damaged"),
        (lambda: hostile(sheet=sheet("", before="<mergeCell/>" * 5_000_000)), "too large"),
        (lambda: hostile(sheet=sheet("", before='<c xmlns="x"/>' * 5_000_000)), "too large"),
        (lambda: hostile(sheet=sheet("<row><c><v>&i;</v></c></row>", start=LAUGHS)), "damaged"),
        (lambda: hostile(sheet=sheet("<row><c><v>" + "&a;" * 100_000 + "</v></c></row>", start=BLOWN)), "damaged"),
        (lambda: hostile(texts=LAUGHS + f'<sst xmlns="{NAMESPACE}"><si><t>&i;</t></si></sst>'), "damaged"),
        (lambda: hostile(types=f'<Types xmlns="x">{"<a/>" * 5_000_000}</Types>'), "too large"),
        (lambda: hostile(book=f'<workbook xmlns="{NAMESPACE}"><sheets>{"<sheet/>" * 2_000_000}'), "too large"),
        (lambda: hostile(texts=" " * 90_000_000), "too large"),
        (lambda: hostile(sheet=sheet("<row/>" * 1_500_000 + '<row r="9"/>'), styles="<a>"), "damaged"),
        (lambda: many_entries(100_000), "too large"),
        (lambda: many_entries(3), "ZIP archive"),
    ],
)  # fmt: skip
def test_a_malicious_workbook_is_refused_with_a_reason(data: object, words: str) -> None:
    made = data()  # type: ignore[operator]  # made here, because some are large before they are packed
    assert words in reason_of(made)


def many_entries(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.xml", b"")
    return out.getvalue()


def test_rows_and_cells_without_end_are_counted() -> None:
    assert "more than 1000 rows" in reason_of(hostile(sheet=sheet("<row><c><v>1</v></c></row>" * 5_000)), rows=1000)
    empty = hostile(sheet=sheet("<row/>" * 2_000_000))
    assert reason_of(empty, rows=1_000_000) == "The file has more than 1000000 rows."


def test_a_cell_far_to_the_right_costs_no_more_than_another() -> None:
    table = table_of(
        hostile(sheet=sheet('<row><c r="XFD2"><v>1</v></c></row><row><c r="ZZZ3"/><c r="A3"><v>5</v></c></row>'))
    )
    found = list(table)
    assert found[1] == (3, ["5"])
    assert isinstance(found[0][1], TabularProblem)
    assert found[0][1].reason == "This row has 16384 cells, the header has 1."
    far = "".join(f'<row r="{number}"><c r="XFD{number}"/></row>' for number in range(2, 100_000))
    assert reason_of(hostile(sheet=sheet(far))) == "The file has a header but no rows."


def test_a_formula_that_many_cells_share_is_not_translated_for_each() -> None:
    formula = "A1+" * 100_000 + "A1"
    rows = f'<row r="2"><c r="A2"><f t="shared" si="0" ref="A2:A9">{formula}</f></c></row>' + "".join(
        f'<row r="{number}"><c r="A{number}"><f t="shared" si="0"/></c></row>' for number in range(3, 3_000)
    )
    rows_of_formulas = list(table_of(hostile(sheet=sheet(rows))))
    assert len(rows_of_formulas) == 2_998
    assert all(isinstance(cells, OddCells) and "formula" in cells.odd[0].reason for _line, cells in rows_of_formulas)


def test_a_workbook_that_takes_too_long_or_too_much_memory_is_ended() -> None:
    many = hostile(sheet=sheet("<row><c><v>1</v></c></row>" * 300_000))
    assert reason_of(many, seconds=1) == (
        "Reading this workbook takes more than 1 seconds or 1.0\xa0GB of memory. Save it as CSV."
    )
    texts = f'<sst xmlns="{NAMESPACE}">{"".join(f"<si><t>{n:09}</t></si>" for n in range(700_000))}</sst>'
    assert "of memory" in reason_of(hostile(texts=texts), memory=60_000_000)


def test_the_process_is_gone_when_nobody_wants_more_rows() -> None:
    before = children()
    table = table_of(hostile(sheet=sheet("<row><c><v>1</v></c></row>" * 600_000)))
    rows = iter(table)
    assert next(rows) == (2, ["1"])
    assert len(children()) == len(before) + 1
    del rows, table
    assert children() == before


def test_the_process_gets_no_key_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERNET_KEYS", "planted")
    before = children()
    rows = iter(table_of(hostile(sheet=sheet("<row><c><v>1</v></c></row>" * 600_000))))
    assert next(rows)
    [started] = children() - before
    assert "planted" not in Path(f"/proc/{started}/environ").read_text()


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


JSON_HEAD = '{"a": 1}\n'


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{" + "".join(f'"k{n}": 1, ' for n in range(300_000)) + '"k299999": 2}', "has a key twice"),
        ("{" + ", ".join(f'"k{n}": 1' for n in range(150_000)) + "}", "more than 200 keys"),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "nested too deeply"),
        ('{"a": ' + '{"a": ' * 500_000, "nested too deeply"),
        ("[" * 1_000_000, "nested too deeply"),
        ('{"a": [' + "[]," * 1_000_000 + "[]]}", "more than 32767 characters"),
        ('{"a": ' + "9" * 1_000_000 + "}", "more than 32767 characters"),
        ('{"a": "' + "\\u0000" * 600_000 + '"}', "more than 32767 characters"),
    ],
    ids=range(8),
)
def test_a_malicious_json_line_is_the_problem_of_its_row(line: str, words: str) -> None:
    [(_one, cells), (number, wrong), (_three, last)] = table_of(JSON_HEAD + line + "\n" + JSON_HEAD)
    assert (cells, last, number) == (["1"], ["1"], 2)
    reason = wrong.odd[0].reason if isinstance(wrong, OddCells) else getattr(wrong, "reason", "")
    assert words in reason
    assert len(reason) + len("".join(wrong) if isinstance(wrong, OddCells) else "") < 300


def test_a_long_name_of_a_column_is_refused_and_not_told() -> None:
    for data in (b"a" * 501 + b",b\n1,2\n", b'{"' + b"a" * 501 + b'": 1}\n', workbook(["a" * 501], ["b"])):
        assert reason_of(data) == "The name of a column must not have more than 500 characters."


def test_a_thousand_objects_of_other_keys_are_too_many_columns() -> None:
    lines = "".join(json.dumps({f"k{one}_{n}": 1 for n in range(200)}) + "\n" for one in range(1000))
    assert reason_of(lines.encode()) == "The file has more than 200 columns."


@pytest.mark.parametrize(
    "data",
    [
        b'a\n"' + b"\n" * 3_000_000,
        b"a\n" + b'"\n\n' * 500_000,
        b"a\n" + b'"a""\n' * 500_000,
        b"a\n" + b"," * 4_000_000,
        b"," * 4_000_000 + b"\na\n",
        b"a" * 4_000_000 + b"\nb\n",
        (b"a," * 2_000_000 + b"\n") * 7,
        b'"' * 4_000_000,
        b"\n" * 5_000_000,
        b"a\r" * 2_000_000,
        b"sep=;" * 1_000_000,
        b"a\n" + b"\xc3" * 3_000_000,
        b"a\n" + b"\xff\n" * 1_000_000,
        b"a\n" + b"x" * 3_000_000 + b"\n" + b"y\n" * 10,
    ],
    ids=range(14),
)
def test_a_malicious_csv_is_read_or_refused(data: bytes) -> None:
    try:
        for _line, cells in table_of(data):
            assert isinstance(cells, TabularProblem) or len(cells) == 1
    except TabularProblem as problem:
        assert len(problem.reason) < 300


def test_a_workbook_whose_bytes_are_damaged_is_refused() -> None:
    whole = workbook(["name"], ["Van"], ["Bus"])
    for place in range(0, len(whole), len(whole) // 12):
        reason_of(whole[:place] + b"\xff\x00\xff" + whole[place + 3 :])
        reason_of(whole[:place])
