"""The API of imports: a client sends a file as it is, and it becomes an import like one of the browser's.

This module knows no noun, as the pages of imports know none: `router` makes the operations of one. An import that a
client sent stands in the fleet's list of imports, where a person can look at its problems and import the good rows. A
client can read an import that a person uploaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.translation import gettext as _
from ninja import Query, Router

from fleetcontrol import tabular
from fleetcontrol.api.idempotency import idempotently
from fleetcontrol.api.operations import (
    FILE_TYPES,
    ApiRequest,
    Id,
    PageQuery,
    answer,
    example_page,
    not_found,
    operation,
    page,
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
from fleetcontrol.imports.api_schema import IMPORT_EXAMPLE, READER, ImportOut, ImportPage, ImportQuery
from fleetcontrol.imports.columns import REFUSED_COLUMNS, UnknownColumn, match_columns, parse_pairs, refuse_secrets
from fleetcontrol.imports.importer import Importer, OnDuplicate, OnError, importers
from fleetcontrol.imports.models import LARGEST_UPLOAD, ImportRun, NotNow, Stage
from fleetcontrol.imports.work import check_or_write, resume

IMPORTS = 60  # that one client may send in a minute


def router(kind: str, *, read: str, write: str, change: str = "", example: str) -> Router:
    """The six operations on imports of one noun.

    `read` and `write` are the permissions they need. An import that changes what the fleet has needs `change` as well,
    where it is given. `example` is a file in CSV.
    """
    router = Router(tags=["Imports"])
    nouns = f"{kind}s"

    @router.post(
        "",
        operation_id=f"import_{nouns}",
        **operation(
            write,
            f"Import a file of {nouns}",
            {202: ImportOut},
            problems=[PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, CONFLICTING_RESOURCE],
            query=ImportQuery,
            takes=FILE_TYPES[0],
            sends=example,
            returns=IMPORT_EXAMPLE,
            idempotent=True,
            links=[
                f"read_{kind}_import",
                f"write_{kind}_import",
                f"cancel_{kind}_import",
                f"read_refused_{nouns}",
            ],
        ),
    )
    def import_file(request: ApiRequest, query: Query[ImportQuery]) -> HttpResponse:
        """The body is the file, in CSV, JSON Lines or XLSX. Format, separator and encoding are detected, so send any of
        them as `application/octet-stream`, or as its own type such as `text/csv`. A small file is done when the answer
        arrives; a large one goes on in the background, so read the import until its `stage` is `done`, `checked` or
        `failed`. With `on_error=stop` a file with a wrong row stays `checked`: nothing is written, and `problems` says
        why.

        A secret that holds for every row is refused in the address. Send it in the body: `multipart/form-data` with the
        part `file` and one part `set` for each `FIELD=VALUE`.
        """
        request.caller.use_up("import", IMPORTS)
        must_be_allowed(request, query.on_duplicate, change)
        data = read_body(request, LARGEST_UPLOAD)
        data, given = _parts(request, data)
        return idempotently(request, partial(upload, request, importers()[kind], query, data, given))

    @router.get(
        "",
        operation_id=f"list_{kind}_imports",
        **operation(
            read,
            f"List imports of {nouns}",
            {200: ImportPage},
            query=PageQuery,
            returns=example_page(IMPORT_EXAMPLE),
        ),
    )
    def list_imports(request: ApiRequest, query: Query[PageQuery]) -> HttpResponse:
        return page(request, query, READER, rows=ImportRun.objects.filter(fleet=request.fleet, kind=kind))

    @router.get(
        "/{id}",
        operation_id=f"read_{kind}_import",
        **operation(
            read,
            f"Read an import of {nouns}",
            {200: ImportOut},
            problems=[RESOURCE_NOT_FOUND],
            returns=IMPORT_EXAMPLE,
        ),
    )
    def read_import(request: ApiRequest, id: Id) -> HttpResponse:
        return answer(READER.of(import_at(request, kind, id)))

    @router.post(
        "/{id}/write",
        operation_id=f"write_{kind}_import",
        **operation(
            write,
            f"Write what a check of {nouns} found good",
            {202: ImportOut},
            problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE],
            returns=IMPORT_EXAMPLE,
        ),
    )
    def write_import(request: ApiRequest, id: Id) -> HttpResponse:
        """Wrong rows are left out. Read them with `…/refused-rows`. An import that is `writing` and `stalled` is begun
        again as it was, with its own `on_error`.
        """
        run = import_at(request, kind, id)
        must_be_allowed(request, run.on_duplicate, change)
        if run.stage not in (Stage.CHECKED, Stage.WRITING):
            raise ProblemError(CONFLICTING_RESOURCE, _("This import is not waiting to be written. Read its stage."))
        if run.stage == Stage.WRITING:
            begin(partial(resume, run, actor=request.actor))
        else:
            begin(partial(check_or_write, run, Stage.WRITING, actor=request.actor, on_error=OnError.SKIP))
        return answer(READER.of(run), status=202)

    @router.get(
        "/{id}/refused-rows",
        operation_id=f"read_refused_{nouns}",
        **operation(
            read,
            f"Read the refused rows of {nouns}",
            {200: None},
            problems=[RESOURCE_NOT_FOUND],
            gives="text/csv",
            returns=example,
        ),
    )
    def read_refused_rows(request: ApiRequest, id: Id) -> HttpResponse:
        """The answer is a file to correct and send again. Before the columns of the file stand `line` and `reason`,
        which an import ignores. Secrets and columns that fill no field come back empty. It is kept for a week. If no
        row was refused, it has only a header.
        """
        run = import_at(request, kind, id)
        header = [*REFUSED_COLUMNS, *(key for key, digest in run.columns.items() if digest)]
        rows = b"".join(run.chunks("refused")) or next(tabular.csv_lines(header, ())).encode()
        return HttpResponse(rows, content_type="text/csv; charset=utf-8")

    @router.post(
        "/{id}/cancel",
        operation_id=f"cancel_{kind}_import",
        **operation(
            write,
            f"Cancel an import of {nouns}",
            {200: ImportOut},
            problems=[RESOURCE_NOT_FOUND, CONFLICTING_RESOURCE],
            returns=IMPORT_EXAMPLE,
        ),
    )
    def cancel_import(request: ApiRequest, id: Id) -> HttpResponse:
        """Nothing of the import is written, and its file is erased. The import stays in the list."""
        run = import_at(request, kind, id)
        try:
            run.cancel()
        except NotNow:
            raise ProblemError(CONFLICTING_RESOURCE, _("It was too late to cancel: the import had ended.")) from None
        return answer(READER.of(run))

    return router


def must_be_allowed(request: ApiRequest, on_duplicate: str, change: str) -> None:
    """Raise ProblemError missing-permissions when rows may change what the fleet has and the client may not."""
    if change and on_duplicate == OnDuplicate.UPDATE:
        request.caller.must_have(change)


def import_at(request: ApiRequest, kind: str, id: str) -> ImportRun:
    """The fleet's import of this path. Raises ProblemError resource-not-found."""
    run = ImportRun.objects.filter(fleet=request.fleet, kind=kind, pk=id).first()
    if run is None:
        raise not_found(_("import"), id)
    return run


def upload(
    request: ApiRequest, importer: type[Importer], query: ImportQuery, data: bytes, given: list[str]
) -> HttpResponse:
    """Keep the file, and check or write it. `given` are the values for all rows from the body.

    Raises ProblemError for a file that is no table, for columns that the noun or the file does not have, and for a
    secret in the address.
    """
    try:
        in_address = parse_pairs("set", query.set)
        refuse_secrets(importer.fields, in_address, instead=_("Send it in the body, as a part “set” of a form."))
    except UnknownColumn as error:
        raise ProblemError(VALIDATION_ERROR, errors=[("set", str(error))]) from None
    try:
        table = importer.read(
            BytesIO(data), encoding=query.encoding, header_row=query.header_row, limits=tabular.IN_REQUEST
        )
        columns, constants = parse_pairs("map", query.map), in_address | parse_pairs("set", given)
        matched = match_columns(importer.fields, table.header, columns, constants)
        next(iter(table))
        instead = _("Name it for all rows with set=%(key)s=…, or its column with map=%(key)s=COLUMN.")
        importer.require_columns(matched, query.on_duplicate, instead=instead)
    except tabular.TabularProblem as problem:
        at = {tabular.NoHeader: "header_row", tabular.UnclearEncoding: "encoding"}.get(type(problem), "body")
        raise ProblemError(VALIDATION_ERROR, errors=[(at, problem.reason)]) from None
    except UnknownColumn as error:
        raise ProblemError(VALIDATION_ERROR, errors=[("map", str(error))]) from None
    name = query.file_name or f"{importer.kind}s.{table.format}"
    run = ImportRun.upload(
        fleet=request.fleet,
        actor=request.actor,
        kind=importer.kind,
        name=name,
        chunks=[data],
        header=table.header,
        encoding=query.encoding,
        header_row=table.header_row,
    )
    run.choose(columns=columns, constants=constants, on_duplicate=query.on_duplicate)
    stage = Stage.CHECKING if query.dry_run else Stage.WRITING
    begin(partial(check_or_write, run, stage, actor=request.actor, on_error=query.on_error))
    response = answer(READER.of(run), status=202)
    response.headers["Location"] = f"{request.path}/{run.pk}"
    return response


class _InMemory(MemoryFileUploadHandler):
    """Keeps a part in memory, whatever its size: it may hold secrets, which must not touch a disk in plain text."""

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        self.activated = True


def _parts(request: ApiRequest, data: bytes) -> tuple[bytes, list[str]]:
    """The file of a body and the values for all rows beside it. Raises ProblemError for a form without a file."""
    if request.content_type != "multipart/form-data":
        return data, []
    try:
        values, files = MultiPartParser(request.META, BytesIO(data), [_InMemory(request)], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation):
        raise ProblemError(VALIDATION_ERROR, errors=[("body", _("This form cannot be read."))]) from None
    file = files.get("file")
    if not isinstance(file, UploadedFile) or len(list(files.lists())) != 1 or values.keys() - {"set"}:
        words = _("Send one file in the part “file”, and nothing else but parts “set”.")
        raise ProblemError(VALIDATION_ERROR, errors=[("body", words)])
    return file.read(), values.getlist("set")


def begin(work: Callable[[], None]) -> None:
    """Let an import go on. Raises ProblemError when it went on in another way meanwhile."""
    try:
        work()
    except NotNow:
        raise ProblemError(CONFLICTING_RESOURCE, _("This import went on meanwhile. Read its stage.")) from None
