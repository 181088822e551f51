"""The pages of imports: history, file, columns, check, import, report. Each step has its own address.

The pages know no noun: what can be imported is what registered itself (bulk_importer.importers), so that they live on
the ground floor beside the engine and not on a roof above the apps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.core.files.uploadhandler import MemoryFileUploadHandler, StopUpload
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from fleetcontrol import tabular
from fleetcontrol.imports import columns as bulk_columns
from fleetcontrol.imports.forms import ColumnsForm, UploadForm, matched, too_large
from fleetcontrol.imports.importer import importers
from fleetcontrol.imports.models import LARGEST_UPLOAD, ImportRun, NotNow, Stage
from fleetcontrol.imports.work import go_on
from fleetcontrol.pages.paging import page_of
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role

SAMPLE_ROWS = 3


class InMemory(MemoryFileUploadHandler):
    """Keeps an upload in memory: it may hold secrets, which are not to lie on a disk in plain."""

    is_too_large = False

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> None:
        self.activated = True
        self.is_too_large = content_length > LARGEST_UPLOAD + 2**16

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        if self.is_too_large:
            raise StopUpload(connection_reset=False)
        super().new_file(*args, **kwargs)


@require_safe
@fleet_view(Role.MANAGER)
def index(request: FleetRequest) -> HttpResponse:
    runs = ImportRun.objects.filter(fleet=request.fleet).defer("findings", "samples")
    return render(request, "imports/index.html", {"page": page_of(runs, request.GET, order=("-id",))})


@csrf_exempt  # checked by `_add`, once the upload is told where to go
def add(request: HttpRequest, fleet: str) -> HttpResponseBase:
    request.upload_handlers = [InMemory(request)]
    return _add(request, fleet=fleet)


@csrf_protect
@fleet_view(Role.MANAGER)
def _add(request: FleetRequest) -> HttpResponse:
    data, files = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = UploadForm(data, files, initial={"kind": request.GET.get("kind", "vehicle")})
    if any(getattr(handler, "is_too_large", False) for handler in request.upload_handlers):
        form.errors["file"] = form.error_class([too_large()])
    if form.is_valid():
        file = form.cleaned_data["file"]
        run = ImportRun.upload(
            fleet=request.fleet,
            actor=request.actor,
            kind=form.cleaned_data["kind"],
            name=file.name or "file",
            chunks=file.chunks(),
            header=form.header,
        )
        return redirect("imports:columns", request.fleet.slug, run.pk)
    return render(request, "imports/add.html", {"form": form, "limits": tabular.Limits(bytes=LARGEST_UPLOAD)},
                  status=422 if form.errors else 200)  # fmt: skip


@fleet_view(Role.MANAGER)
@sensitive_variables()
def columns(request: FleetRequest, id: str) -> HttpResponse:
    run = find(request, id)
    kind = importers()[run.kind]
    if not run.has_file or run.is_running:
        return redirect("imports:report", request.fleet.slug, run.pk)
    initial = {"on_duplicate": run.on_duplicate, **matched(kind, run.header, run.columns)}
    initial |= {f"same_{key}": value for key, value in run.constants.items()}
    form = ColumnsForm(kind, request.fleet, run.header, request.POST or None, initial=initial)
    if form.is_valid():
        try:
            run.choose(columns=form.columns, constants=form.constants, on_duplicate=form.cleaned_data["on_duplicate"])
            go_on(run, Stage.CHECKING, actor=request.actor)
        except NotNow:
            pass
        return redirect("imports:report", request.fleet.slug, run.pk)
    same = [form[f"same_{key}"] for key in kind.same_for_all]
    context = {"run": run, "form": form, "same": same, "columns": list(_sampled(run, form))}
    return render(request, "imports/columns.html", context, status=422 if form.errors else 200)


@require_safe
@fleet_view(Role.MANAGER)
def show(request: FleetRequest, id: str) -> HttpResponse:
    """Where the import stands: what the check found, how far the work is, or what became of the rows."""
    run = find(request, id)
    step = _step_of(run)
    address = reverse(f"imports:{step}", args=[request.fleet.slug, run.pk])
    if request.path != address:
        return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
    context = {"run": run, **_speed(run)}
    if request.htmx:
        return render(request, "imports/progress.html#progress", context)
    kind = importers()[run.kind]
    context |= {"list_page": kind.list_page, "may_audit": request.membership.may(Role.ADMINISTRATOR)}
    if run.report:
        tabs = _tabs(run)
        wanted = [key for key, _words, _count in tabs if key == request.GET.get("show")]
        shown = next(iter(wanted or [key for key, _words, _count in tabs]), "")
        context |= {"takes": kind.counted(run.written), "tabs": tabs, "shown": shown}
    return render(request, f"imports/{step}.html", context)


@require_POST
@fleet_view(Role.MANAGER)
def write(request: FleetRequest, id: str) -> HttpResponse:
    """Import what the check took, or check again where that ended badly."""
    run = find(request, id)
    try:
        stage = Stage.WRITING if run.stage in (Stage.CHECKED, Stage.WRITING) else Stage.CHECKING
        go_on(run, stage, actor=request.actor)
    except NotNow:
        messages.info(request, _("This import went on meanwhile. This is where it stands."))
    return redirect("imports:report", request.fleet.slug, run.pk)


@require_POST
@fleet_view(Role.MANAGER)
def cancel(request: FleetRequest, id: str) -> HttpResponse:
    run = find(request, id)
    try:
        run.cancel()
    except NotNow:
        messages.info(request, _("It was too late to cancel: the import had ended."))
    else:
        messages.success(request, _("%(file)s cancelled. Nothing of it was imported.") % {"file": run})
    return redirect("imports:index", request.fleet.slug)


@require_safe
@fleet_view(Role.MANAGER)
def refused(request: FleetRequest, id: str) -> StreamingHttpResponse:
    """The rows that were refused, to mend and upload again. Their secrets are left out."""
    run = find(request, id)
    if not run.has_refused_rows:
        raise Http404
    return _file(f"refused-{run.pk}.csv", run.chunks("refused"))


@require_safe
@fleet_view(Role.MANAGER)
def template(request: FleetRequest, kind: str) -> StreamingHttpResponse:
    """An empty file with every column."""
    if kind not in importers():
        raise Http404
    header = [one.key for one in importers()[kind].fields]
    return _file(f"{kind}s.csv", (text.encode() for text in tabular.csv_lines(header, [])))


def find(request: FleetRequest, id: str) -> ImportRun:
    """The fleet's import of this id. Raises Http404."""
    return get_object_or_404(ImportRun, fleet=request.fleet, pk=id)


def _step_of(run: ImportRun) -> str:
    """The name of the page that an import is at."""
    steps = {Stage.UPLOADED: "columns", Stage.CHECKED: "check", Stage.CHECKING: "progress", Stage.WRITING: "progress"}
    return steps.get(Stage(run.stage), "report")


def _file(name: str, chunks: Iterator[bytes]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(chunks, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _sampled(run: ImportRun, form: ColumnsForm) -> Iterator[tuple[str, Any, list[str]]]:
    """Each column: its name, its select, and values of the first rows; of a secret's column none."""
    kind = importers()[run.kind]
    secret = {one.key for one in kind.fields if one.is_secret}
    hidden = {place for key, place in bulk_columns.match(kind.fields, run.header).columns.items() if key in secret}
    rows: list[list[str]] = []
    for _line, cells in tabular.read(run.open()):
        if not isinstance(cells, tabular.TabularProblem):
            rows.append(cells)
        if len(rows) == SAMPLE_ROWS:
            break
    for place, name in form.named:
        values = ["••••••" if place in hidden and row[place] else row[place][:60] for row in rows]
        yield name, form[f"column_{place}"], values


def _tabs(run: ImportRun) -> list[tuple[str, str, int]]:
    """The verdicts a check has rows to show of: key, words, count."""
    words = {"new": _("New"), "update": _("Updates"), "skip": _("Left as they are"), "error": _("Need fixing")}
    counts = {"new": "new", "update": "updated", "skip": "skipped", "error": "errors"}
    return [(key, words[key], run.report[counts[key]]) for key in words if run.report.get(counts[key])]


def _speed(run: ImportRun) -> dict[str, Any]:
    """How much is done, in hundredths, and how many seconds are left, where that can be told."""
    total = run.size if run.step == "read" else run.total
    if not total or not run.started_at or not run.done:
        return {"percent": 0, "left": None}
    # Reading is about two fifths of the way, writing the rest.
    share = min(run.done / total, 1)
    way = 0.4 * share if run.step == "read" else 0.4 + 0.6 * share
    gone = (timezone.now() - run.started_at).total_seconds()
    return {"percent": round(100 * way), "left": max(1, round(gone / way - gone))}
