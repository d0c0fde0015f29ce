"""Where signed heads of the audit chains are kept: a folder, or a bucket of an object store.

A folder holds a file for each month, which only grows. An object cannot grow, so a bucket holds an object for each
minute, in folders by day; the first object of a day repeats the highest head of every tenant, so that whoever wants
the newest heads reads two days and not years. It repeats them as they were signed: a chain that was cut off stays
below what is kept, whoever starts the worker anew.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from stackbe.kernel.clock import wall_clock
from stackbe.trust.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUCKETS = "s3"
FILES = "heads-*.jsonl"
RECENT_DAYS = 2
# What needs no escaping anywhere on its way.
PLAIN = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


class Shelf(Protocol):
    """A place that heads are appended to and read from, a line of JSON each. `str` of it names it."""

    def is_there(self) -> bool:
        """Say whether something was ever kept here."""

    def lines(self, *, recent: bool = False) -> Iterator[str]:
        """Yield the lines that are kept: all, or so many of the last days that no tenant's highest head is missed."""

    def append(self, lines: Iterable[str], highest: Iterable[str]) -> None:
        """Keep lines, durably. `highest` is what is kept of every tenant so far, for who repeats it."""


def shelf(named: str | Path) -> Shelf:
    """Return the place that AUDIT_HEADS or a person names: `s3://bucket/folder`, or a path. Raises `ValueError`."""
    if isinstance(named, Path) or not named.startswith(f"{BUCKETS}://"):
        return Folder(Path(named))
    parts = urlsplit(named)
    folder = parts.path.strip("/")
    if not PLAIN.fullmatch(parts.netloc) or (folder and not PLAIN.fullmatch(folder)):
        message = f"{named} is no s3://bucket/folder of letters, digits and . _ - alone."
        raise ValueError(message)
    store = ObjectStore(
        endpoint=settings.AUDIT_HEADS_ENDPOINT,
        region=settings.AUDIT_HEADS_REGION,
        bucket=parts.netloc,
        key_id=settings.AUDIT_HEADS_KEY_ID,
        secret=settings.AUDIT_HEADS_SECRET,
    )
    return Bucket(store, f"{folder}/" if folder else "")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with a file for each month, or a single file, which is read alone."""

    path: Path

    def __str__(self) -> str:
        """Return its path."""
        return str(self.path)

    def is_there(self) -> bool:
        """Say whether there is a file."""
        return self.path.is_file() or any(self.path.glob(FILES))

    def lines(self, *, recent: bool = False) -> Iterator[str]:
        """Yield all lines: a month's file holds who has moved in it, so none can be left out."""
        for each in [self.path] if self.path.is_file() else sorted(self.path.glob(FILES)):
            with each.open(encoding="utf-8", errors="replace") as file:
                yield from file

    def append(self, lines: Iterable[str], highest: Iterable[str]) -> None:
        """Append to the file of this month."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, text = self.path / f"heads-{wall_clock():%Y-%m}.jsonl", "".join(f"{line}\n" for line in lines)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # What a power cut left half written must not spoil the line after it.
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                text = f"\n{text}"
            content = text.encode()
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A folder of a bucket, with a folder for each day."""

    store: ObjectStore
    folder: str

    def __str__(self) -> str:
        """Return it as AUDIT_HEADS names it."""
        return f"{BUCKETS}://{self.store.bucket}/{self.folder}"

    def is_there(self) -> bool:
        """Say whether there is a day. Raises `StoreFailed`."""
        return bool(self.store.folders(self.folder))

    def lines(self, *, recent: bool = False) -> Iterator[str]:
        """Yield all lines, or those of the last two days that something was kept on. Raises `StoreFailed`."""
        days = self.store.folders(self.folder)
        names = [name for day in days[-RECENT_DAYS if recent else 0 :] for name in self.store.names(day)]
        for content in self.store.read(names):
            yield from content.decode("utf-8", "replace").splitlines()

    def append(self, lines: Iterable[str], highest: Iterable[str]) -> None:
        """Keep an object of a name that no other has; the first of a day begins with the highest heads so far."""
        moment = wall_clock()
        day = f"{self.folder}{moment:%Y-%m-%d}/"
        begun = day in self.store.folders(self.folder)
        content = "".join(f"{line}\n" for line in [*([] if begun else highest), *lines])
        # Chance in the name keeps two workers apart, and nobody can put an object where the next one belongs.
        self.store.put_new(f"{day}{moment:%H%M%S}-{secrets.token_hex(8)}.jsonl", content.encode())
