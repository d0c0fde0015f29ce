"""Continuous archiving: WAL is received as the server writes it and sealed into the store every few seconds.

`pg_receivewal` follows a replication slot, so the server keeps what was not received yet. Segments that are
complete go to the store and leave the spool; the one under way is kept as it is, again and again, so that
a restore can reach any second up to a few seconds ago.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from pathlib import Path

from stackbe.trust.backups.programs import BackupFailed, program, replication_url, run
from stackbe.trust.backups.store import PARTIAL, SEGMENT, Store

log = logging.getLogger("stackbe.backups")
SLOT = "stackbe_archive"
EVERY_SECONDS = 10.0


def archive(spool: Path, stopping: threading.Event, store: Store | None = None) -> None:
    """Receive and keep WAL until a stop is asked for. Raises `BackupFailed` when the server goes away."""
    kept, url = store or Store(), replication_url()
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    run("pg_receivewal", "--dbname", url, "--no-password", "--slot", SLOT, "--create-slot", "--if-not-exists")
    command = [program("pg_receivewal"), "--dbname", url, "--no-password", "--slot", SLOT, "--directory", str(spool),
               "--no-loop", "--status-interval=2"]  # fmt: skip
    seen: dict[str, float] = {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as receiver:
        try:
            while not stopping.wait(EVERY_SECONDS):
                ship(spool, kept, seen)
                if receiver.poll() is not None:
                    said = receiver.stderr.read().strip()[-500:] if receiver.stderr else ""
                    raise BackupFailed(f"pg_receivewal ended ({receiver.returncode}): {said}")
        finally:
            receiver.terminate()
            receiver.wait(timeout=10)
            ship(spool, kept, seen)


def ship(spool: Path, store: Store, seen: dict[str, float]) -> int:
    """Keep what has come or changed since the last time; return how many files.

    `seen` remembers the state of the segment under way. A complete segment is dropped from the spool once
    it is in the store and on disk.
    """
    count = 0
    for path in sorted(spool.iterdir()):
        changed = path.stat().st_mtime
        if path.name.endswith(PARTIAL):
            if seen.get(path.name) != changed:
                store.keep_wal(path.name, path)
                seen[path.name] = changed
                count += 1
        elif SEGMENT.fullmatch(path.name) or path.name.endswith(".history"):
            store.keep_wal(path.name, path)
            path.unlink()
            count += 1
    return count
