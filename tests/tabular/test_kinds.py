"""A file of the wrong kind says what it is; JSON is taken in every form that programs write."""

import io
import json
import os
import tracemalloc
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest

from fleetcontrol.tabular import OddCells, TabularProblem, read
from tests.tabular.test_files import table_of

COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
CARS = [{"name": "Van 1", "year": 2009, "note": 'a, [b] {c} \\ " é\n'}, {"name": "Köln", "on": True}]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (COMPOUND + b"\0" * 600_000 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 999, "protected with a pass"),
        (COMPOUND + b"\0" * 2_000, "XLS file"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a picture"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a picture"),
        (b"<html><table><tr><td>name</td></tr></table>", "web page"),
        (b"\r\n  <!DOCTYPE html>\n<html>", "web page"),
        (b"\xef\xbb\xbf<table border=1>", "web page"),
        ("\ufeff<HTML>".encode("utf-16"), "web page"),
        (b'<?xml version="1.0"?><Workbook/>', "web page or XML"),
        (b"PK\x05\x06" + b"\0" * 18, "ZIP archive"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x7fELF" + bytes(range(256)) * 30, "neither a text nor a workbook"),
        (bytes(range(256)) * 3, "neither a text nor a workbook"),
    ],
)  # fmt: skip
def test_each_wrong_kind_has_its_sentence(data: bytes, words: str) -> None:
    with pytest.raises(TabularProblem, match=words):
        list(table_of(data))


def test_random_bytes_are_no_table() -> None:
    for _ in range(20):
        with pytest.raises(TabularProblem):
            list(table_of(b"\0" + os.urandom(8000)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(car) for car in CARS),
        json.dumps(CARS),
        json.dumps(CARS, indent=2, ensure_ascii=False),
        json.dumps(CARS, indent="\t").replace("\n", "\r\n"),
        "\n".join(json.dumps(car, indent=2) for car in CARS),
        f"\n [\n{json.dumps(CARS[0])}\n,\n{json.dumps(CARS[1])}\n] \n",
    ],
)
def test_every_form_of_json_is_taken(text: str, encoding: str) -> None:
    table = table_of(text.encode(encoding))
    assert table.header == ["name", "year", "note", "on"]
    assert [cells for _line, cells in table] == [["Van 1", "2009", CARS[0]["note"], ""], ["Köln", "", "", "true"]]


def test_an_object_has_the_line_on_which_it_begins() -> None:
    lines = [line for line, _cells in table_of('[{"a": 1}, {"a": 2},\n{"a":\n3},\n\n{"a": 4}]')]
    assert lines == [1, 2, 3, 5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"a": 1}, {"a": 2}', "a part seems to be lost"),
        ('[{"a": 1}, {"a": ', "is not JSON"),
        ('[{"a": 1}]\n{"a": 2}', "the file goes on"),
        ('[{"a": 1}, oops]', "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"a": "' + "x" * 6_000_000 + '"}]', "more than 4194304 characters"),
        ("[]", "empty"),
        ("[1, 2]", "A row must be one JSON object"),
    ],
)
def test_a_list_that_is_broken_is_refused_as_a_whole(text: str, words: str) -> None:
    with pytest.raises(TabularProblem, match=words):
        list(table_of(text))


def test_bad_objects_of_a_list_are_problems_of_their_rows() -> None:
    rows = dict(table_of('[{"a": "1"},\n{"a": 1, "a": 2},\n7,\n{"a": "\\u0000"},\n{"a": "2"}]'))
    assert (rows[1], rows[5]) == (["1"], ["2"])
    assert isinstance(rows[2], TabularProblem) and isinstance(rows[3], TabularProblem)
    assert isinstance(rows[4], OddCells)


def test_the_memory_of_a_list_does_not_grow_with_it() -> None:
    peaks = []
    for count in (20_000, 100_000):
        tracemalloc.start()
        assert sum(1 for _row in read(cast("BinaryIO", _List(count)))) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


class _List(io.RawIOBase):
    """A list of `count` objects on one line, made while it is read."""

    def __init__(self, count: int) -> None:
        self._pieces: Iterator[bytes] = iter(
            [b"[", *[b'{"name": "Van", "vin": "X"},'] * (count - 1), b'{"name": "Van"}]']
        )

    def read(self, _size: int = -1) -> bytes:
        return next(self._pieces, b"")
