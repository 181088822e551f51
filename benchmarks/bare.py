"""What the API is measured against: Django views that do nothing but the same number of queries and bytes.

No middleware, no token, no JSON: rows come and go as tuples, and the answer is as many bytes as the API's, made once.
"""

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.bare_settings"
os.environ.setdefault("DATABASE_POOL", "8")

from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from ulid import ULID

CREDENTIAL, VEHICLES, VEHICLE = (
    b"x" * int(size) for size in os.environ.get("BENCHMARK_BYTES", "500,20000,600").split(",")
)


def rows(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def answer(content: bytes) -> HttpResponse:
    return HttpResponse(content, content_type="application/json", headers={"Content-Length": str(len(content))})


def credential(request: HttpRequest, id: str) -> HttpResponse:
    rows("SELECT * FROM api_apiclient LIMIT 1")
    rows("SELECT * FROM credentials_credential WHERE id = %s", id)
    return answer(CREDENTIAL)


def vehicles(request: HttpRequest) -> HttpResponse:
    rows("SELECT * FROM api_apiclient LIMIT 1")
    rows("SELECT * FROM vehicles_vehicle ORDER BY id LIMIT 50")
    return answer(VEHICLES)


def add(request: HttpRequest) -> HttpResponse:
    """The rows are copies of rows that are there, with what must be unique made new."""
    len(request.body)
    rows("SELECT * FROM api_apiclient LIMIT 1")
    ((credential_id, fleet_id),) = rows("SELECT id, fleet_id FROM credentials_credential LIMIT 1")
    id = str(ULID())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO vehicles_vehicle (id, fleet_id, name, telematics_brand, telematics_kind, telematics_unit_id,"
            " credential_id, unit_password_fingerprint, vin, license_plate, make, model, custom_name, fuel_type,"
            " transmission, vehicle_type, custom_fields, tags, operation_status, created_at, created_by, changed_at,"
            " changed_by) VALUES (%s, %s, %s, 'NIU', 'shared', %s, %s, '', '', '', 'NIU', 'NQi', '', '', '', '', '{}',"
            " '{pool}', 'OPERATING', now(), 'bare', now(), 'bare')",
            [id, fleet_id, id, id, credential_id],
        )
        cursor.execute(
            "INSERT INTO audit_auditevent (fleet_id, time, actor_kind, actor_id, actor_label, action,"
            " target_kind, target_id, target_label, changes, flow_id) VALUES (%s, now(), 'client', 'bare', 'bare',"
            ' \'vehicle.add\', \'vehicle\', %s, %s, \'{"name": [null, "x"], "make": [null, "NIU"]}\', %s)',
            [fleet_id, id, id, id],
        )
    return answer(VEHICLE)


urlpatterns = [
    path("credential/<str:id>", credential),
    path("vehicles", vehicles),
    path("vehicle", csrf_exempt(add)),
]
application = get_wsgi_application()
