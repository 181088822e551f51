"""A file as an answer. It is whole before the answer begins: what breaks off while it is made is a page of an error."""

from __future__ import annotations

from django.http import FileResponse, HttpRequest
from django.utils import timezone

from fleetcontrol.pages.export import Export, WholeFile


def download(request: HttpRequest, name: str, export: Export, format: str = "csv") -> FileResponse:
    """The export as a file such as credentials-nordlicht-2026-11-23.csv, where `name` is all before the day.

    With ?excel=1 a CSV has the form that German Excel reads.
    """
    made = export.make(format, for_excel=request.GET.get("excel") == "1")
    return send(made, f"{name}-{timezone.localdate().isoformat()}.{format}")


def send(whole: WholeFile, file_name: str) -> FileResponse:
    """A file of the name *.csv or *.jsonl with its length, and with X-Total, how many rows it has."""
    kind = "application/jsonl" if file_name.endswith(".jsonl") else "text/csv"
    response = FileResponse(whole.file, as_attachment=True, filename=file_name, content_type=f"{kind}; charset=utf-8")
    response.headers["X-Total"] = str(whole.rows)
    response.headers["Cache-Control"] = "private, no-store"
    return response
