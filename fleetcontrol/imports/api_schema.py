"""The parameters and answers of the API of imports, and the example that its description shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import Field

from fleetcontrol.db.reading import Column, Reader
from fleetcontrol.imports.importer import OnDuplicate, OnError
from fleetcontrol.imports.models import ImportRun, Stage

IMPORT_EXAMPLE: dict[str, Any] = {
    "id": "01JAE4S8W5X3RZ6VQF0N6B7C8D",
    "file_name": "vehicles-november.csv",
    "size": 41210,
    "stage": "checked",
    "stalled": False,
    "on_error": "stop",
    "on_duplicate": "update",
    "counts": {"new": 312, "updated": 41, "unchanged": 9, "skipped": 0, "errors": 6, "notes": 0},
    "problems": [
        {
            "column": "VIN",
            "reason": "A VIN has 17 characters, this one has 16.",
            "is_note": False,
            "count": 4,
            "lines": [12, 48, 49, 203],
        },
    ],
    "failure": "",
    "progress": {"step": "", "done": 0, "total": 0},
    "created_by": "ERP",
    "created_at": "2026-10-17T14:30:00Z",
    "ended_at": "2026-10-17T14:30:02Z",
}


class ImportQuery(Schema):
    """How to import a file."""

    file_name: str = Field("", max_length=200, description="The name of the file in the list of imports.")
    on_error: OnError = Field(
        OnError.STOP,
        description="`stop`: if a row is wrong, nothing is written. `skip`: only wrong rows are left out.",
    )
    on_duplicate: OnDuplicate = Field(
        OnDuplicate.FAIL,
        description="What to do with a row that the fleet has already: `fail` calls it wrong, `skip` leaves it out, "
        "`update` changes what is there. Changing vehicles needs the permission `vehicles` as well.",
    )
    dry_run: bool = Field(
        default=False, description="Check the file and write nothing. `…/write` can write it afterwards."
    )
    encoding: str = Field(
        "", max_length=40, description="The text's encoding, such as `cp850`. It is found by itself if it is clear."
    )
    header_row: int | None = Field(
        None,
        ge=0,
        le=5_000_000,
        description="The line with the names of the columns; 0: there is none, and the columns are called `column 1`, "
        "`column 2` and so on. It is found by itself if it is clear.",
    )
    map: list[str] = Field(
        [], max_length=200, description="FIELD=COLUMN: fill the field from a column of another name. May be repeated."
    )
    set: list[str] = Field(
        [],
        max_length=200,
        description="FIELD=VALUE: the same value for every row. May be repeated. Secrets are refused here: send them "
        "in the body.",
    )


class ImportCounts(Schema):
    """The number of rows with each result, or that would have it. `errors` counts rows, `notes` counts notes."""

    new: int
    updated: int
    unchanged: int
    skipped: int
    errors: int
    notes: int


def _counts(report: Mapping[str, int]) -> dict[str, int] | None:
    """The counts of a report; None until the file is checked."""
    return {name: report[name] for name in ImportCounts.model_fields} if report else None


class ImportProblem(Schema):
    """An error or a note that `count` rows have in common, and the lines of the first 20."""

    column: str
    reason: str
    is_note: bool
    count: int
    lines: list[int]


class ImportProgress(Schema):
    """How much of `total` is done, in bytes while the file is read and in rows afterwards."""

    step: Literal["", "queue", "read", "wait", "check", "write"]
    done: int
    total: int


class ImportOut(Schema):
    """An import. `checking` and `writing` end by themselves; `checked` has written nothing and waits for `…/write`.

    `stalled`: the process that worked on it is gone. FleetControl takes it up again by itself within minutes.
    """

    id: str
    file_name: str
    size: int
    stage: Stage
    stalled: Annotated[bool, Column("is_stalled")]
    on_error: OnError
    on_duplicate: OnDuplicate
    counts: Annotated[ImportCounts | None, Column("report", _counts)]
    problems: Annotated[list[ImportProblem], Column("findings")]
    failure: str
    progress: ImportProgress
    created_by: str
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    ended_at: str | None = Field(json_schema_extra={"format": "date-time"})


class ImportPage(Schema):
    items: list[ImportOut]
    next_page_token: str | None


# Whether an import is stalled is known to the model's manager: read querysets and instances, not fixed statements.
READER = Reader(ImportRun, ImportOut, filters=())
