"""A CSV file as a streamed response. Memory does not grow with the number of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from fleetcontrol.tabular.delimited import csv_lines


def download(
    request: HttpRequest, name: str, header: Sequence[str], rows: Iterable[Sequence[str]]
) -> StreamingHttpResponse:
    """Send the rows as a file such as credentials-nordlicht-2026-11-23.csv, where `name` is the part before the date.

    With ?excel=1 the file has the format that German Excel reads.
    """
    for_excel = request.GET.get("excel") == "1"
    response = StreamingHttpResponse(
        csv_lines(header, rows, for_excel=for_excel), content_type="text/csv; charset=utf-8"
    )
    file_name = f"{name}-{timezone.localdate().isoformat()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response
