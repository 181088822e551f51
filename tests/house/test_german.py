"""Every sentence has a German translation in formal address, and the compiled catalogue matches its source."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

from tests.support.project import UNSET, a_folder

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "locale/de/LC_MESSAGES/django.po"
SOURCES = ("fleetcontrol", "credentials", "vehicles", "templates")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


@pytest.fixture(scope="module")
def german() -> polib.POFile:
    return polib.pofile(str(CATALOGUE))


def test_nothing_is_untranslated_or_in_doubt(german: polib.POFile) -> None:
    assert [entry.msgid for entry in german.untranslated_entries()] == []
    assert [entry.msgid for entry in german.fuzzy_entries()] == []
    assert [entry.msgid for entry in german.obsolete_entries()] == []


def test_the_compiled_file_is_that_of_the_source(german: polib.POFile) -> None:
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    assert {(e.msgid, e.msgstr, str(e.msgstr_plural)) for e in compiled} == {
        (e.msgid, e.msgstr, str(e.msgstr_plural)) for e in german
    }


def test_translations_keep_their_placeholders(german: polib.POFile) -> None:
    for entry in german:
        pairs = [(entry.msgid, entry.msgstr)]
        if entry.msgid_plural:
            pairs = [(entry.msgid, entry.msgstr_plural[0]), (entry.msgid_plural, entry.msgstr_plural[1])]
        for source, text in pairs:
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(source)), source


def test_people_are_addressed_formally(german: polib.POFile) -> None:
    informal = re.compile(r"\b(du|dich|dir|dein\w*|bitte|ups)\b|!$", re.IGNORECASE)
    assert [entry.msgstr for entry in german if informal.search(entry.msgstr)] == []


def test_no_sentence_of_the_source_is_missing(german: polib.POFile) -> None:
    if shutil.which("xgettext") is None:
        assert "CI" not in os.environ, ".ci/run installs gettext"
        pytest.skip("needs gettext: apt-get install gettext")
    with a_folder() as copy:
        for folder in SOURCES:
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.pyc", "migrations"))
        (copy / "locale").mkdir()
        command = [sys.executable, "-m", "django", "makemessages", "--locale=de", "--no-location", "--no-wrap"]
        subprocess.run(command, cwd=copy, env=UNSET, check=True, capture_output=True)
        found = polib.pofile(str(copy / "locale/de/LC_MESSAGES/django.po"))
    assert {entry.msgid for entry in found if not entry.obsolete} - {entry.msgid for entry in german} == set()
