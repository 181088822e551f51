"""Files to import, written row by row so that their size takes no memory."""

import csv
from pathlib import Path

from vehicles.vin import check_digit

HEADER = (
    "name", "telematics_brand", "credential", "vin", "license_plate", "make", "model", "fuel_type", "year",
    "vehicle_type",
)  # fmt: skip
CREDENTIALS = 20


def vehicles(path: Path, rows: int, *, start: int = 0) -> None:
    """Write a CSV of plausible vehicles that all differ and share CREDENTIALS credentials."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for number in range(start, start + rows):
            table.writerow(
                [
                    f"Transporter {number:07}", "MERCEDES_BENZ", f"Mercedes-Benz {number % CREDENTIALS}", vin(number),
                    f"HH-NL {number}", "Mercedes-Benz", ("eVito", "eSprinter", "EQV")[number % 3], "electric",
                    2018 + number % 8, "van",
                ]
            )  # fmt: skip


def credentials(path: Path, rows: int) -> None:
    """Write a CSV of credentials of three brands, each with a secret of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["name", "brand", "client_id", "client_secret", "note"])
        for number in range(rows):
            brand = ("MERCEDES_BENZ", "NIU", "TESLA")[number % 3]
            table.writerow([f"Depot {number:07}", brand, f"client-{number:08}", f"s3cr3t-{number:024}", ""])


def vin(number: int) -> str:
    """A VIN with the right check digit."""
    text = f"W1V447{number // 10**7 % 10}XX{'N'}{number % 10**7:07}"
    return f"{text[:8]}{check_digit(text)}{text[9:]}"
