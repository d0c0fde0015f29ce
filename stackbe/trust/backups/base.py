"""Base backups: the whole server as one tar archive, compressed and sealed on its way to the store."""

from __future__ import annotations

import subprocess
import tempfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.models import AuditEvent, AuditSeal
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import forbid_transaction, reading
from stackbe.trust.backups.programs import BackupFailed, program, replication_url
from stackbe.trust.backups.store import FAST, READ_BYTES, Manifest, Store
from stackbe.trust.models import BackupRun

if TYPE_CHECKING:
    from stackbe.trust.backups.sealing import SealedWriter


def back_up(store: Store | None = None) -> Manifest:
    """Take a base backup, keep it, drop what is older than BACKUP_KEEP_DAYS, and record how it went.

    Nothing of the server touches a disk unsealed. Raises `BackupFailed`.
    """
    forbid_transaction("a backup")
    kept = store or Store()
    run = BackupRun.unscoped.create(kind=BackupRun.Kind.BASE, started_at=wall_clock())
    try:
        manifest = _take(kept)
        gone = kept.forget_before(datetime.now(UTC) - timedelta(days=settings.BACKUP_KEEP_DAYS))
    except Exception as error:
        run.detail = {"error": f"{type(error).__name__}: {error}"[:500]}
        raise
    else:
        run.succeeded = True
        run.detail = {"name": manifest.name, "bytes": manifest.size, "dropped": gone}
    finally:
        run.finished_at = wall_clock()
        run.save(update_fields=["finished_at", "succeeded", "detail"])
    return manifest


def _take(store: Store) -> Manifest:
    url = replication_url()
    counts, heads = known_marks()
    started = datetime.now(UTC)
    name = started.strftime("base-%Y%m%dT%H%M%S%fZ")
    segment, version = current_segment()
    with store.new_base(name) as sealed:
        _stream(url, sealed)
    manifest = Manifest(
        name=name,
        started_at=started.isoformat(),
        finished_at=datetime.now(UTC).isoformat(),
        first_segment=segment,
        server_version=version,
        size=sealed.size,
        sha256=sealed.digest,
        counts=counts,
        heads=heads,
    )
    store.keep_manifest(manifest)
    return manifest


def _stream(url: str, sealed: SealedWriter) -> None:
    # WAL of the backup's own duration comes along, so that it opens even where the archive has lost everything.
    command = [program("pg_basebackup"), "--dbname", url, "--pgdata=-", "--format=tar", "--wal-method=fetch",
               "--checkpoint=fast", "--manifest-checksums=SHA256", "--no-password"]  # fmt: skip
    packer = zlib.compressobj(FAST)
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process:
            while piece := process.stdout.read(READ_BYTES) if process.stdout else b"":
                sealed.write(packer.compress(piece))
        sealed.write(packer.flush())
        if process.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()[-1000:]
            raise BackupFailed(f"pg_basebackup failed ({process.returncode}): {words}")


def current_segment() -> tuple[str, int]:
    """Return the WAL segment that the server writes now, and the server's version (180003 for 18.3)."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_walfile_name(pg_current_wal_lsn()), current_setting('server_version_num')::int")
        segment, version = cursor.fetchone()
        return str(segment), int(version)


def known_marks() -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the number of audit rows in all, and the head of each tenant's audit chain."""
    rows, heads = 0, {}
    for tenant_id in every_tenant():
        scope = system_scope(tenant_id, actor_name="backup")
        with reading(scope):
            rows += AuditEvent.objects.within(scope).count()
            head = AuditSeal.objects.within(scope).order_by("-sequence").first()
            if head is not None:
                heads[str(tenant_id)] = [str(head.sequence), bytes(head.digest).hex()]
    return {"kernel_auditevent": rows}, heads
