"""Files to import, made row by row so that making them takes no memory."""

import csv
from pathlib import Path

_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", map(int, "12345678123457923456789"), strict=True))
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
HEADER = (
    "name", "telematics_brand", "credential", "vin", "license_plate", "make", "model", "fuel_type", "year",
    "vehicle_type",
)  # fmt: skip
CREDENTIALS = 20


def vehicles(path: Path, rows: int, *, start: int = 0) -> None:
    """A CSV of plausible vehicles that differ from one another and use CREDENTIALS credentials."""
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
    """A CSV of credentials of three brands, each with a secret of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["name", "brand", "client_id", "client_secret", "note"])
        for number in range(rows):
            brand = ("MERCEDES_BENZ", "NIU", "TESLA")[number % 3]
            table.writerow([f"Depot {number:07}", brand, f"client-{number:08}", f"s3cr3t-{number:024}", ""])


def vin(number: int) -> str:
    """A VIN with a right check digit (ISO 3779, 49 CFR 565.15)."""
    text = f"W1V447{number // 10**7 % 10}XX{'N'}{number % 10**7:07}"
    total = sum(weight * (int(c) if c.isdigit() else _VALUES[c]) for weight, c in zip(_WEIGHTS, text, strict=True))
    return f"{text[:8]}{'0123456789X'[total % 11]}{text[9:]}"
