"""The first steps lead where they should: the right fleet and address, one sentence where something is missing."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from pytest_django import Settings

from fleetcontrol import packages
from fleetcontrol.api.models import ApiClient
from fleetcontrol.environment import quickstart_address
from fleetcontrol.people.models import Fleet, Role, User
from fleetcontrol.postgres import home
from tests.support import factory
from tests.support.api import Api
from tests.support.browsers import signed_in
from tests.support.project import PROJECT, UNSET, a_folder

NOT_COPIED = shutil.ignore_patterns(".*", "var", "tests", "__pycache__", "benchmarks")


# The start page


@pytest.fixture
def fleets(db: None) -> dict[str, Fleet]:
    """Bob views the first by name and manages the two others."""
    names = {"a": "Alpha", "b": "Beta", "c": "Gamma"}
    return {key: factory.a_fleet(name=name) for key, name in names.items()}


@pytest.fixture
def bob(fleets: dict[str, Fleet]) -> User:
    bob = factory.a_member(fleets["a"], Role.VIEWER, name="Bob")
    for key in "cb":
        fleets[key].admit(bob, role=Role.MANAGER, actor=factory.TEST)
    return bob


def start_page(browser: object) -> str:
    return str(browser.get("/")["Location"])  # type: ignore[attr-defined]  # a test client


def test_the_start_page_leads_to_the_fleet_of_the_highest_role(bob: User, fleets: dict[str, Fleet]) -> None:
    assert start_page(signed_in(bob)) == reverse("credentials:index", args=[fleets["b"].slug])


def test_the_start_page_leads_to_the_fleet_that_was_used_last(bob: User, fleets: dict[str, Fleet]) -> None:
    browser = signed_in(bob)
    for key in "ac":
        browser.get(reverse("vehicles:index", args=[fleets[key].slug]))
        assert start_page(browser) == reverse("credentials:index", args=[fleets[key].slug])


def test_a_fleet_that_one_left_is_not_the_last_used(bob: User, fleets: dict[str, Fleet]) -> None:
    browser = signed_in(bob)
    browser.get(reverse("vehicles:index", args=[fleets["a"].slug]))
    bob.memberships.get(fleet=fleets["a"]).remove(actor=factory.TEST)
    assert start_page(browser) == reverse("credentials:index", args=[fleets["b"].slug])


def test_a_fleet_that_asks_for_a_second_factor_keeps_nobody_from_the_others(
    bob: User, fleets: dict[str, Fleet]
) -> None:
    browser = signed_in(bob)
    browser.get(reverse("vehicles:index", args=[fleets["b"].slug]))
    Fleet.objects.filter(pk=fleets["b"].pk).update(require_second_factor=True)
    assert start_page(browser) == reverse("credentials:index", args=[fleets["c"].slug])
    page = browser.get(reverse("people:second_factor_needed", args=[fleets["b"].slug])).content.decode()
    for key in "ac":
        assert reverse("vehicles:index", args=[fleets[key].slug]) in page


def test_who_has_only_such_a_fleet_is_told_so(bob: User, fleets: dict[str, Fleet]) -> None:
    Fleet.objects.update(require_second_factor=True)
    answer = signed_in(bob).get("/", follow=True)
    assert answer.status_code == 403
    assert b"asks its members for a second factor" in answer.content
    assert b"Your other fleets" not in answer.content


def test_a_client_that_only_fetches_tokens_was_used(fleet: Fleet) -> None:
    Api(fleet).sign_in()
    client = ApiClient.objects.get()
    assert client.last_used_at is not None
    assert client.last_used_address == "127.0.0.1"


# Addresses


def test_links_have_the_port_of_the_last_quickstart(tmp_path: Path) -> None:
    assert quickstart_address(tmp_path) == ""
    (tmp_path / "address").write_text("http://localhost:8103")
    assert quickstart_address(tmp_path) == "http://localhost:8103"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A copy of the project."""
    with a_folder() as folder:
        yield Path(shutil.copytree(PROJECT, folder, ignore=NOT_COPIED, dirs_exist_ok=True))


def manage(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env={**UNSET, **variables},
        capture_output=True,
        text=True,
    )


def test_settings_take_the_address_and_public_url_goes_first(folder: Path) -> None:
    (folder / "var").mkdir(exist_ok=True)
    (folder / "var" / "address").write_text("http://localhost:8103")
    assert "PUBLIC_URL = 'http://localhost:8103'" in manage(folder, "diffsettings").stdout
    given = manage(folder, "diffsettings", PUBLIC_URL="http://localhost:8104")
    assert "PUBLIC_URL = 'http://localhost:8104'" in given.stdout


def test_a_second_quickstart_on_a_fresh_folder_is_one_sentence(folder: Path) -> None:
    (folder / "var").mkdir(exist_ok=True)
    with (folder / "var" / "quickstart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = manage(folder, "quickstart", "--port", "8972")
    assert answer.returncode == 1
    assert "Another quickstart prepares this folder" in answer.stderr
    assert answer.stderr.count("\n") == 1


# Packages


def test_an_update_without_pip_install_is_one_sentence(folder: Path) -> None:
    project = (folder / "pyproject.toml").read_text()
    changed = project.replace('"tqdm>=4.70"', '"tqdm>=999.1"').replace('"whitenoise>', '"not-there-at-all>')
    assert changed != project
    try:
        (folder / "pyproject.toml").write_text(changed)
        answer = manage(folder, "quickstart")
    finally:
        (folder / "pyproject.toml").write_text(project)
    assert answer.returncode == 1
    assert "tqdm 999.1 or newer instead of " in answer.stderr
    assert "not-there-at-all, which is not installed" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_these_packages_are_all_there() -> None:
    assert packages.missing() == ""


@pytest.mark.parametrize(("older", "newer"), [("1.9", "1.10"), ("6.1", "6.1.3"), ("0.9.9", "1"), ("27.0rc1", "27.1")])
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert packages._numbers(older) < packages._numbers(newer)
    assert packages._numbers("1.0") == packages._numbers("1")


# Root's trial


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's database lies outside of its folder")
def test_a_fresh_clone_at_the_same_path_gets_a_database_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    monkeypatch.setattr(home, "SYSTEM", tmp_path / "system")
    folder = tmp_path / "project" / "var" / "postgres"
    first = home.locate(folder)
    assert home.locate(folder) == first  # the same folder keeps it
    assert capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "project")
    second = home.locate(folder)
    assert second.home != first.home
    assert home.locate(folder) == second
    words = capsys.readouterr().err
    assert f"The database in {first.home} was made by an earlier folder" in words
    assert words.count("\n") == 1
    (tmp_path / "project").rename(tmp_path / "moved")
    assert home.locate(tmp_path / "moved" / "var" / "postgres").home == second.home
