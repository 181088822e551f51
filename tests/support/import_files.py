"""Files to import, and the two ways that people import them: by command and by the pages."""

import csv
import io
import json
import re
from pathlib import Path

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from fleetcontrol.people.models import Fleet
from tests.support.project import PROJECT

REGISTER = PROJECT.parent / "shared" / "data" / "taxis-2009.csv"


def taxi_register() -> str:
    """Return a real register of taxis as CSV. Skips the test on a machine that does not have it."""
    if not REGISTER.exists():
        pytest.skip("the register is not on this machine")
    return REGISTER.read_text(encoding="utf-8")


def in_form(register: str, form: str) -> bytes:
    """Return the register as another program might have saved it: "jsonl", "xlsx", or CSV in an encoding."""
    rows = list(csv.DictReader(io.StringIO(register)))
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if form != "xlsx":
        return register.encode(form)
    book, target = openpyxl.Workbook(), io.BytesIO()
    for row in [list(rows[0]), *(list(row.values()) for row in rows)]:
        book.worksheets[0].append(row)
    book.save(target)
    return target.getvalue()


def import_by_command(
    command: str, fleet: Fleet, text: str, *flags: str, tmp_path: Path
) -> tuple[int, dict[str, int], list[dict[str, str]]]:
    """Import a text. Returns the command's exit code, its summary and the problems it reports."""
    file, report = tmp_path / "file", tmp_path / "report.csv"
    file.write_text(text, encoding="utf-8", newline="")
    out, code = io.StringIO(), 0
    try:
        call_command(command, str(file), f"--fleet={fleet.slug}", "--json", f"--report={report}", *flags, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    with report.open(newline="", encoding="utf-8") as lines:
        return code, json.loads(out.getvalue()), list(csv.DictReader(lines))


def upload(client: Client, fleet: Fleet, data: bytes | str, kind: str = "vehicle", name: str = "cars.csv") -> str:
    """Upload a file and return the URL of its columns page."""
    file = SimpleUploadedFile(name, data.encode() if isinstance(data, str) else data)
    answer = client.post(f"/f/{fleet.slug}/imports/add/", {"kind": kind, "file": file})
    assert answer.status_code == 302, answer.content
    return answer["Location"]


def columns_form(client: Client, page: str, **more: str) -> dict[str, str]:
    """Return the columns form as the page proposes it, with some values changed."""
    html = client.get(page).content.decode()
    values = {"on_duplicate": "fail"}
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', html, re.DOTALL):
        found = re.search(r'value="([^"]*)" selected', options)
        values[name] = found[1] if found else ""
    return values | more


def check(client: Client, page: str, **more: str) -> str:
    """Submit the columns form and return the URL of the check."""
    answer = client.post(page, columns_form(client, page, **more), follow=True)
    return str(answer.redirect_chain[-1][0])
