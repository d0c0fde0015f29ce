"""The folder that backups are kept in: sealed base backups with a manifest each, and sealed WAL beside them.

A file appears whole or not at all: it is written under another name, flushed to disk, then renamed. The
folder is best on another machine's disk (a mount, or synchronised by the operator's own means); nothing in
it opens without the master key.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from django.conf import settings

from stackbe.kernel.crypto import SealBroken
from stackbe.trust.backups.sealing import SealedWriter, unsealed

if TYPE_CHECKING:
    from collections.abc import Iterator

SEALED = ".sealed"
PARTIAL = ".partial"
SEGMENT = re.compile(r"[0-9A-F]{24}")
READ_BYTES = 1024 * 1024
FAST = 1  # zlib's level: a backup is bound by the disk, and WAL is mostly zeros


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a base backup without opening it. Times are ISO 8601 in UTC, sizes bytes.

    `counts` has the rows of the append-only tables when it began, and `heads` the audit chains' heads
    (tenant → sequence and digest in hex): what a restored copy must at least hold.
    """

    name: str
    started_at: str
    finished_at: str
    first_segment: str
    server_version: int
    size: int
    sha256: str
    counts: dict[str, int]
    heads: dict[str, list[str]]

    @property
    def finished(self) -> datetime:
        """Return when the backup was whole."""
        return datetime.fromisoformat(self.finished_at)


class Store:
    """The folder. `purpose` strings bind each file to its kind and name, so that none stands for another."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the folder that BACKUP_DIR names, or another; made when it is missing, for us alone."""
        self.folder = folder or Path(settings.BACKUP_DIR)
        for part in (self.folder, self.folder / "base", self.folder / "wal"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)

    def manifests(self) -> list[Manifest]:
        """Return the base backups that are whole, oldest first."""
        found = []
        for path in (self.folder / "base").glob("*.json"):
            manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
            if self.base_path(manifest.name).exists():
                found.append(manifest)
        return sorted(found, key=lambda manifest: manifest.finished_at)

    def base_path(self, name: str) -> Path:
        """Return where a base backup's sealed bytes lie."""
        return self.folder / "base" / f"{name}.tar.z{SEALED}"

    def keep_manifest(self, manifest: Manifest) -> None:
        """Write down a base backup, which makes it count."""
        with _whole(self.folder / "base" / f"{manifest.name}.json") as file:
            file.write(json.dumps(asdict(manifest), indent=2, sort_keys=True).encode())

    @contextlib.contextmanager
    def new_base(self, name: str) -> Iterator[SealedWriter]:
        """Write a base backup's bytes; they are there when the block ends well."""
        with _whole(self.base_path(name)) as file, SealedWriter(file, f"base|{name}") as sealed:
            yield sealed

    def open_base(self, name: str) -> Iterator[bytes]:
        """Yield the tar archive of a base backup. Raises `SealBroken`."""
        with self.base_path(name).open("rb") as file:
            yield from _inflated(unsealed(file, f"base|{name}"))

    def keep_wal(self, name: str, path: Path) -> None:
        """Seal a WAL file. One that is still being written (`.partial`) replaces its earlier state."""
        packer = zlib.compressobj(FAST)
        with _whole(self._wal_path(name)) as file, SealedWriter(file, f"wal|{name}") as sealed, path.open("rb") as wal:
            while piece := wal.read(READ_BYTES):
                sealed.write(packer.compress(piece))
            sealed.write(packer.flush())
        if not name.endswith(PARTIAL):
            self._wal_path(name + PARTIAL).unlink(missing_ok=True)

    def take_wal(self, name: str, to: Path) -> bool:
        """Write a WAL file as it was, else its newest partial state; say whether there was either."""
        for kept in (name, name + PARTIAL):
            if self._wal_path(kept).exists():
                with self._wal_path(kept).open("rb") as file, to.open("wb") as out:
                    out.writelines(_inflated(unsealed(file, f"wal|{kept}")))
                return True
        return False

    def wal_names(self) -> list[str]:
        """Return the WAL files that are kept, partial ones and histories too."""
        return sorted(path.name.removesuffix(SEALED) for path in (self.folder / "wal").glob(f"*{SEALED}"))

    def forget_before(self, moment: datetime) -> list[str]:
        """Drop base backups that ended before a moment, but for the newest, and WAL that none needs any more."""
        manifests = self.manifests()
        gone = [each for each in manifests[:-1] if each.finished < moment]
        for manifest in gone:
            (self.folder / "base" / f"{manifest.name}.json").unlink()
            self.base_path(manifest.name).unlink()
        kept = [each for each in manifests if each not in gone]
        if kept:
            oldest = min(each.first_segment[8:] for each in kept)
            for name in self.wal_names():
                if SEGMENT.match(name) and name[8:24] < oldest:
                    self._wal_path(name).unlink()
        return [each.name for each in gone]

    def _wal_path(self, name: str) -> Path:
        return self.folder / "wal" / f"{name}{SEALED}"


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        draft.unlink(missing_ok=True)


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    for piece in pieces:
        if plain := unpacker.decompress(piece):
            yield plain
    if not unpacker.eof:
        raise SealBroken("the compressed stream ends early")
