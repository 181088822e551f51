"""Exports are whole or an error: what breaks off while a file is made is never sent, and never takes a file's place."""

import csv
import io
import json
import logging
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import translation

from credentials.models import Credential
from fleetcontrol.db.texts import tidied, untypable
from fleetcontrol.imports.command import write_whole
from fleetcontrol.imports.models import ImportRun
from fleetcontrol.people.models import Fleet, User
from fleetcontrol.tabular import csv_lines
from fleetcontrol.web.logs import JsonLines
from tests.support import factory
from vehicles.export import HEADER, export_of
from vehicles.models import Vehicle

# Cells at which spreadsheets, CSV, JSON or PostgreSQL's COPY change their ways.
NASTY = (
    *(
        "=1+1",
        "'=1+1",
        "''-x",
        "-1",
        "+49",
        "@risk",
        "＝1",
        "－x",
        "＠",
        "\t=x",
        "'",
        "''",
        '"',
        '"="',
        ",",
        ";",
        "a,b",
        "a;b",
    ),
    *(
        " x",
        "x ",
        ' "x',
        ", x",
        "; =x",
        "\n",
        "a\nb",
        "a\r\nb",
        "\r",
        "=a\nb",
        "\\.",
        "\\N",
        "\\n",
        "\x01",
        "\x01{}",
        "\x1f",
    ),
    *("é", "日本", "🚗", "％", "{}", "[x", "]", "null", "NULL", '{"a": 1}', "%s", "%%", "100 %", "=1,\n=2"),
)
CUSTOM_FIELDS: tuple[dict[str, object], ...] = (
    {}, {"a": 1}, {"a": 1.5, "b": -0.25}, {"b": "1.50", "a": "x"}, {"a": [1, None, True, {"c": ""}]}, {"=x": "=y"},
    {"ö": "\u2028\x7f\x1f\"\\\n\t/"}, {"n": 1e22, "m": 1e-8, "k": 12345678901234567890}, {"v": "1.1"},
)  # fmt: skip
TAGS: tuple[list[str], ...] = (
    [],
    ["a"],
    ["a", "b"],
    ["a,b", "c"],
    ["[x"],
    [" a"],
    ["=x", '"'],
    ["a\nb", "\\"],
    ["x", "[y"],
)


@pytest.mark.django_db
@pytest.mark.parametrize("for_excel", [False, True])
def test_vehicles_have_the_form_that_the_writer_of_csv_gives_them(fleet: Fleet, *, for_excel: bool) -> None:
    nasty_vehicles(fleet)
    whole = export_of(fleet.vehicles.all()).make(for_excel=for_excel)
    expected = "".join(csv_lines(HEADER, rows_by_hand(fleet), for_excel=for_excel))
    with whole.file as file:
        assert file.read().decode() == expected
    assert whole.rows == fleet.vehicles.count()


@pytest.mark.django_db
def test_vehicles_have_the_same_texts_in_json_lines(fleet: Fleet) -> None:
    nasty_vehicles(fleet)
    whole = export_of(fleet.vehicles.all()).make("jsonl")
    with whole.file as file:
        lines = list(file)
    by_hand = [dict(zip(HEADER, row, strict=True)) for row in rows_by_hand(fleet)]
    assert [line.decode() for line in lines] == [json.dumps(one, ensure_ascii=False) + "\n" for one in by_hand]
    assert whole.rows == len(lines)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "kwargs", "query", "rows"),
    [
        ("vehicles:export", {}, {}, 2),
        ("vehicles:export", {}, {"excel": "1"}, 2),
        ("vehicles:export", {}, {"q": "100%"}, 1),
        ("vehicles:export", {}, {"q": "nothing of this name"}, 0),
        ("credentials:export", {}, {}, 1),
        ("credentials:export", {}, {"q": "nothing of this name"}, 0),
        ("history:export", {"kind": "csv"}, {"area": "vehicle"}, 2),
        ("history:export", {"kind": "jsonl"}, {"area": "vehicle"}, 2),
        ("history:export", {"kind": "jsonl"}, {"area": "nonsense"}, 0),
        ("imports:template", {"kind": "vehicle"}, {}, 0),
    ],
)
def test_an_answer_says_how_long_it_is_and_opens_no_server_side_cursor(
    fleet: Fleet, as_alice: Client, monkeypatch: pytest.MonkeyPatch, name: str, kwargs: dict[str, str],
    query: dict[str, str], rows: int,
) -> None:  # fmt: skip
    factory.a_credential(fleet)
    factory.a_vehicle(fleet, name="Van 100%", make='"a')
    factory.a_vehicle(fleet, name='Van "2"')
    monkeypatch.setattr(connection, "chunked_cursor", no_cursor)
    answer = as_alice.get(reverse(name, kwargs={"fleet": fleet.slug, **kwargs}), query)
    body = b"".join(answer.streaming_content)  # type: ignore[attr-defined]  # a file
    assert answer.headers["X-Total"] == str(rows)
    assert answer.headers["Content-Length"] == str(len(body))
    if kwargs.get("kind") == "jsonl":
        assert len(body.splitlines()) == rows
    else:
        separator = ";" if "excel" in query else ","
        assert len(list(csv.reader(io.StringIO(body.decode(), newline=""), delimiter=separator))) == rows + 1


@pytest.mark.django_db
def test_refused_rows_are_counted_and_break_off_as_an_error(fleet: Fleet, as_bob: Client) -> None:
    text = "".join(csv_lines(["name", "note"], [['Van\n"1"', "a\r\nb"], ["Van 2", ""]])).encode()
    run = ImportRun.upload(
        fleet=fleet, actor=factory.TEST, kind="vehicle", name="f.csv", chunks=[text], header=["name", "note"]
    )
    run.store("refused", [text])
    address = reverse("imports:refused", args=[fleet.slug, run.pk])
    answer = as_bob.get(address)
    assert answer.getvalue() == text
    assert (answer.headers["X-Total"], answer.headers["Content-Length"]) == ("2", str(len(text)))
    run.pieces.filter(part="refused").update(number=1)
    as_bob.raise_request_exception = False
    assert as_bob.get(address).status_code == 500


@pytest.mark.django_db
def test_the_reason_of_a_credential_is_in_the_readers_language(fleet: Fleet, as_vera: Client, vera: User) -> None:
    Credential.objects.filter(pk=factory.a_credential(fleet).pk).update(status_reason="timeout")
    address = reverse("credentials:export", args=[fleet.slug])
    texts = {}
    for language in ("de", "en"):
        User.objects.filter(pk=vera.pk).update(language=language)
        texts[language] = b"".join(as_vera.get(address)).decode()
    assert "Mercedes-Benz did not answer within 10 seconds." in texts["en"]
    assert "Mercedes-Benz hat nicht innerhalb von 10 Sekunden geantwortet." in texts["de"]
    with translation.override("de"):
        out = io.StringIO()
        call_command("export_credentials", f"--fleet={fleet.slug}", stdout=out)
    assert "Mercedes-Benz did not answer within 10 seconds." in out.getvalue(), "commands write what programs read"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broken", ["vehicles:export", "credentials:export", "history:export"])
def test_a_break_is_an_error_with_its_flow_id_in_the_log(
    fleet: Fleet, as_alice: Client, broken: str, log: io.StringIO
) -> None:
    factory.a_vehicle(fleet, factory.a_credential(fleet))
    table = {
        "vehicles": "vehicles_vehicle",
        "credentials": "credentials_credentialsecret",
        "history": "audit_auditevent",
    }
    kwargs = {"kind": "csv"} if broken == "history:export" else {}
    as_alice.raise_request_exception = False
    address = reverse(broken, kwargs={"fleet": fleet.slug, **kwargs})
    with breaking(table[broken.partition(":")[0]]):
        answer = as_alice.get(address, headers={"X-Flow-ID": "a-flow-of-the-test"})
    assert answer.status_code == 500
    assert "a-flow-of-the-test" in answer.content.decode()
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (line,) = [line for line in lines if "broke off" in line["message"]]
    assert line["flow_id"] == "a-flow-of-the-test"
    assert as_alice.get(address).getvalue(), "the connection is fit for the next"


@pytest.mark.django_db(transaction=True)
def test_a_command_that_breaks_leaves_the_file_of_before(fleet: Fleet, tmp_path: Path) -> None:
    factory.a_vehicle(fleet)
    file = tmp_path / "vehicles.csv"
    file.write_text("of yesterday")
    for target in (str(file), "-"):
        out = io.StringIO()
        with breaking("vehicles_vehicle"), pytest.raises(CommandError, match="broke off") as error:
            call_command("export_vehicles", target, f"--fleet={fleet.slug}", stdout=out)
        assert error.value.returncode == 1
        assert out.getvalue() == ""
    assert file.read_text() == "of yesterday"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.django_db
def test_a_command_replaces_a_file_at_once_and_keeps_its_mode_and_links_to_it(fleet: Fleet, tmp_path: Path) -> None:
    factory.a_vehicle(fleet)
    file, link = tmp_path / "vehicles.csv", tmp_path / "link"
    file.write_text("of yesterday")
    file.chmod(0o640)
    link.symlink_to(file)
    with file.open() as reader:
        call_command("export_vehicles", str(link), f"--fleet={fleet.slug}")
        assert reader.read() == "of yesterday", "who reads the former file is not disturbed"
    assert file.read_text().startswith("name,")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, file]


@pytest.mark.django_db
def test_a_full_disk_is_a_sentence_that_names_the_file(fleet: Fleet) -> None:
    factory.a_vehicle(fleet)
    with pytest.raises(CommandError, match="/dev/full: No space left on device"):
        call_command("export_vehicles", "/dev/full", f"--fleet={fleet.slug}")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode), "a device stays a device"


def test_a_file_whose_writing_breaks_leaves_nothing(tmp_path: Path) -> None:
    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        write_whole(tmp_path / "file", Breaks())
    assert list(tmp_path.iterdir()) == []


def no_cursor() -> None:
    raise AssertionError("PgBouncer's transaction mode breaks server-side cursors")


class breaking:
    """Inside, reading this table ends in an error of the database in the middle of the rows."""

    def __init__(self, table: str) -> None:
        self.table = table

    def __enter__(self) -> None:
        column = {"vehicles_vehicle": "name", "audit_auditevent": "action"}.get(self.table, "added_by")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT string_agg(quote_ident(attname::text), ', ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> %s",
                [f"public.{self.table}", column],
            )
            (others,) = cursor.fetchone()
            # A view in the session's own schema hides the table of the same name.
            cursor.execute(
                f"CREATE TEMP VIEW {self.table} AS SELECT {others},"
                f" {column} || (1 / (length({column}) - length({column})))::text AS {column} FROM public.{self.table}"
            )
            # What is written meanwhile goes nowhere.
            cursor.execute(
                "CREATE FUNCTION pg_temp.drop_it() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
            )
            cursor.execute(
                f"CREATE TRIGGER drop_it INSTEAD OF INSERT ON pg_temp.{self.table}"
                " FOR EACH ROW EXECUTE FUNCTION pg_temp.drop_it()"
            )

    def __exit__(self, *_error: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION pg_temp.drop_it() CASCADE")
            cursor.execute(f"DROP VIEW pg_temp.{self.table}")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def nasty_vehicles(fleet: Fleet) -> None:
    """Vehicles that have every nasty cell in a few places; names are unique by a number at their end."""
    chance = random.Random(13)
    credential = factory.a_credential(fleet, name='=Berlin, "the" one')
    pick: Callable[..., str] = chance.choice
    many = [
        Vehicle(
            fleet=fleet,
            name=f"Van {number}" if untypable(text) else tidied(f"{text}{number}"),
            telematics_brand=credential.brand if number % 3 else "CLOUDBOXX",
            telematics_kind="shared" if number % 3 else "none",
            telematics_unit_id=f"{number}{pick(NASTY)}",
            credential=credential if number % 3 else None,
            license_plate=text[:30] if number % 2 else "",
            make=pick(NASTY) if number % 5 == 0 else "",
            model=pick(NASTY) if number % 7 == 0 else "Sprinter",
            year=2020 if number % 2 else None,
            tags=TAGS[number % len(TAGS)] if number % 4 else [],
            custom_fields=CUSTOM_FIELDS[number % len(CUSTOM_FIELDS)] if number % 3 else {},
        )
        for number, text in enumerate([*NASTY * 4, *("Plain",) * 250])
    ]
    Vehicle.objects.bulk_create(many)


def rows_by_hand(fleet: Fleet) -> Iterator[list[str]]:
    """The cells of the vehicles, made in Python from the models."""
    for vehicle in fleet.vehicles.order_by("name").select_related("credential"):
        cells = {name: str(getattr(vehicle, name) or "") for name in HEADER}
        cells["credential"] = vehicle.credential.name if vehicle.credential else ""
        fits_between_commas = not any("," in tag or tag.startswith("[") for tag in vehicle.tags)
        cells["tags"] = ", ".join(vehicle.tags) if fits_between_commas else json.dumps(vehicle.tags, ensure_ascii=False)
        cells["custom_fields"] = json.dumps(vehicle.custom_fields, ensure_ascii=False) if vehicle.custom_fields else ""
        yield list(cells.values())
