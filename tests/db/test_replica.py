"""Exports read from the replica while it is up to date, and from the primary when it is away, behind or breaks off."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from fleetcontrol.db import replica
from fleetcontrol.environment import Environment, replica_database
from fleetcontrol.operations.watches import watch_replica
from fleetcontrol.people.models import Fleet
from tests.support import factory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "_left_alone_until", 0.0)
    monkeypatch.setattr(replica, "ARRIVAL_SECONDS", 0.1)


@pytest.fixture
def van(fleet: Fleet) -> Fleet:
    factory.a_vehicle(fleet, factory.a_credential(fleet, "Berlin"), name="Van", make="as on the primary")
    return fleet


@pytest.fixture
def second(settings: Settings, monkeypatch: pytest.MonkeyPatch, van: Fleet) -> Iterator[Any]:
    """A second database alias. Its sessions see other makes of vehicles than the primary, which tells the two apart."""
    with alias(settings, monkeypatch, dict(connection.settings_dict)) as found:
        with found.cursor() as cursor:
            cursor.execute(hiding_view("vehicles_vehicle", "make", "'as on the replica'::text"))
        yield found


def test_a_replica_that_is_up_to_date_is_read(as_alice: Client, van: Fleet, second: Any) -> None:
    assert makes_of(as_alice, van) == ["as on the replica"]
    out = io.StringIO()
    call_command("export_vehicles", f"--fleet={van.slug}", stdout=out)
    assert ",as on the replica," in out.getvalue()


@pytest.mark.parametrize(("name", "kwargs"), [("vehicles:export", {}), ("history:export", {"kind": "csv"})])
def test_what_is_exported_from_a_replica_is_what_the_primary_has(
    as_alice: Client, van: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, kwargs: dict[str, str]
) -> None:
    address = reverse(name, kwargs={"fleet": van.slug, **kwargs})
    filters = {"credential": van.credentials.get().pk} if name == "vehicles:export" else {"area": "vehicle"}
    from_primary = as_alice.get(address, filters).getvalue()
    with alias(settings, monkeypatch, dict(connection.settings_dict)):
        assert as_alice.get(address, filters).getvalue() == from_primary
    assert from_primary.count(b"\n") == 2


def test_a_replica_that_lags_is_not_read(
    as_alice: Client, van: Fleet, second: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with second.cursor() as cursor:
        cursor.execute(hiding_view("fleetcontrol_beat", "at", "clock_timestamp() - interval '31 seconds'"))
    assert makes_of(as_alice, van) == ["as on the primary"]
    assert "It is more than 30 seconds behind." in caplog.text
    caplog.clear()
    assert makes_of(as_alice, van) == ["as on the primary"]
    assert "behind" not in caplog.text, "it is not asked again for some seconds"


def test_a_replica_that_lags_a_little_is_read(as_alice: Client, van: Fleet, second: Any) -> None:
    with second.cursor() as cursor:
        cursor.execute(hiding_view("fleetcontrol_beat", "at", "clock_timestamp() - interval '20 seconds'"))
    assert makes_of(as_alice, van) == ["as on the replica"]


def test_a_replica_that_knows_no_beat_yet_is_not_read(as_alice: Client, van: Fleet, second: Any) -> None:
    with second.cursor() as cursor:
        cursor.execute("CREATE TEMP VIEW fleetcontrol_beat AS SELECT 1 AS id, now() AS at WHERE false")
    assert makes_of(as_alice, van) == ["as on the primary"]


def test_the_operator_sees_how_far_the_replica_is_behind(second: Any) -> None:
    (row,) = watch_replica()
    assert (row.value, row.warning) == (0, "")
    with second.cursor() as cursor:
        cursor.execute(hiding_view("fleetcontrol_beat", "at", "clock_timestamp() - interval '90 seconds'"))
    (row,) = watch_replica()
    assert isinstance(row.value, int)
    assert row.value >= 79
    assert "behind" in str(row.warning)


def test_a_beat_from_the_future_is_written_anew(as_alice: Client, van: Fleet, second: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO fleetcontrol_beat VALUES (1, now() + interval '3 days')"
                       " ON CONFLICT (id) DO UPDATE SET at = excluded.at")  # fmt: skip
    assert makes_of(as_alice, van) == ["as on the replica"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT at <= clock_timestamp() FROM fleetcontrol_beat")
        assert cursor.fetchone() == (True,)


def test_tend_beats_for_the_replica(second: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE fleetcontrol_beat")
        call_command("tend", only=["beat_for_replica"])
        cursor.execute("SELECT clock_timestamp() - at < interval '30 seconds' FROM fleetcontrol_beat")
        assert cursor.fetchone() == (True,)


def test_an_export_that_the_replica_breaks_off_is_made_from_the_primary(
    as_alice: Client, van: Fleet, second: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Replicas cancel long queries that keep them from following the primary."""
    with second.cursor() as cursor:
        cursor.execute("DROP VIEW pg_temp.vehicles_vehicle")
        cursor.execute(hiding_view("vehicles_vehicle", "make", "(1 / (length(make) - length(make)))::text"))
    answer = as_alice.get(reverse("vehicles:export", args=[van.slug]))
    assert b"".join(answer.streaming_content).count(b"\n") == 2  # type: ignore[attr-defined]  # a file
    assert answer.headers["X-Total"] == "1"
    assert "The replica is not read for 30 seconds: division by zero" in caplog.text


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_replica_that_is_away_is_asked_once_and_not_waited_for(
    as_alice: Client, van: Fleet, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_silent: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not is_silent:
            server.close()
        monkeypatch.setenv("DATABASE_POOL", "8")  # as in the web process
        url = f"postgres://fleetcontrol:pw@127.0.0.1:{port}/fleetcontrol"
        config = replica_database(Environment(), "DATABASE_REPLICA_URL", url)
        assert config["OPTIONS"]["connect_timeout"] == 2
        with alias(settings, monkeypatch, {**connection.settings_dict, **config, "ENGINE": ENGINE}):
            assert makes_of(as_alice, van) == ["as on the primary"]
            assert caplog.text.count("The replica is not read for 30 seconds") == 1
            assert makes_of(as_alice, van) == ["as on the primary"]
            assert caplog.text.count("The replica is not read for 30 seconds") == 1
        if is_silent:
            server.settimeout(0)
            server.accept()[0].close()
            with pytest.raises(BlockingIOError):
                server.accept()
    assert "pw" not in caplog.text


def test_an_address_may_ask_for_more_patience() -> None:
    url = "postgres://fleetcontrol:pw@127.0.0.1/fleetcontrol?connect_timeout=7"
    assert replica_database(Environment(), "DATABASE_REPLICA_URL", url)["OPTIONS"]["connect_timeout"] == 7


ENGINE = "django.db.backends.postgresql"


@contextmanager
def alias(settings: Settings, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]) -> Iterator[Any]:
    """The database of this configuration under the alias "replica", as DATABASE_REPLICA_URL sets it."""
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings, "replica", config)
        settings.EXPORT_DATABASE = "replica"
        found = connections["replica"]

        def connect() -> None:
            if found.connection is None:
                with found.wrap_database_errors:
                    found.connect()

        # Django's own is patched in tests and refuses an alias that came later.
        patch.setattr(found, "ensure_connection", connect)
        try:
            yield found
        finally:
            settings.EXPORT_DATABASE = "default"
            connections["replica"].close()
            del connections["replica"]


def hiding_view(table: str, column: str, expression: str) -> str:
    """The statement for a view that hides a table from this session and shows something else in one column."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(attname::text), ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attname <> %s",
            [f"public.{table}", column],
        )
        (others,) = cursor.fetchone()
    return f"CREATE TEMP VIEW {table} AS SELECT {others}, {expression} AS {column} FROM public.{table}"


def makes_of(browser: Client, fleet: Fleet) -> list[str]:
    answer = browser.get(reverse("vehicles:export", args=[fleet.slug]))
    header, *lines = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]  # a file
    position = header.split(",").index("make")
    return [line.split(",")[position] for line in lines]
