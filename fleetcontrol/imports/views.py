"""The pages of imports: history, file, columns, check, import, report. Each step has its own address.

The pages know no noun. They offer what apps have registered as importers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from django.contrib import messages
from django.core.files.uploadhandler import MemoryFileUploadHandler, StopUpload
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from fleetcontrol import tabular
from fleetcontrol.audit.models import Actor
from fleetcontrol.db.copying import snapshot
from fleetcontrol.imports.columns import match_columns, proposed
from fleetcontrol.imports.forms import ColumnsForm, UploadForm, initial_columns
from fleetcontrol.imports.importer import ROWS_COMPARED, importers
from fleetcontrol.imports.models import LARGEST_UPLOAD, ImportRun, NotNow, Stage
from fleetcontrol.imports.work import check_or_write, resume
from fleetcontrol.pages.download import send
from fleetcontrol.pages.export import whole_file, write_lines
from fleetcontrol.pages.paging import page_of
from fleetcontrol.people.access import FleetRequest, fleet_view
from fleetcontrol.people.models import Role

SAMPLE_ROWS = 3


class InMemory(MemoryFileUploadHandler):
    """Keeps an upload in memory: it may hold secrets, which must not touch a disk in plain text."""

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
    runs = ImportRun.objects.filter(fleet=request.fleet).defer("findings")
    return render(request, "imports/index.html", {"page": page_of(runs, request.GET, order=("-id",))})


@csrf_exempt  # `_add` checks it: the check reads the body, and before that the upload needs its handler
def add(request: HttpRequest, fleet: str) -> HttpResponseBase:
    if request.content_type == "multipart/form-data":  # any other body holds no upload, and may have been read already
        request.upload_handlers = [InMemory(request)]
    return _add(request, fleet=fleet)


@csrf_protect
@fleet_view(Role.MANAGER)
def _add(request: FleetRequest) -> HttpResponse:
    data, files = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = UploadForm(data, files, initial={"kind": request.GET["kind"]} if "kind" in request.GET else None)
    if any(getattr(handler, "is_too_large", False) for handler in request.upload_handlers):
        form.errors["file"] = form.error_class([form.too_large()])
    if form.is_valid():
        file = form.cleaned_data["file"]
        run = ImportRun.upload(
            fleet=request.fleet,
            actor=request.actor,
            kind=form.cleaned_data["kind"],
            name=file.name or "file",
            chunks=file.chunks(),
            header=form.header,
            encoding=form.cleaned_data["encoding"],
            header_row=form.line_of_header,
        )
        return redirect("imports:columns", request.fleet.slug, run.pk)
    return render(request, "imports/add.html", {"form": form, "limits": tabular.Limits(bytes=LARGEST_UPLOAD)},
                  status=422 if form.errors else 200)  # fmt: skip


@fleet_view(Role.MANAGER)
@sensitive_variables()
def columns(request: FleetRequest, id: str) -> HttpResponse:
    run = get_run(request, id)
    importer = importers()[run.kind]
    if not run.has_file or run.is_running:
        return redirect("imports:report", request.fleet.slug, run.pk)
    header = run.header
    rows = _first_rows(run)
    initial = {"on_duplicate": run.on_duplicate, **initial_columns(importer, header, run.chosen(header), rows)}
    initial |= {f"same_{key}": value for key, value in run.given.items()}
    form = ColumnsForm(importer, request.fleet, header, request.POST or None, initial=initial)
    if form.is_valid():
        try:
            run.choose(columns=form.columns, constants=form.constants, on_duplicate=form.cleaned_data["on_duplicate"])
            check_or_write(run, Stage.CHECKING, actor=request.actor)
        except NotNow:
            pass
        return redirect("imports:report", request.fleet.slug, run.pk)
    same = [form[f"same_{key}"] for key in importer.same_for_all if key not in form.unsaid]
    unsaid = [form[f"same_{key}"] for key in form.unsaid]
    context = {
        "run": run,
        "form": form,
        "same": same,
        "unsaid": unsaid,
        "columns": list(_sampled(run, form, request.actor, rows)),
    }
    return render(request, "imports/columns.html", context, status=422 if form.errors else 200)


@require_safe
@fleet_view(Role.MANAGER)
def show(request: FleetRequest, id: str) -> HttpResponse:
    """Show where the import stands: what the check found, how far the work is, or what became of the rows."""
    run = get_run(request, id)
    step = _step_of(run)
    address = reverse(f"imports:{step}", args=[request.fleet.slug, run.pk])
    if request.path != address:
        return HttpResponseClientRedirect(address) if request.htmx else redirect(address)
    context: dict[str, Any] = {"run": run, **_speed(run)}
    if request.htmx:
        return render(request, "imports/progress.html#progress", context)
    importer = importers()[run.kind]
    context |= {"list_page": importer.list_page, "may_audit": request.membership.may(Role.ADMINISTRATOR)}
    if run.report:
        tabs = _tabs(run)
        wanted = [key for key, _words, _count in tabs if key == request.GET.get("show")]
        shown = next(iter(wanted or [key for key, _words, _count in tabs]), "")
        context |= {"takes": importer.counted(run.written), "tabs": tabs, "shown": shown, "samples": run.samples}
    return render(request, f"imports/{step}.html", context)


@require_POST
@fleet_view(Role.MANAGER)
def write(request: FleetRequest, id: str) -> HttpResponse:
    """Import the rows that the check found good, or check again if the last attempt failed.

    A stalled attempt is made again as it was begun. "Try again" says that this is meant, whatever came in between.
    """
    run = get_run(request, id)
    try:
        if run.is_running or "resume" in request.POST:
            resume(run, actor=request.actor)
        else:
            stage = Stage.WRITING if run.stage == Stage.CHECKED else Stage.CHECKING
            check_or_write(run, stage, actor=request.actor)
    except NotNow:
        messages.info(request, _("This import went on meanwhile. This is where it stands."))
    return redirect("imports:report", request.fleet.slug, run.pk)


@require_POST
@fleet_view(Role.MANAGER)
def cancel(request: FleetRequest, id: str) -> HttpResponse:
    run = get_run(request, id)
    try:
        run.cancel()
    except NotNow:
        messages.info(request, _("It was too late to cancel: the import had ended."))
    else:
        messages.success(request, _("The import is cancelled. Nothing of it was written."))
    return redirect("imports:index", request.fleet.slug)


@require_safe
@fleet_view(Role.MANAGER)
def refused(request: FleetRequest, id: str) -> FileResponse:
    """Download the refused rows, without their secrets, to correct and upload them again."""
    run = get_run(request, id)
    if not run.has_refused_rows:
        raise Http404

    def write(file: BinaryIO, using: str) -> int:
        with snapshot(using):  # `tend` may erase the pieces meanwhile
            file.writelines(run.chunks("refused"))
        file.seek(0)
        return _records(file) - 1  # without the header

    return send(whole_file(write), f"refused-{run.pk}.csv")


@require_safe
@fleet_view(Role.MANAGER)
def template(request: FleetRequest, kind: str) -> FileResponse:
    """Download an empty file with every column of the noun."""
    if kind not in importers():
        raise Http404
    header = [one.key for one in importers()[kind].fields]
    whole = whole_file(lambda file, _using: write_lines(file, tabular.csv_lines(header, ())) - 1)
    return send(whole, f"{kind}s.csv")


def get_run(request: FleetRequest, id: str) -> ImportRun:
    """The fleet's import of this id. Raises Http404."""
    return get_object_or_404(ImportRun, fleet=request.fleet, pk=id)


def _records(file: BinaryIO) -> int:
    """How many records a CSV has that `tabular` wrote: a line feed inside of quotes ends none."""
    count, is_inside = 0, False
    for line in file:
        is_inside ^= line.count(b'"') % 2 == 1
        count += not is_inside
    return count


def _step_of(run: ImportRun) -> str:
    """The URL name of the page for the stage of an import."""
    steps = {Stage.UPLOADED: "columns", Stage.CHECKED: "check", Stage.CHECKING: "progress", Stage.WRITING: "progress"}
    return steps.get(Stage(run.stage), "report")


def _first_rows(run: ImportRun) -> list[tabular.Row]:
    read = importers()[run.kind].read
    return read(run.open(), encoding=run.encoding, header_row=run.header_row, limits=tabular.IN_REQUEST).peek(
        ROWS_COMPARED
    )


def _sampled(
    run: ImportRun, form: ColumnsForm, actor: Actor, first: list[tabular.Row]
) -> Iterator[tuple[str, Any, list[str]]]:
    """Each column's name, its select, and its values in the first rows.

    Who sent the file sees all but secrets, to say what the columns are. Others see the columns that are known by their
    name and may be shown: any other may hold a secret, its name included.
    """
    fields = {one.key: one for one in importers()[run.kind].fields}
    chosen = run.chosen(form.header)
    by_name = proposed(form.importer.fields, form.header)
    matched = match_columns(form.importer.fields, form.header, chosen) if chosen else by_name
    secret = {place for both in (matched, by_name) for key, place in both.positions.items() if fields[key].is_secret}
    shown = {place for key, place in by_name.positions.items() if fields[key].is_shown}
    is_mine = run.is_by(actor)
    rows = [cells for _line, cells in first if not isinstance(cells, tabular.TabularProblem)][:SAMPLE_ROWS]
    for position, name in form.named_columns:
        is_hidden = position in secret or not (is_mine or position in shown)
        values = ["••••••" if is_hidden and row[position] else row[position][:60] for row in rows]
        yield name if is_mine else by_name.name_at(position), form[f"column_{position}"], values


def _tabs(run: ImportRun) -> list[tuple[str, str, int]]:
    """The verdicts that have rows to show: key, label, number of rows."""
    words = {"new": _("New"), "update": _("Updates"), "skip": _("Left as they are"), "error": _("Need fixing")}
    counts = {"new": "new", "update": "updated", "skip": "skipped", "error": "errors"}
    return [(key, words[key], run.report[counts[key]]) for key in words if run.report.get(counts[key])]


def _speed(run: ImportRun) -> dict[str, Any]:
    """How many percent are done and how many seconds are left, as far as that is known."""
    total = run.size if run.step == "read" else run.total
    if not total or not run.started_at or not run.done:
        return {"percent": 0, "left": None}
    # Reading takes about two fifths of the time, writing the rest.
    share_of_step = min(run.done / total, 1)
    share = 0.4 * share_of_step if run.step == "read" else 0.4 + 0.6 * share_of_step
    elapsed = ((run.beat_at or timezone.now()) - run.started_at).total_seconds()  # by the database's clock
    return {"percent": round(100 * share), "left": max(1, round(elapsed / share - elapsed))}
