"""How long the server takes for the pages of a fleet with many vehicles, compared with a page that lists nothing.

    python -m benchmarks.pages [VEHICLES, else 1000000]

It runs in a database of its own. Each address is requested once and then five times more; the median of those counts.
The vehicles use five credentials, except for 100 NIU scooters with their own; 1,000 other credentials are unused.
"""

import sys
from statistics import median
from time import perf_counter
from typing import Any

from django.conf import settings
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext, setup_test_environment
from django.urls import reverse

from benchmarks.database import connection, own_database
from credentials.models import Credential
from fleetcontrol.people.models import Fleet, Role, User
from fleetcontrol.web.session_cookie import cookie_of
from tests.support import factory

PLAIN_FILES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
VEHICLES = """
INSERT INTO vehicles_vehicle (
    id, fleet_id, name, telematics_brand, telematics_kind, telematics_unit_id, credential_id, vin, license_plate, make,
    model, custom_name, fuel_type, transmission, vehicle_type, unit_password_fingerprint, custom_fields, tags,
    operation_status, created_at, created_by, changed_at, changed_by
)
SELECT lpad(number::text, 26, '0'), %(fleet)s, 'Transporter ' || lpad(number::text, 7, '0'), %(brand)s, 'shared', vin,
    (%(credentials)s::text[])[1 + number %% cardinality(%(credentials)s::text[])], vin,
    'HH-' || chr(65 + number %% 26) || chr(65 + number / 26 %% 26) || ' ' || (number::bigint * 7919) %% 9999,
    'Mercedes-Benz', (ARRAY['eVito', 'eSprinter', 'EQV'])[1 + number %% 3], '', 'electric', '', 'van', '', '{}', '{}',
    'OPERATING', now(), 'benchmark', now(), 'benchmark'
FROM (
    SELECT number, 'W1V447' || substr('ABCDEFGHJKLMNPRSTUVWXYZ', 1 + number / 100000 %% 23, 1) || 'XX'
        || number %% 10 || 'N' || lpad(((number::bigint * 7919) %% 1000000)::text, 6, '0') AS vin
    FROM generate_series(%(first)s, %(last)s) number
) numbers
"""


def main(vehicles: int) -> None:
    with own_database():
        fleet, used = fill(vehicles)
        addresses = {
            "a page that lists nothing": of("vehicles:choose_brand", fleet),
            "credentials": of("credentials:index", fleet),
            "credentials, searched": of("credentials:index", fleet, q="Depot 77"),
            "credential": of("credentials:detail", fleet, used[0].pk),
            "delete refused, with its vehicles": of("credentials:remove", fleet, used[0].pk),
            "delete refused, searched": of("credentials:remove", fleet, used[0].pk, q=tail(vehicles // 3)),
            "vehicles": of("vehicles:index", fleet),
            "vehicles, next page": "",
            "vehicles, name falling": of("vehicles:index", fleet, sort="-name"),
            "vehicles, end of a VIN (6)": of("vehicles:index", fleet, q=tail(vehicles // 3)),
            "vehicles, a whole VIN": of("vehicles:index", fleet, q=vin(vehicles // 3)),
            "vehicles, a name": of("vehicles:index", fleet, q=f"Transporter {vehicles // 2:07}"),
            "vehicles, a plate (4)": of("vehicles:index", fleet, q="4711"),
            "vehicles, a common word": of("vehicles:index", fleet, q="transporter"),
            "vehicles, found nowhere (7)": of("vehicles:index", fleet, q="zzzzzzz"),
            "vehicles, found nowhere (3)": of("vehicles:index", fleet, q="zzz"),
            "vehicles of a credential": of("vehicles:index", fleet, credential=used[1].pk),
            "vehicles of a rare brand": of("vehicles:index", fleet, brand="NIU"),
            "vehicles without a credential": of("vehicles:index", fleet, credential="none"),
            "admin: vehicles": reverse("admin:vehicles_vehicle_changelist"),
            "admin: vehicles, end of a VIN": reverse("admin:vehicles_vehicle_changelist") + "?q=" + tail(vehicles // 3),
            "admin: vehicles, last page": reverse("admin:vehicles_vehicle_changelist") + "?p=200",
            "admin: credentials": reverse("admin:credentials_credential_changelist"),
            "admin: delete refused": reverse("admin:credentials_credential_delete", args=[used[0].pk]),
            "admin: audit events": reverse("admin:audit_auditevent_changelist"),
        }
        client = administrator()
        page = client.get(addresses["vehicles"]).context["listing"].page
        addresses["vehicles, next page"] = addresses["vehicles"] + page.next
        print(f"{vehicles:,} vehicles, {Credential.objects.count():,} credentials")
        print(f"{'page':38} {'ms':>7} {'ratio':>7} {'queries':>8} {'of them, ms':>12} {'KB':>6}")
        bare = 0.0
        for name, address in addresses.items():
            took, queries, spent, size = measure(client, address)
            bare = bare or took
            print(f"{name:38} {took:7.1f} {took / bare:7.1f} {queries:8} {spent:12.1f} {size:6.0f}")


def administrator() -> Client:
    """A client that is signed in as an administrator."""
    client = Client()
    client.force_login(User.objects.get(email="alice@example.com"))
    client.cookies[settings.SESSION_COOKIE_NAME] = cookie_of(client.cookies[settings.SESSION_COOKIE_NAME].value)
    return client


def fill(vehicles: int) -> tuple[Fleet, list[Credential]]:
    fleet = factory.a_fleet()
    factory.a_member(fleet, Role.ADMINISTRATOR, is_staff=True, is_superuser=True)
    used = [factory.a_credential(fleet, name=f"Mercedes-Benz {number}") for number in range(5)]
    scooters = factory.a_credential(fleet, name="Scooters", brand="NIU")
    for number in range(1000):
        factory.a_credential(fleet, name=f"Depot {number}")
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"fleet": fleet.pk, "brand": "MERCEDES_BENZ", "credentials": [one.pk for one in used]}
        cursor.execute(VEHICLES, values | {"first": 1, "last": vehicles})
        values |= {"brand": "NIU", "credentials": [scooters.pk]}
        cursor.execute(VEHICLES, values | {"first": 8_000_001, "last": 8_000_100})
        cursor.execute("VACUUM ANALYZE")
    return fleet, used


def measure(client: Client, address: str) -> tuple[float, int, float, float]:
    """Milliseconds in total, number of queries, milliseconds in queries, and kilobytes of the response."""
    assert client.get(address).status_code == 200, address
    times = []
    for _run in range(5):
        start = perf_counter()
        answer = client.get(address)
        times.append(1000 * (perf_counter() - start))
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    spent = sum(float(query["time"]) for query in queries.captured_queries)
    return median(times), len(queries), 1000 * spent, len(answer.content) / 1024


def of(name: str, fleet: Fleet, *args: str, **query: str) -> str:
    return reverse(name, args=[fleet.slug, *args], query=query)


def tail(number: int) -> str:
    return f"{number * 7919 % 1000000:06}"


def vin(number: int) -> str:
    return f"W1V447{'ABCDEFGHJKLMNPRSTUVWXYZ'[number // 100000 % 23]}XX{number % 10}N{tail(number)}"


if __name__ == "__main__":
    setup_test_environment(debug=False)
    with override_settings(STORAGES=PLAIN_FILES):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
