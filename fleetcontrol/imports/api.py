"""The API of imports: a file goes in as it is, and becomes an import like one of the browser's.

The pages know no noun, and this does not either: `router` makes the operations of one. An import that software sent
stands in the fleet's list of imports, where a person can look at its problems and import the good rows; one that a
person uploaded can be read here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from io import BytesIO
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router

from fleetcontrol import tabular
from fleetcontrol.api.operations import (
    FILE_TYPES,
    ApiRequest,
    PageQuery,
    answer,
    idempotently,
    not_found,
    operation,
    page,
    page_of,
    read_body,
)
from fleetcontrol.api.problems import (
    CONFLICTING_RESOURCE,
    PAYLOAD_TOO_LARGE,
    RESOURCE_NOT_FOUND,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_ERROR,
    ProblemError,
)
from fleetcontrol.imports.api_schema import EXAMPLE, READER, ImportOut, ImportPage, ImportQuery, shown
from fleetcontrol.imports.columns import UnknownColumn, match_columns, parse_pairs
from fleetcontrol.imports.importer import Importer, OnDuplicate, OnError, importers
from fleetcontrol.imports.models import LARGEST_UPLOAD, ImportRun, NotNow, Stage
from fleetcontrol.imports.work import check_or_write

IMPORTS = 60  # of one client in a minute


class Operations:
    """The operations on imports of one noun. `change` is a permission that changing what is there needs as well."""

    def __init__(self, kind: str, change: str) -> None:
        self.kind = kind
        self.change = change

    def add(self, request: ApiRequest, query: Query[ImportQuery]) -> HttpResponse:
        """The body is the file: CSV, JSON Lines or XLSX; format, separator and encoding are found by themselves, so
        that `application/octet-stream` will do for any, and a type of its own, such as `text/csv`, too. A small file is
        done when the answer comes, a large one goes on in the background: ask for the import until its `stage` is
        `done`, `checked` or `failed`. With `on_error=stop` a file with a wrong row stays `checked`: nothing of it was
        written, and `problems` tell why.
        """
        request.caller.use_up("import", IMPORTS)
        self.must_be_allowed(request, query.on_duplicate)
        data = read_body(request, LARGEST_UPLOAD)
        return idempotently(request, partial(upload, request, importers()[self.kind], query, data))

    def index(self, request: ApiRequest, query: Query[PageQuery]) -> HttpResponse:
        return page(request, query, READER, kind=self.kind)

    def read(self, request: ApiRequest, id: str) -> HttpResponse:
        row = READER.one(request.fleet.pk, id=id, kind=self.kind)
        if row is None:
            raise not_found(_("import"), id)
        return answer(shown(row))

    def write(self, request: ApiRequest, id: str) -> HttpResponse:
        """The rows that need fixing are left out; they can be fetched with `…/refused-rows`."""
        run = self.find(request, id)
        self.must_be_allowed(request, run.on_duplicate)
        if run.stage not in (Stage.CHECKED, Stage.WRITING):
            raise ProblemError(CONFLICTING_RESOURCE, _("This import is not waiting to be written. Read its stage."))
        start(request, run, Stage.WRITING, OnError.SKIP)
        return accepted(run)

    def refused(self, request: ApiRequest, id: str) -> HttpResponse:
        """As a file to mend and send again, for a week; without any it is the header alone. Secrets are left out."""
        run = self.find(request, id)
        rows = b"".join(run.chunks("refused")) or next(tabular.csv_lines(run.header, ())).encode()
        return HttpResponse(rows, content_type="text/csv; charset=utf-8")

    def cancel(self, request: ApiRequest, id: str) -> HttpResponse:
        """Nothing of it is written and its file is erased; it stays in the list."""
        run = self.find(request, id)
        try:
            run.cancel()
        except NotNow:
            raise ProblemError(CONFLICTING_RESOURCE, _("It was too late to cancel: the import had ended.")) from None
        return answer(shown(READER.of(run)))

    def find(self, request: ApiRequest, id: str) -> ImportRun:
        """The fleet's import of this address. Raises ProblemError resource-not-found."""
        run = ImportRun.objects.filter(fleet=request.fleet, kind=self.kind, pk=id).first()
        if run is None:
            raise not_found(_("import"), id)
        return run

    def must_be_allowed(self, request: ApiRequest, on_duplicate: str) -> None:
        """Raises ProblemError missing-permissions where rows may change what is there."""
        if self.change and on_duplicate == OnDuplicate.UPDATE:
            request.caller.must_have(self.change)


def router(kind: str, *, read: str, write: str, change: str = "", example: str) -> Router:
    """The routes of `Operations`, with the permissions to read, to write, and to change what is there, and a file."""
    made, its, nouns = Router(tags=["Imports"]), Operations(kind, change), f"{kind}s"

    def route(method: str, path: str, view: Callable[..., HttpResponse], id: str, about: dict[str, Any]) -> None:
        @wraps(view)
        def function(*args: Any, **kwargs: Any) -> HttpResponse:  # ninja writes on it, which a method does not take
            return view(*args, **kwargs)

        made.add_api_operation(path, [method], function, operation_id=id, **about)

    no_file, not_now = [PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE], CONFLICTING_RESOURCE
    summary = f"Import a file of {nouns}"
    one: dict[str, Any] = {"sends": example, "returns": EXAMPLE, "takes": FILE_TYPES[0], "idempotent": True}
    about = operation(write, summary, {202: ImportOut}, problems=[*no_file, not_now], query=ImportQuery, **one)
    route("POST", "", its.add, f"import_{nouns}", about)
    listed: dict[str, Any] = {"query": PageQuery, "returns": page_of(EXAMPLE)}
    about = operation(read, f"List imports of {nouns}", {200: ImportPage}, **listed)
    route("GET", "", its.index, f"list_{kind}_imports", about)
    gone = [RESOURCE_NOT_FOUND]
    about = operation(read, f"Read an import of {nouns}", {200: ImportOut}, problems=gone, returns=EXAMPLE)
    route("GET", "/{id}", its.read, f"read_{kind}_import", about)
    summary = f"Write what a check of {nouns} found good"
    about = operation(write, summary, {202: ImportOut}, problems=[*gone, not_now], returns=EXAMPLE)
    route("POST", "/{id}/write", its.write, f"write_{kind}_import", about)
    about = operation(
        read, f"Read the refused rows of {nouns}", {200: None}, problems=gone, gives="text/csv", returns=example
    )
    route("GET", "/{id}/refused-rows", its.refused, f"read_refused_{nouns}", about)
    summary = f"Cancel an import of {nouns}"
    about = operation(write, summary, {200: ImportOut}, problems=[*gone, not_now], returns=EXAMPLE)
    route("POST", "/{id}/cancel", its.cancel, f"cancel_{kind}_import", about)
    return made


def upload(request: ApiRequest, importer: type[Importer], query: ImportQuery, data: bytes) -> HttpResponse:
    """Keep the file, and check or write it. Raises ProblemError for what is no table or a column that is not there."""
    try:
        table = tabular.read(BytesIO(data))
        columns, constants = parse_pairs("map", query.map), parse_pairs("set", query.set)
        match_columns(importer.fields, table.header, columns, constants)
        next(iter(table))
    except tabular.TabularProblem as problem:
        raise ProblemError(VALIDATION_ERROR, errors=[("body", problem.reason)]) from None
    except UnknownColumn as error:
        raise ProblemError(VALIDATION_ERROR, errors=[("map", str(error))]) from None
    name = query.file_name or f"{importer.kind}s.{table.format}"
    run = ImportRun.upload(
        fleet=request.fleet, actor=request.actor, kind=importer.kind, name=name, chunks=[data], header=table.header
    )
    run.choose(columns=columns, constants=constants, on_duplicate=query.on_duplicate)
    start(request, run, Stage.CHECKING if query.dry_run else Stage.WRITING, query.on_error)
    response = accepted(run)
    response.headers["Location"] = f"{request.path}/{run.pk}"
    return response


def start(request: ApiRequest, run: ImportRun, stage: Stage, on_error: OnError) -> None:
    """Raises ProblemError when somebody was quicker."""
    try:
        check_or_write(run, stage, actor=request.actor, on_error=on_error)
    except NotNow:
        raise ProblemError(CONFLICTING_RESOURCE, _("This import went on meanwhile. Read its stage.")) from None


def accepted(run: ImportRun) -> HttpResponse:
    return answer(shown(READER.of(run)), status=202)
