"""Files in the encodings that spreadsheets save: read rightly, or asked about, and never silent nonsense."""

import io
from encodings import aliases
from pathlib import Path

import pytest
from django.core.management import call_command

from fleetcontrol import tabular
from fleetcontrol.people.models import Fleet
from fleetcontrol.tabular import TabularProblem, UnclearEncoding
from fleetcontrol.tabular.encodings import NAMES
from tests.support.factory import a_credential
from vehicles.models import Vehicle

TEXTS = [
    "Fähre Öland", "Mercedes Süd", "Málaga", "Straße", "Größe M", "MÜNCHEN", "Überführung", "Björn", "São Paulo",
    "Coupé", "Citroën", "Peugeot – Citroën", "CITROËN", "señor Núñez", "Ærø Åland", "à gauche", "forêt", "Noël",
    "Çelik", "élan", "Ørsted", "Škoda", "Zoë’s van", "5 € / 20 °C", "„Bär“", "Hauptstraße 5, Köln", "Müller; Käthe",
    "naïve", "Año",
]  # fmt: skip


def can_write(text: str, encoding: str) -> bool:
    return text == text.encode(encoding, "replace").decode(encoding, "replace")


def read(data: bytes, encoding: str = "") -> tuple[str, list[str]]:
    table = tabular.read(io.BytesIO(data), encoding=encoding)
    cells = [cell for _line, row in table if not isinstance(row, TabularProblem) for cell in row]
    return table.encoding, cells


def a_file(text: str, encoding: str) -> bytes:
    return f"name\tvin\tplate\nVan 1\tWDB9066331S123456\tB-AB 1\n{text}\tWDB9066331S123457\tB-AB 2\n".encode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (text, encoding)
        for text in TEXTS
        for encoding in (*NAMES, "utf-8", "utf-8-sig", "utf-16")
        if can_write(text, encoding)
    ],
)
def test_a_text_is_read_rightly_or_asked_about(text: str, encoding: str) -> None:
    data = a_file(text, encoding)
    try:
        assert text in read(data)[1]
    except UnclearEncoding as unclear:
        assert encoding in NAMES
        assert any(text in one.sample for one in unclear.readings)
        assert text in read(data, encoding)[1]
    assert text in read(data, NAMES.get(encoding, encoding))[1]


def test_few_texts_are_asked_about_in_what_windows_saves() -> None:
    unclear = []
    for text in TEXTS:
        try:
            read(a_file(text, "cp1252"))
        except UnclearEncoding:
            unclear.append(text)
    assert set(unclear) <= {"à gauche", "CITROËN", "Ørsted", "Škoda", "élan"}


@pytest.mark.parametrize("encoding", list(NAMES))
def test_a_register_is_never_asked_about(encoding: str) -> None:
    names = [
        "Fähre Öland",
        "Straßenbau München",
        "Größe L",
        "Köln-Süd",
        "Müller",
        "Gemüse Jäger",
        "Büro",
        "Überführung",
    ]
    name, cells = read(a_file("\t\t\n".join(names), encoding))
    assert set(names) <= set(cells)
    assert name == NAMES["cp850" if encoding == "cp437" else encoding]  # German reads alike in both


def test_nonsense_is_never_taken_without_a_word() -> None:
    data = b"name;vin;license_plate;make\r\nF\x84hre \x99land;WDB9066331S123452;M\x9a-AB 101;Stra\xe1enbau\r\n"
    assert read(data) == ("MS-DOS (850)", ["Fähre Öland", "WDB9066331S123452", "MÜ-AB 101", "Straßenbau"])


def test_an_encoding_by_name() -> None:
    data = "name\nФургон\n".encode("koi8-r")
    assert read(data, "koi8-r")[1] == ["Фургон"]
    for name in ("klingon", "base64", "rot13", ""):
        if name:
            with pytest.raises(TabularProblem, match=f"There is no encoding “{name}”"):
                read(data, name)


def test_whatever_encoding_is_named_the_file_is_read_or_refused() -> None:
    """Python has codecs that raise, and some that are no character sets; none of them ends in an error of ours."""
    odd = [
        "undefined",
        "idna",
        "punycode",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-7",
        "mbcs",
        "oem",
        "a\0b",
        "x" * 500,
    ]
    data = b"name,qnr\n" + bytes(range(1, 256)).replace(b"\n", b"").replace(b'"', b"") + b",1\n\xff\xfe,2\n"
    read_rightly = 0
    for name in sorted({*aliases.aliases.values(), *aliases.aliases, *odd}):
        try:
            read(data, name)
            read_rightly += 1
        except TabularProblem as problem:
            assert problem.reason
    assert read_rightly > 100
    for name in odd:
        with pytest.raises(TabularProblem, match="There is no encoding"):
            read(data, name)


@pytest.mark.django_db
def test_the_command_stops_names_the_readings_and_takes_one(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_credential(fleet, "Berlin")
    file = tmp_path / "cars.csv"
    file.write_bytes(
        "name,telematics_brand,vin,credential\nélan,MERCEDES_BENZ,WDB9066331S123456,Berlin\n".encode("cp850")
    )
    with pytest.raises(SystemExit):
        call_command("import_vehicles", str(file), f"--fleet={fleet.slug}")
    told = capsys.readouterr()
    assert "its letters make sense as Windows-1252, MS-DOS (850), Macintosh. Name the encoding" in told.out + told.err
    assert not Vehicle.objects.exists()
    out = io.StringIO()
    call_command("import_vehicles", str(file), f"--fleet={fleet.slug}", "--encoding=cp850", stdout=out)
    assert Vehicle.objects.get().name == "élan"
    assert "Read as MS-DOS (850)." in out.getvalue()
