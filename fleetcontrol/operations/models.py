"""What programs that run beside the web server last said of themselves."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

WORKER = "worker"


class Report(models.Model):
    """The last report of a program: the worker that it lives, `tend` what came of a duty, under the duty's name."""

    name = models.CharField(primary_key=True, max_length=100)
    at = models.DateTimeField(db_default=Now())
    failed = models.BooleanField(default=False)
    result = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def leave(name: str, result: str = "", *, failed: bool = False) -> None:
        """Replace the last report of this name. `result` is a line for the operator."""
        report = Report(name=name, at=Now(), failed=failed, result=result)
        Report.objects.bulk_create(
            [report], update_conflicts=True, unique_fields=["name"], update_fields=["at", "failed", "result"]
        )
