"""The signed archive: one zip of JSON Lines, a manifest that names every part, a signature over the manifest.

docs/data.md describes the format for those who read it without us; `examples/archive.py` is such a reader.
The manifest comes last, because it holds what the parts came to: an archive of any size is written as it is
read, and one that was cut short has none.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import IO, TYPE_CHECKING, Any

from stackbe.kernel import attest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

FORMAT = "stackbe-archive/1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
MEDIA_TYPE = "application/zip"
LONGEST_MANIFEST = 4 * 1024 * 1024
LONGEST_LINE = 64 * 1024 * 1024
WHOLE_SECOND = (1980, 1, 1, 0, 0, 0)  # the manifest says when; a zip's own clock knows no time zone


class ArchiveRefused(Exception):
    """An archive that is damaged, changed, or not signed by a key that was given; its text says which."""


class ArchiveWriter:
    """Writes an archive to a file that need not be seekable, part by part."""

    def __init__(self, out: Any, facts: Mapping[str, Any]) -> None:
        """Begin; `facts` join the manifest."""
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self._facts = dict(facts)
        self._parts: dict[str, dict[str, Any]] = {}

    def add(self, name: str, lines: Iterable[bytes], told: Callable[[int], None] | None = None) -> int:
        """Write a part of one JSON text a line; return how many. `told` hears the count now and then."""
        digest, count = hashlib.sha256(), 0
        with self._zip.open(_entry(name), "w", force_zip64=True) as part:
            for line in lines:
                written = line + b"\n"
                part.write(written)
                digest.update(written)
                count += 1
                if told is not None and count % 500 == 0:
                    told(count)
        self._parts[name] = {"sha256": digest.hexdigest(), "lines": count}
        return count

    def close(self, sign: Callable[[bytes], Mapping[str, str]]) -> dict[str, Any]:
        """Write the manifest and its signature; return the manifest."""
        manifest = {"format": FORMAT, **self._facts, "parts": self._parts}
        content = attest.canonical(manifest)
        self._zip.writestr(_entry(MANIFEST), content)
        self._zip.writestr(_entry(SIGNATURE), json.dumps(sign(content)))
        self._zip.close()
        return manifest


class ArchiveReader:
    """Reads an archive, after it was checked whole: nothing of it is believed before."""

    def __init__(self, file: IO[bytes], keys: Mapping[str, bytes]) -> None:
        """Check signature, names and digests. `keys` are public keys by `kid`. Raises `ArchiveRefused`."""
        try:
            self._zip = zipfile.ZipFile(file)
            self.manifest, self.kid = self._signed_manifest(keys)
            self._check_parts()
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as broken:
            raise ArchiveRefused("This is not a whole archive: the file is damaged or was cut short.") from broken

    def lines(self, name: str) -> Iterator[bytes]:
        """Return a part's lines."""
        with self._zip.open(name) as part:
            while line := part.readline(LONGEST_LINE):
                yield line.rstrip(b"\n")

    def _signed_manifest(self, keys: Mapping[str, bytes]) -> tuple[dict[str, Any], str]:
        names = self._zip.namelist()
        if len(set(names)) != len(names):
            raise ArchiveRefused("The archive names a part twice.")
        if not {MANIFEST, SIGNATURE} <= set(names):
            raise ArchiveRefused("The archive has no signed manifest; it was cut short or is none of ours.")
        content = self._small(MANIFEST)
        try:
            stated = json.loads(self._small(SIGNATURE))
            kid, signature = str(stated["kid"]), str(stated["signature"])
        except (ValueError, KeyError, TypeError):
            raise ArchiveRefused("The archive's signature cannot be read.") from None
        if kid not in keys:
            raise ArchiveRefused(f"The archive is signed by the key {kid}, which is none of those given.")
        if not attest.holds(keys[kid], attest.ARCHIVE, content, signature):
            raise ArchiveRefused("The signature does not fit: the archive was changed after it was made.")
        manifest = json.loads(content)
        if manifest.get("format") != FORMAT:
            raise ArchiveRefused(f"The archive has the format {manifest.get('format')}; this version reads {FORMAT}.")
        if set(manifest["parts"]) != set(names) - {MANIFEST, SIGNATURE}:
            raise ArchiveRefused("The archive holds other parts than its manifest names.")
        return manifest, kid

    def _small(self, name: str) -> bytes:
        with self._zip.open(name) as part:
            content = part.read(LONGEST_MANIFEST + 1)
        if len(content) > LONGEST_MANIFEST:
            raise ArchiveRefused("The archive's manifest is too long.")
        return content

    def _check_parts(self) -> None:
        for name, stated in self.manifest["parts"].items():
            digest, count = hashlib.sha256(), 0
            with self._zip.open(name) as part:
                while line := part.readline(LONGEST_LINE):
                    digest.update(line)
                    count += 1
            if (digest.hexdigest(), count) != (stated["sha256"], stated["lines"]):
                raise ArchiveRefused(f"The part {name} was changed after the archive was made.")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, WHOLE_SECOND)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
