"""An import by page or API: its sealed file, its steps, and what became of its rows.

The database keeps the file in sealed pieces, because web processes keep no state and a file may hold secrets. The file
is erased when the import is done, cancelled, or left alone for a day, and with it its header, the values for all rows
and the rows of the check: all of these lie in sealed pieces too, because a secret may stand where nobody expects it.
The refused rows can be fetched for a week, without their secrets. What stays are counts, findings without cells, and
which field which column filled, as keyed digests of the headers.

The database's clock sets and compares all times that decide something: the clocks of web servers and workers differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

from django.db import models, transaction
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import LessThan
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit.models import Actor
from fleetcontrol.db.ids import new_id
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealedTextField, SealError, fingerprint, seal_bytes

LARGEST_UPLOAD = 32 * 2**20
STALLED_AFTER = timedelta(seconds=60)
FILE_KEPT = timedelta(hours=24)
REFUSED_ROWS_KEPT = timedelta(days=7)
_PIECE_BYTES = 2**18


class Stage(models.TextChoices):
    """Where an import stands. `checking` and `writing` include the time that it waits in the queue."""

    UPLOADED = "uploaded", _("Uploaded")
    CHECKING = "checking", _("Being checked")
    CHECKED = "checked", _("Checked")
    WRITING = "writing", _("Being imported")
    DONE = "done", _("Imported")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


RUNNING = (Stage.CHECKING, Stage.WRITING)
ENDED = (Stage.DONE, Stage.CANCELLED)


QUEUE = "queue"  # the step of work that waits for a worker

# Background work sets `beat_at` every second. What waits for a worker has no beat, and may wait as long as it takes.
_IS_STALLED = (
    models.Q(stage__in=RUNNING)
    & (models.Q(beat_at__isnull=False) | ~models.Q(step=QUEUE))
    & models.Q(LessThan(Coalesce("beat_at", "started_at"), Now() - STALLED_AFTER))
)
_ANNOTATIONS = {"is_stalled": models.Case(models.When(_IS_STALLED, then=True), default=False)}


class NotNow(Exception):
    """Somebody took the import to another stage meanwhile; its page shows which."""


class ImportRunQuerySet(models.QuerySet["ImportRun"]):
    def stalled(self) -> ImportRunQuerySet:
        """The imports whose process is gone."""
        return self.filter(_IS_STALLED)


class ImportRunManager(models.Manager["ImportRun"]):
    """Reads each import together with whether it is stalled, because only the database can tell."""

    def get_queryset(self) -> ImportRunQuerySet:
        return ImportRunQuerySet(self.model, using=self._db).annotate(**_ANNOTATIONS)

    def stalled(self) -> ImportRunQuerySet:
        return self.get_queryset().stalled()


class ImportRun(models.Model):
    """One file on its way into a fleet.

    `kind` is the noun's. `created_by` sent the file; `actor` is who last had it checked or imported, with the fields of
    an Actor, and `language` that person's. `taken_up` counts how often FleetControl took stalled work up again since.
    `columns` has a keyed digest of the header for each field that was chosen or filled, and "" for one that no column
    fills. `constants` has, after a check, the known values that hold for all rows: ids of brands and credentials.
    `encoding` and `header_row` say how the file is read, as `tabular.read` takes them.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(Fleet, models.CASCADE, related_name="imports", db_index=False)
    kind = models.CharField(max_length=20)
    file_name = models.CharField(_("file"), max_length=200)
    size = models.PositiveBigIntegerField()
    stage = models.CharField(_("state"), max_length=10, choices=Stage, default=Stage.UPLOADED)
    attempt = models.PositiveIntegerField(default=0)
    columns = models.JSONField(default=dict)
    constants = models.JSONField(default=dict)
    encoding = models.CharField(max_length=40, blank=True)
    header_row = models.PositiveIntegerField(null=True)
    on_duplicate = models.CharField(max_length=6, default="fail")
    on_error = models.CharField(max_length=4, default="skip")
    report = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    failure = models.CharField(max_length=1000, blank=True)
    step = models.CharField(max_length=10, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    actor = models.JSONField(default=dict)
    language = models.CharField(max_length=10, default="en")
    taken_up = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=254)
    created_by_id = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    is_stalled = False
    """Whether the process that worked on it is gone, as of when the import was read."""

    objects: ClassVar[ImportRunManager] = ImportRunManager()

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes = [models.Index(fields=["fleet", "-id"], name="import_by_fleet")]
        constraints = [models.CheckConstraint(condition=models.Q(stage__in=Stage.values), name="import_stage_known")]

    def __str__(self) -> str:
        return self.file_name

    @classmethod
    def upload(
        cls,
        *,
        fleet: Fleet,
        actor: Actor,
        kind: str,
        name: str,
        chunks: Iterable[bytes],
        header: list[str],
        encoding: str = "",
        header_row: int | None = None,
    ) -> ImportRun:
        """Store an uploaded file, sealed."""
        run = cls(fleet_id=fleet.pk, kind=kind, file_name=name[:200], size=0, created_by=actor.label)
        run.encoding, run.header_row = encoding, header_row
        run.created_by_id = _id_of(actor)
        run.created_at = Now()
        with transaction.atomic():
            run.save(force_insert=True)
            run.size = run.store("file", chunks)
            run._store_json("header", header)
            run.save(update_fields=["size"])
        return run

    @classmethod
    def is_any_running(cls, fleet: Fleet) -> bool:
        """Whether an import of the fleet is being checked or written."""
        return cls.objects.filter(fleet=fleet, stage__in=RUNNING).exists()

    @property
    def import_actor(self) -> Actor:
        """Who imports. The flow id is the import's id, so that the audit history can show the events of this import."""
        return Actor(flow_id=self.pk, **self.actor)

    @property
    def is_running(self) -> bool:
        return self.stage in RUNNING

    @property
    def written(self) -> int:
        return int(self.report.get("new", 0)) + int(self.report.get("updated", 0))

    @property
    def seconds(self) -> int:
        """How long the last step took in seconds, at least one."""
        ended, started = self.ended_at or timezone.now(), self.started_at or self.created_at
        return max(1, round((ended - started).total_seconds()))

    @property
    def has_file(self) -> bool:
        return self.pieces.filter(part="file").exists()

    @property
    def header(self) -> list[str]:
        """The names of the file's columns; empty when the file is erased. Raises SealError."""
        return list(self._json("header") or ())

    @property
    def given(self) -> dict[str, str]:
        """The values that hold for all rows, as they were given; empty when the file is erased. Raises SealError."""
        return dict(self._json("set") or {})

    @property
    def samples(self) -> dict[str, Any]:
        """The first rows of each verdict of a check; empty without one. Raises SealError."""
        return dict(self._json("samples") or {})

    def is_by(self, actor: Actor) -> bool:
        """Whether this is who sent the file."""
        return self.created_by_id == _id_of(actor)

    def chosen(self, header: Sequence[str]) -> dict[str, str]:
        """The column of each field that was chosen, by its name in the header; "" for a field that none fills."""
        names = {self._digest(name): name for name in reversed(header) if name}
        return {key: names.get(digest, "") for key, digest in self.columns.items()}

    def remember(self, columns: Mapping[str, str], constants: Mapping[str, str]) -> None:
        """Set what stays of a choice when the file is erased: digests of the headers, and known values for all rows."""
        self.columns = {key: name and self._digest(name) for key, name in columns.items()}
        self.constants = dict(constants)

    @property
    def has_refused_rows(self) -> bool:
        return self.pieces.filter(part="refused").exists()

    def choose(self, *, columns: Mapping[str, str], constants: Mapping[str, str], on_duplicate: str) -> None:
        """Set which column fills which field, and discard an earlier check. Raises NotNow."""
        with self.locked(Stage.UPLOADED, Stage.CHECKED, Stage.FAILED) as run:
            run.remember(columns, {})
            run.on_duplicate = on_duplicate
            run.stage, run.report, run.findings, run.failure = Stage.UPLOADED, {}, [], ""
            run.save()
            run._store_json("set", dict(constants))
            run.pieces.filter(part="samples").delete()

    def start(
        self, stage: Stage, *, actor: Actor, on_error: str = "skip", language: str = "en", step: str = QUEUE
    ) -> int:
        """Enter the stage of checking or writing; return the number of this attempt. Raises NotNow."""
        before = (Stage.UPLOADED, Stage.CHECKED, *((Stage.FAILED,) if stage is Stage.CHECKING else ()))
        with self.locked(*before) as run:
            run.stage, run.on_error = stage, on_error
            run._begin_for(actor, language, step)
        return self.attempt

    def resume(self, *, actor: Actor, language: str = "en", step: str = QUEUE) -> int:
        """Begin stalled work again for whoever asks for it; return the number of this attempt. Raises NotNow.

        The stage and everything that was chosen stay as they are: what began with `on_error=stop` goes on with it.
        """
        with self.locked(*RUNNING) as run:
            if not run.is_stalled:
                raise NotNow
            run._begin_for(actor, language, step)
        return self.attempt

    def take_up(self) -> int:
        """Begin stalled work again for whoever had it begun; return the number of this attempt.

        The caller holds the row's lock and knows that the work is stalled.
        """
        self.taken_up += 1
        self._begin(QUEUE)
        return self.attempt

    def cancel(self) -> None:
        """Stop, and erase the file. Running work notices within a second and rolls back. Raises NotNow."""
        with self.locked(Stage.UPLOADED, Stage.CHECKING, Stage.CHECKED, Stage.WRITING, Stage.FAILED) as run:
            run.stage, run.ended_at = Stage.CANCELLED, Now()
            run.save()
            run.pieces.all().delete()

    @contextmanager
    def locked(self, *stages: str) -> Iterator[ImportRun]:
        """A transaction with this import's row locked, fresh from the database. Raises NotNow in any other stage.

        Afterwards this object is up to date too.
        """
        with transaction.atomic():
            run = ImportRun.objects.select_for_update().filter(pk=self.pk, stage__in=stages).first()
            if run is None:
                raise NotNow
            yield run
        self.refresh_from_db()
        self.is_stalled = False  # whoever holds the lock refuses stalled work, begins it again, or ends it

    def store(self, part: str, chunks: Iterable[bytes]) -> int:
        """Seal and store bytes in place of what the part held; return how many."""
        self.pieces.filter(part=part).delete()
        size = 0
        for number, piece in enumerate(_even_pieces(chunks)):
            size += len(piece)
            sealed = seal_bytes(piece, self._seal_owner(part, number))
            ImportPiece.objects.create(run=self, part=part, number=number, content=sealed)
        return size

    def store_samples(self, samples: Mapping[str, Any]) -> None:
        """Keep the first rows of each verdict, sealed."""
        self._store_json("samples", samples)

    def erase_file(self) -> None:
        """Erase all but the refused rows."""
        self.pieces.exclude(part="refused").delete()

    def open(self, part: str = "file") -> BinaryIO:
        """The bytes of a part, in memory: while COPY uses the connection, it cannot fetch pieces. Raises SealError."""
        return BytesIO(b"".join(self.chunks(part)))

    def chunks(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, piece by piece. Raises SealError."""
        for number in range(self.pieces.filter(part=part).count()):
            piece = self.pieces.filter(part=part, number=number).first()
            if piece is None or piece.content is None:
                raise SealError(f"Piece {number} of the part {part} is gone.")
            yield piece.content.open_bytes(self._seal_owner(part, number))

    @classmethod
    def erase_left_files(cls) -> int:
        """Erase files and refused rows that were kept long enough; return of how many imports."""
        old = models.Q(run__created_at__lt=Now() - FILE_KEPT) & ~models.Q(part="refused")
        old &= ~models.Q(run__stage__in=RUNNING)
        left = ImportPiece.objects.filter(old | models.Q(run__created_at__lt=Now() - REFUSED_ROWS_KEPT))
        runs = left.values("run").distinct().count()
        left.delete()
        return runs

    def _begin_for(self, actor: Actor, language: str, step: str) -> None:
        self.actor = {"kind": actor.kind, "id": actor.id, "label": actor.label, "address": actor.address}
        self.language, self.taken_up = language, 0
        self._begin(step)

    def _begin(self, step: str) -> None:
        self.attempt, self.failure = self.attempt + 1, ""
        self.step, self.done, self.total = step, 0, 0
        self.started_at, self.beat_at, self.ended_at = Now(), None, None
        self.save()

    def _store_json(self, part: str, value: Any) -> None:
        self.store(part, [json.dumps(value).encode()])

    def _json(self, part: str) -> Any:
        """The value of a part that holds JSON; None if it is erased."""
        text = b"".join(self.chunks(part))
        return json.loads(text) if text else None

    def _digest(self, name: str) -> str:
        """A keyed digest of a header, comparable within the fleet."""
        return fingerprint(name.casefold(), f"header:{self.fleet_id}")

    def _seal_owner(self, part: str, number: int) -> str:
        """What a sealed piece is bound to."""
        return f"import:{self.pk}:{part}:{number}"


class ImportPiece(models.Model):
    """A sealed piece of an import's file, or of the file of its refused rows."""

    run = models.ForeignKey(ImportRun, models.CASCADE, related_name="pieces", db_index=False)
    part = models.CharField(max_length=7)
    number = models.PositiveIntegerField()
    content = SealedTextField()

    objects: ClassVar[models.Manager[ImportPiece]] = models.Manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "part", "number"], name="import_piece_unique")]

    def __str__(self) -> str:
        return f"{self.part} {self.number}"


def _id_of(actor: Actor) -> str:
    return f"{actor.kind}:{actor.id}"[:100]


def _even_pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of one size."""
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _PIECE_BYTES:
            yield bytes(buffer[:_PIECE_BYTES])
            del buffer[:_PIECE_BYTES]
    if buffer:
        yield bytes(buffer)
