"""An import by page or API: its sealed file, its steps, and what became of its rows.

The database keeps the file in sealed pieces, because web processes keep no state and a file may hold secrets. The file
is erased when the import is done, cancelled, or left alone for a day. The report stays; the refused rows can be
fetched for a week, without their secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import BinaryIO, ClassVar

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fleetcontrol.audit.models import Actor
from fleetcontrol.db.clock import database_now
from fleetcontrol.db.ids import new_id
from fleetcontrol.people.models import Fleet
from fleetcontrol.seal import SealedTextField, seal_bytes

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


class NotNow(Exception):
    """Somebody took the import to another stage meanwhile; its page shows which."""


class ImportRun(models.Model):
    """One file on its way into a fleet.

    `kind` is the noun's. `created_by` sent the file; `actor` is who last had it checked or imported, with the fields of
    an Actor.
    """

    id = models.CharField(primary_key=True, max_length=26, default=new_id, editable=False, db_collation="C")
    fleet = models.ForeignKey(Fleet, models.CASCADE, related_name="imports", db_index=False)
    kind = models.CharField(max_length=20)
    file_name = models.CharField(_("file"), max_length=200)
    size = models.PositiveBigIntegerField()
    stage = models.CharField(_("state"), max_length=10, choices=Stage, default=Stage.UPLOADED)
    attempt = models.PositiveIntegerField(default=0)
    header = models.JSONField(default=list)
    columns = models.JSONField(default=dict)
    constants = models.JSONField(default=dict)
    on_duplicate = models.CharField(max_length=6, default="fail")
    on_error = models.CharField(max_length=4, default="skip")
    report = models.JSONField(default=dict)
    findings = models.JSONField(default=list)
    samples = models.JSONField(default=dict)
    failure = models.CharField(max_length=1000, blank=True)
    step = models.CharField(max_length=10, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    actor = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=254)
    started_at = models.DateTimeField(null=True)
    beat_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        indexes = [models.Index(fields=["fleet", "-id"], name="import_by_fleet")]
        constraints = [models.CheckConstraint(condition=models.Q(stage__in=Stage.values), name="import_stage_known")]

    def __str__(self) -> str:
        return self.file_name

    @classmethod
    def upload(
        cls, *, fleet: Fleet, actor: Actor, kind: str, name: str, chunks: Iterable[bytes], header: list[str]
    ) -> ImportRun:
        """Store an uploaded file, sealed."""
        run = cls(fleet_id=fleet.pk, kind=kind, file_name=name[:200], size=0, header=header, created_by=actor.label)
        run.created_at = database_now()  # it decides when the file is erased
        with transaction.atomic():
            run.save(force_insert=True)
            run.size = run.store("file", chunks)
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
    def is_stalled(self) -> bool:
        """Whether the process that worked on it is gone: background work updates `beat_at` every second."""
        seen = self.beat_at or self.started_at
        if seen is None or not self.is_running or self.step == "queue":
            return False
        return seen < timezone.now() - STALLED_AFTER

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
    def has_refused_rows(self) -> bool:
        return self.pieces.filter(part="refused").exists()

    def choose(self, *, columns: Mapping[str, str], constants: Mapping[str, str], on_duplicate: str) -> None:
        """Set which column fills which field, and discard an earlier check. Raises NotNow."""
        with self.locked(Stage.UPLOADED, Stage.CHECKED, Stage.FAILED) as run:
            run.columns, run.constants, run.on_duplicate = dict(columns), dict(constants), on_duplicate
            run.stage, run.report, run.findings, run.samples, run.failure = Stage.UPLOADED, {}, [], {}, ""
            run.save()

    def start(self, stage: Stage, *, actor: Actor, on_error: str = "skip") -> int:
        """Enter the stage of checking or writing; return the number of this attempt. Raises NotNow."""
        before = (Stage.UPLOADED, Stage.CHECKED, *((Stage.FAILED,) if stage is Stage.CHECKING else ()))
        with self.locked(*before, stage) as run:
            if run.stage == stage and not run.is_stalled:
                raise NotNow
            run.stage, run.attempt, run.failure, run.on_error = stage, run.attempt + 1, "", on_error
            run.step, run.done, run.total = "queue", 0, 0
            run.actor = {"kind": actor.kind, "id": actor.id, "label": actor.label, "address": actor.address}
            run.started_at, run.beat_at, run.ended_at = timezone.now(), None, None
            run.save()
            return run.attempt

    def cancel(self) -> None:
        """Stop, and erase the file. Running work notices within a second and rolls back. Raises NotNow."""
        with self.locked(Stage.UPLOADED, Stage.CHECKING, Stage.CHECKED, Stage.WRITING, Stage.FAILED) as run:
            run.stage, run.ended_at = Stage.CANCELLED, timezone.now()
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

    def store(self, part: str, chunks: Iterable[bytes]) -> int:
        """Seal and store bytes in place of what the part held; return how many."""
        self.pieces.filter(part=part).delete()
        size = 0
        for number, piece in enumerate(_even_pieces(chunks)):
            size += len(piece)
            sealed = seal_bytes(piece, self._seal_owner(part, number))
            ImportPiece.objects.create(run=self, part=part, number=number, content=sealed)
        return size

    def open(self, part: str = "file") -> BinaryIO:
        """The bytes of a part, in memory: while COPY uses the connection, it cannot fetch pieces. Raises SealError."""
        return BytesIO(b"".join(self.chunks(part)))

    def chunks(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, piece by piece. Raises SealError."""
        for number in range(self.pieces.filter(part=part).count()):
            piece = self.pieces.get(part=part, number=number)
            assert piece.content is not None  # noqa: S101 - the column takes no NULL
            yield piece.content.open_bytes(self._seal_owner(part, number))

    @classmethod
    def erase_left_files(cls) -> int:
        """Erase files and refused rows that were kept long enough; return of how many imports."""
        old = models.Q(part="file", run__created_at__lt=Now() - FILE_KEPT) & ~models.Q(run__stage__in=RUNNING)
        left = ImportPiece.objects.filter(old | models.Q(run__created_at__lt=Now() - REFUSED_ROWS_KEPT))
        runs = left.values("run").distinct().count()
        left.delete()
        return runs

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
