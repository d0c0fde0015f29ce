"""Drills: the newest backup is restored beside the running database and looked through.

A backup that was never restored is a hope. The copy runs as a server of its own that listens on a private
socket alone, is checked, and is removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from stackbe.archive.services.reapply import erasure_list
from stackbe.kernel.chain import verify_chains
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.transactions import forbid_transaction
from stackbe.runner import devdb, roles, state
from stackbe.trust.backups.programs import BackupFailed
from stackbe.trust.backups.restore import restore
from stackbe.trust.backups.store import Manifest, Store
from stackbe.trust.models import BackupRun

REPLAY_SECONDS = 900.0
ARCHIVE_SECONDS = 90.0
LEDGERS = {
    "a usage counter is below zero": "select count(*) from usage_counter where used < 0",
    "a subscription belongs to no customer": "select count(*) from billing_subscription s"
    " where not exists (select from accounts_customer c where c.id = s.customer_id)",
    "an invoice's amounts are negative": "select count(*) from billing_invoicereference"
    " where amount_due_cents < 0 or amount_paid_cents < 0",
}


@dataclass
class Found:
    """What a drill saw in the restored copy."""

    backup: str = ""
    restored_to: str = ""
    tables: dict[str, int] = field(default_factory=dict)
    audit_rows: int = 0
    erased_again: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def as_detail(self) -> dict[str, Any]:
        """Return what the record of the drill keeps."""
        return {
            "backup": self.backup,
            "restoredTo": self.restored_to,
            "tables": len(self.tables),
            "rows": sum(self.tables.values()),
            "auditRows": self.audit_rows,
            "erasedAgain": self.erased_again,
            "seconds": round(self.seconds, 1),
            "faults": self.faults,
        }


def drill(until: datetime | None = None, store: Store | None = None, database: str = roles.DATABASE) -> Found:
    """Restore to a second (by default the moment of the call), check the copy, remove it, record the outcome.

    Raises `BackupFailed` where it could not be restored; what is wrong in a copy that was is in `faults`.
    """
    forbid_transaction("a drill")
    kept, found, began = store or Store(), Found(), time.monotonic()
    target = until or wall_clock()
    # Its row commits after the second that is aimed at, so the WAL has something to stop before.
    run = BackupRun.unscoped.create(kind=BackupRun.Kind.DRILL, started_at=wall_clock())
    try:
        if until is None:
            _await_wal(kept, datetime.now(UTC))
        _drill(kept, target, database, found)
    except Exception as error:
        found.faults.append(f"{type(error).__name__}: {error}"[:500])
        raise
    finally:
        found.seconds = time.monotonic() - began
        run.finished_at, run.detail, run.succeeded = wall_clock(), found.as_detail(), not found.faults
        run.save(update_fields=["finished_at", "detail", "succeeded"])
    return found


def _await_wal(store: Store, moment: datetime) -> None:
    """Wait until the archiver has kept WAL that was written after a moment."""
    deadline = time.monotonic() + ARCHIVE_SECONDS
    while time.monotonic() < deadline:
        kept = [path for path in (store.folder / "wal").iterdir() if not path.name.startswith(".")]
        if kept and max(path.stat().st_mtime for path in kept) > moment.timestamp() + 1:
            return
        time.sleep(0.5)
    raise BackupFailed("No WAL has come into the store for a while. Is `manage.py archiver` running?")


def _drill(store: Store, until: datetime, database: str, found: Found) -> None:
    scratch = state.private_folder(state.home()) / f"drill-{secrets.token_hex(4)}"
    server = devdb.Server(scratch)
    try:
        state.private_folder(scratch)
        manifest = restore(store, server.data, scratch / "wal", until)
        found.backup = manifest.name
        server.give_to_account(server.data)
        server.give_to_account(scratch / "wal")
        try:
            server.serve_restored()
        except state.RunnerError as error:
            raise BackupFailed(f"The restored server did not start. Its last words:\n{server.last_words()}") from error
        _await_promotion(server)
        _look_for_younger(server, database, until, found)
        found.erased_again = _erase_again(server, database, scratch / "erasures.jsonl")
        _check(server, database, manifest, until, found)
    finally:
        if server.data.exists():
            server.stop()
        shutil.rmtree(scratch, ignore_errors=True)


def _await_promotion(server: devdb.Server) -> None:
    deadline = time.monotonic() + REPLAY_SECONDS
    while time.monotonic() < deadline:
        with roles.connect(server.url(_superuser(server), "postgres")) as copy:
            row = copy.execute("select pg_is_in_recovery()").fetchone()
            if row and not row[0]:
                return
        time.sleep(0.2)
    raise BackupFailed(f"The copy did not reach its second within {REPLAY_SECONDS:.0f} s.")


def _look_for_younger(server: devdb.Server, database: str, until: datetime, found: Found) -> None:
    """Note rows that the second in question cannot have known; later steps write some of their own."""
    with psycopg.connect(server.url(_superuser(server), database), autocommit=True) as copy:
        row = copy.execute("select count(*) from kernel_auditevent where occurred_at > %s", [until]).fetchone()
    if row and row[0]:
        found.faults.append(f"{row[0]} audit rows are younger than the second that was asked for.")


def _erase_again(server: devdb.Server, database: str, path: Path) -> int:
    """Let the copy forget whom the running database has erased since, and return how many that were.

    It is done by the very command that a restore in earnest runs before it serves.
    """
    path.write_text("".join(f"{line}\n" for line in erasure_list()), encoding="utf-8")
    urls = {name: server.url(role, database) for name, role in state.DATABASE_URLS.items()}
    done = subprocess.run(
        [sys.executable, "-m", "django", "reapply_erasures", str(path)],
        cwd=state.REPOSITORY,
        env={**os.environ, **urls, "DJANGO_SETTINGS_MODULE": "stackbe.settings", "STACKBE_ROLE": "worker"},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BackupFailed(f"The erasures since could not be done again: {done.stderr.strip()[-1000:]}")
    return int(done.stdout.split()[0])


def _superuser(server: devdb.Server) -> str:
    """Return a role of the copy that sees all rows: any role may ask the catalogue for one."""
    with roles.connect(server.url(roles.OWNER, "postgres")) as copy:
        statement = "select rolname from pg_roles where rolsuper and rolcanlogin order by oid limit 1"
        row = copy.execute(statement).fetchone()
    if row is None:
        raise BackupFailed("The copy has no superuser that may log in, so it cannot be looked through.")
    return str(row[0])


def _check(server: devdb.Server, database: str, manifest: Manifest, until: datetime, found: Found) -> None:
    with psycopg.connect(server.url(_superuser(server), database), autocommit=True) as copy:
        found.restored_to = until.astimezone(UTC).isoformat()
        found.tables = _counts(copy)
        for table, least in manifest.counts.items():
            if found.tables.get(table, 0) < least:
                found.faults.append(f"{table} has {found.tables.get(table, 0)} rows, and had {least} in the backup.")
        heads = {tenant: (int(sequence), digest) for tenant, (sequence, digest) in manifest.heads.items()}
        verdict = verify_chains(copy, heads=heads)
        found.audit_rows = verdict.rows
        found.faults += verdict.faults
        for what, statement in LEDGERS.items():
            row = copy.execute(statement).fetchone()
            if row and row[0]:
                found.faults.append(f"{row[0]} times: {what}.")


def _counts(copy: psycopg.Connection[tuple[Any, ...]]) -> dict[str, int]:
    names = copy.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition and relpersistence = 'p'"
    ).fetchall()
    counts: dict[str, int] = {}
    for (name,) in names:
        row = copy.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(name))).fetchone()
        counts[name] = int(row[0]) if row else 0
    return counts


def folder_of(path: str) -> Path:
    """Return a folder that a person named, resolved."""
    return Path(path).expanduser().resolve()
