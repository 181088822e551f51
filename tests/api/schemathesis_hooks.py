"""Hooks that fit generated requests to rules that no schema can state, so that more of them get past validation.

They only replace valid values by values that are also valid together. Invalid values stay invalid. schemathesis.toml
holds the values that need no code.
"""

import re
from itertools import count
from typing import Any

import schemathesis

OF_SCOOTERS = "01JAE4S8W5X3RZ6VQF0N6B7C9E"
MOVE_TO = "01JAE4S8W5X3RZ6VQF0N6B7C8D"  # the target credential in the OpenAPI example of a move
VIN_OF_EXAMPLE = "W1K2060421F123456"
_numbers = count()


@schemathesis.hook
def map_case(_context: Any, case: Any) -> Any:
    """Make valid Idempotency-Keys unique, because the API rejects a key that comes back with another body."""
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 0 < len(key) <= 200 and key.isascii() and key.isprintable():
        case.headers["Idempotency-Key"] = f"{key}{next(_numbers)}"
    if case.method == "POST" and isinstance(case.body, dict):
        items = case.body.get("items")
        for body in items if isinstance(items, list) else [case.body]:
            if isinstance(body, dict):
                fit(body)
    return case


def fit(body: dict[str, Any]) -> None:
    """Make the values of one new object valid together.

    Names, units and VINs become unique, and end dates lie in the future. A NIU scooter gets the test's credential for
    scooters, a CloudBoxx gets none. Empty values are dropped, because they may belong to another brand's fields.
    """
    for field in [key for key, value in body.items() if value == "" and key != "ends_on"]:
        del body[field]
    if re.fullmatch(r"[01]\d{3}-\d\d-\d\d", str(body.get("ends_on"))):
        body["ends_on"] = "2099-12-31"
    for field in ("name", "telematics_unit_id"):
        if isinstance(body.get(field), str) and 0 < len(body[field]) <= 50:
            body[field] += str(next(_numbers))
    master = body.get("master_data")
    if isinstance(master, dict) and master.get("vin") == VIN_OF_EXAMPLE:
        master |= {"vin": f"{VIN_OF_EXAMPLE[:11]}{next(_numbers):06}", "license_plate": f"B-MB {next(_numbers)}"}
    brand = body.get("telematics_brand")
    if brand in ("NIU", "CLOUDBOXX"):
        body.setdefault("telematics_unit_id", f"N{next(_numbers)}")
    if brand == "NIU":
        body.setdefault("credentials_id", OF_SCOOTERS)
    if brand == "CLOUDBOXX" and isinstance(body.get("credentials_id"), str) and len(body["credentials_id"]) <= 26:
        del body["credentials_id"]
