"""Restoring: a base backup unpacked into a folder, with the WAL that brings it to a chosen second."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stackbe.trust.backups.programs import BackupFailed, run
from stackbe.trust.backups.store import Manifest, Store

TRUSTING = "local all all trust\nlocal replication all trust\n"


def choose(store: Store, until: datetime | None) -> Manifest:
    """Return the newest base backup that was whole by a moment. Raises `BackupFailed` where there is none."""
    manifests = [each for each in store.manifests() if until is None or each.finished <= until]
    if not manifests:
        when = f" that was finished by {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
        raise BackupFailed(f"There is no base backup{when} in {store.folder}.")
    return manifests[-1]


def restore(store: Store, data: Path, wal: Path, until: datetime | None = None) -> Manifest:
    """Unpack the base backup for a moment into `data` and its WAL into `wal`; PostgreSQL does the rest at its start.

    The copy replays WAL up to that second (to the end without one), then becomes a server of its own. Only
    who enters its socket's folder may talk to it: its own pg_hba.conf is set aside. Raises `BackupFailed`,
    and `SealBroken` for a file that was changed or cut.
    """
    if data.exists() and any(data.iterdir()):
        raise BackupFailed(f"{data} is not empty. Name a folder to make.")
    manifest = choose(store, until)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    wal.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BufferedReader(_Reader(store.open_base(manifest.name))), mode="r|") as archive:
        archive.extractall(data, filter="tar")  # nosec B202  # its seal was proved, and the filter keeps it inside
    run("pg_verifybackup", "--no-parse-wal", str(data))
    for name in store.wal_names():
        plain = name.removesuffix(".partial")
        if plain.endswith(".history") or plain[8:24] >= manifest.first_segment[8:]:
            store.take_wal(plain, wal / plain)
    settings = [f"restore_command = 'cp \"{wal}/%f\" \"%p\"'", "recovery_target_action = 'promote'",
                "recovery_target_timeline = 'latest'", f"hba_file = '{data}/pg_hba.restored.conf'"]  # fmt: skip
    settings += _least_settings(data)
    if until is not None:
        settings.append(f"recovery_target_time = '{until.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}'")
    with (data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *settings, ""]))
    (data / "pg_hba.restored.conf").write_text(TRUSTING, encoding="utf-8")
    (data / "recovery.signal").touch()
    return manifest


def _least_settings(data: Path) -> list[str]:
    """Return the settings that a replaying server must have as large as the one that wrote the WAL."""
    names = {
        "max_connections setting": "max_connections",
        "max_worker_processes setting": "max_worker_processes",
        "max_wal_senders setting": "max_wal_senders",
        "max_prepared_xacts setting": "max_prepared_transactions",
        "max_locks_per_xact setting": "max_locks_per_transaction",
    }
    lines = (line.partition(":") for line in run("pg_controldata", str(data)).splitlines())
    return [f"{names[name.strip()]} = {value.strip()}" for name, _, value in lines if name.strip() in names]


class _Reader(io.RawIOBase):
    """A file object over pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        taken = min(len(buffer), len(self._held))
        buffer[:taken] = self._held[:taken]
        self._held = self._held[taken:]
        return taken
