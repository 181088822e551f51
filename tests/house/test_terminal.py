"""In a terminal: real processes, whose readers leave, whose disks are full, and who know no letters but ASCII."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import OperationalError

from fleetcontrol.management.terminal import _ending_of
from tests.support.project import PROJECT, UNSET, a_folder

NOT_COPIED = shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "benchmarks")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "Flotte für Übungen"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the project with a fleet, `demo`, and a credential in it."""
    with a_folder() as folder:
        shutil.copytree(PROJECT, folder, ignore=NOT_COPIED, dirs_exist_ok=True)
        (folder / "good.csv").write_text("name,brand,client_id,client_secret\nÜbung,MERCEDES_BENZ,id-1,secret-1\n")
        (folder / "wrong.csv").write_text("name,brand,client_id,client_secret\n" + ",,,\nx,NONE,,\n" * 500)
        for command in (
            ("migrate", "--verbosity=0"),
            ("create_fleet", NAME, "--slug", "demo", "--administrator", "alice@example.com"),
            ("import_credentials", "good.csv", "--fleet", "demo"),
            ("tend", "--only", "seal_audit"),
        ):
            manage(folder, *command).check_returncode()
        yield folder


def manage(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    variables = options.pop("env", {})
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env={**UNSET, **variables},
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        encoding="utf-8",
        **options,
    )


PRINTS = [
    ("export_credentials", "--fleet", "demo"),
    ("import_credentials", "wrong.csv", "--fleet", "demo"),
    ("verify_audit",),
    ("help",),
    ("tend", "--list"),
]


@pytest.mark.parametrize("arguments", PRINTS, ids=lambda arguments: arguments[0])
def test_a_reader_that_leaves_is_no_error(folder: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    answer = manage(folder, *arguments, stdout=writing)
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (141, "")


@pytest.mark.parametrize("arguments", PRINTS, ids=lambda arguments: arguments[0])
def test_output_that_cannot_be_written_is_blamed(folder: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        answer = manage(folder, *arguments, stdout=full)
    assert answer.returncode == 1
    assert answer.stderr == "Standard output cannot be written: No space left on device.\n"


def test_a_report_that_cannot_be_written_is_blamed(folder: Path) -> None:
    answer = manage(folder, "import_credentials", "wrong.csv", "--fleet", "demo", "--report", "/dev/full")
    assert answer.returncode == 1
    assert answer.stderr == "/dev/full cannot be written: No space left on device.\n"


def test_errors_that_nobody_can_read_end_the_command_all_the_same(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        answer = manage(folder, "export_credentials", "--fleet", "nothing", stdout=full, stderr=full)
    assert answer.returncode in (1, 2)


def test_a_full_disk_of_the_database_is_not_a_wrong_address() -> None:
    error = OperationalError("could not extend file: No space left on device")
    error.__cause__ = psycopg.errors.DiskFull()
    sentence, code = _ending_of(error, in_detail=False) or ("", 0)
    assert (sentence, code) == (
        "The disk of the database is full. It said: could not extend file: No space left on device",
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("import_credentials", "-", "--fleet", "demo"), "Stopped. Nothing was written.\n"),
        (("find_secret",), "Stopped.\n"),
    ],
    ids=["import", "another"],
)
def test_ctrl_c_is_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env=UNSET,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_it_reads(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", sentence)


def wait_until_it_reads(pid: int) -> None:
    """Wait until the process sleeps in the read of its standard input, a pipe."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            if Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "):
                return
        except PermissionError:
            time.sleep(8)
            return


@pytest.mark.parametrize(
    "arguments",
    [*PRINTS, ("create_fleet", "x", "--slug", "demo", "--administrator", "alice@example.com"), ("tend", "--help")],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_an_ascii_terminal_is_no_error(folder: Path, arguments: tuple[str, ...]) -> None:
    answer = manage(folder, *arguments, env=ASCII)
    assert answer.returncode in (0, 1)
    assert "Traceback" not in answer.stderr
    assert "UnicodeEncodeError" not in answer.stderr


def test_an_export_is_utf_8_whatever_the_terminal_has(folder: Path) -> None:
    assert "\nÜbung," in manage(folder, "export_credentials", "--fleet", "demo", env=ASCII).stdout


def test_names_in_an_ascii_terminal_are_escaped(folder: Path) -> None:
    answer = manage(folder, "find_secret", env=ASCII, input="secret-1")
    assert answer.returncode == 0
    assert r"\xdcbung" in answer.stdout


@pytest.mark.parametrize("head", ["nonsense", "", "1:", "1:xyz", "0:" + "a" * 64, "12:9f3a…"])
def test_what_cannot_be_a_head_is_wrong_usage_and_no_evidence(folder: Path, head: str) -> None:
    answer = manage(folder, "verify_audit", "--expect", head)
    assert answer.returncode == 2
    assert "a head is a number, a colon and 64 hex digits" in answer.stderr
    assert manage(folder, "verify_audit", "--expect", "1:" + "a" * 64).returncode == 1
