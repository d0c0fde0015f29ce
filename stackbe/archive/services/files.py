"""Archives that owners ask for in the dashboard: written by the worker, kept sealed for a day, handed out on record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Self
from uuid import UUID

from django.db import connection

from stackbe.archive.errors import ArchiveGone, ArchiveNotFound
from stackbe.archive.models import Archive, ArchivePart
from stackbe.archive.services.leaving import count_rows, write_tenant
from stackbe.archive.wrapping import new_passphrase, new_wrapping, stated_wrapping
from stackbe.kernel import attest, crypto
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import enqueue, job
from stackbe.kernel.scope import Scope, system_scope
from stackbe.kernel.transactions import change, current, reading, require_change, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stackbe.kernel.tenancy import ScopedQuerySet

PIECE = 256 * 1024
PIECES_AT_ONCE = 16
Status = Archive.Status


def list_archives(scope: Scope) -> ScopedQuerySet[Archive]:
    """Return the tenant's archives."""
    return Archive.objects.within(scope)


def begin_archive(scope: Scope) -> tuple[Archive, str]:
    """Have the worker write an archive; return it and the passphrase, which nobody can be told again."""
    require_change()
    passphrase, wrapping = new_passphrase(), new_wrapping()
    key = attest.encoded(wrapping.key(passphrase))
    archive = Archive(tenant_id=scope.tenant_id, asked_by=scope.actor, wrapping={"how": wrapping.as_json(), "key": key})
    archive.save(force_insert=True)
    audit(scope, "tenant.export_begun", archive.public_id)
    enqueue(write_archive_job, tenant_id=str(scope.tenant_id), archive_id=str(archive.id))
    return archive, passphrase


@job("archive.write_archive")
def write_archive_job(tenant_id: str, archive_id: str) -> None:
    """Write an archive that was asked for. One that was begun by a worker that died begins anew."""
    scope, identifier = system_scope(UUID(tenant_id), actor_name="archive"), UUID(archive_id)
    with change(scope) as unit:
        archive = _unfinished(scope, identifier).locked().first()
        if archive is None:
            return
        asked = archive.wrapping
        archive.status, archive.done_rows, archive.total_rows = Status.RUNNING, 0, count_rows(scope)
        archive.save(update_fields=["status", "done_rows", "total_rows"])
        ArchivePart.objects.within(scope).filter(archive_id=identifier).delete()
        key_id, key = unit.keys.tenant_key()
        attest.public_keys()  # made now if it never was: the snapshot writes nothing
    with TemporaryFile() as spool:
        pieces = Pieces(spool, identifier, key, key_id.bytes)
        with Progress(scope, identifier) as progress, snapshot(scope):
            how = stated_wrapping(asked["how"])
            done = write_tenant(scope, pieces, how, attest.decoded(asked["key"]), progress.tell)
        pieces.close()
        _store(scope, identifier, pieces)
    with change(scope):
        for row in _unfinished(scope, identifier).locked():
            row.status, row.finished_at, row.wrapping = Status.DONE, wall_clock(), None
            row.done_rows = row.total_rows = done
            row.size = pieces.size
            row.save(update_fields=["status", "finished_at", "wrapping", "done_rows", "total_rows", "size"])


def hand_out(scope: Scope, archive_id: str) -> Archive:
    """Return an archive that is about to be fetched; each time is audited. Raises `ArchiveGone` after a day."""
    require_change()
    archive = list_archives(scope).filter(status=Status.DONE).fetch(archive_id, ArchiveNotFound)
    if archive.dropped_at is not None:
        raise ArchiveGone
    audit(scope, "tenant.exported", archive.public_id, detail={"rows": archive.total_rows})
    return archive


def content_of(scope: Scope, archive: Archive) -> Iterator[bytes]:
    """Return an archive's bytes, piece by piece, each in a reading of its own."""
    number = 0
    while True:
        with reading(scope):
            part = ArchivePart.objects.within(scope).filter(archive_id=archive.pk, number=number).first()
            if part is None:
                return
            sealed = bytes(part.content)
            opened = crypto.unseal(current().keys.key(crypto.key_id_of(sealed)), sealed, _place(archive.pk, number))
        yield opened
        number += 1


@dataclass(slots=True)
class Pieces:
    """Takes an archive as it is written and keeps it sealed, piece by piece, in a file that has no name."""

    spool: IO[bytes]
    archive_id: UUID
    key: bytes
    key_id: bytes
    size: int = 0
    lengths: list[int] = field(default_factory=list)
    _rest: bytearray = field(default_factory=bytearray)

    def write(self, content: bytes) -> int:
        """Take bytes."""
        self._rest += content
        self.size += len(content)
        while len(self._rest) >= PIECE:
            self._put(bytes(self._rest[:PIECE]))
            del self._rest[:PIECE]
        return len(content)

    def flush(self) -> None:
        """Do nothing: what is not a whole piece yet waits."""

    def close(self) -> None:
        """Seal what is left."""
        if self._rest:
            self._put(bytes(self._rest))
            self._rest.clear()

    def __iter__(self) -> Iterator[bytes]:
        """Return the sealed pieces in order."""
        self.spool.seek(0)
        for length in self.lengths:
            yield self.spool.read(length)

    def _put(self, piece: bytes) -> None:
        place = _place(self.archive_id, len(self.lengths))
        self.lengths.append(self.spool.write(crypto.seal(self.key, self.key_id, piece, place)))


class Progress:
    """Tells how far an archive is from beside the snapshot that it is read in: on a connection of its own."""

    def __init__(self, scope: Scope, archive_id: UUID) -> None:
        self._scope, self._archive_id = scope, archive_id
        self._connection = connection.copy()
        self._said_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def tell(self, count: int) -> None:
        """Say how many rows are done, once a second at most."""
        if time.monotonic() - self._said_at < 1:
            return
        self._said_at = time.monotonic()
        with self._connection.cursor() as cursor:
            cursor.execute("select set_config('stackbe.tenant', %s, false)", [str(self._scope.tenant_id)])
            cursor.execute("update archive_archive set done_rows = %s where id = %s", [count, self._archive_id])


def _store(scope: Scope, archive_id: UUID, pieces: Pieces) -> None:
    """Keep the pieces, some at a time. A row that is no longer wanted keeps none."""
    waiting: list[ArchivePart] = []
    for number, content in enumerate(pieces):
        waiting.append(ArchivePart(tenant_id=scope.tenant_id, archive_id=archive_id, number=number, content=content))
        if len(waiting) == PIECES_AT_ONCE or number == len(pieces.lengths) - 1:
            with change(scope):
                if _unfinished(scope, archive_id).exists():
                    ArchivePart.unscoped.bulk_create(waiting)
            waiting = []


def _unfinished(scope: Scope, archive_id: UUID) -> ScopedQuerySet[Archive]:
    return list_archives(scope).filter(pk=archive_id, dropped_at__isnull=True).exclude(status=Status.DONE)


def _place(archive_id: UUID, number: int) -> str:
    return f"archive_archivepart.content|{archive_id}|{number}"
