"""A CSV file as an answer, streamed: memory does not grow with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.http import StreamingHttpResponse
from django.utils import timezone

from fleetcontrol.access import FleetRequest
from fleetcontrol.tabular.delimited import csv_lines


def download(
    request: FleetRequest, what: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> StreamingHttpResponse:
    """The rows as a file such as credentials-nordlicht-2026-11-23.csv. With ?excel=1 in the form German Excel reads."""
    for_excel = request.GET.get("excel") == "1"
    response = StreamingHttpResponse(
        csv_lines(header, rows, for_excel=for_excel), content_type="text/csv; charset=utf-8"
    )
    name = f"{what}-{request.fleet.slug}-{timezone.localdate().isoformat()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
