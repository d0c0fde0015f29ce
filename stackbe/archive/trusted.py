"""Whose archives are believed: this instance's own, and those whose public keys an operator names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stackbe.kernel import attest
from stackbe.kernel.archives import ArchiveRefused
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import reading

if TYPE_CHECKING:
    from pathlib import Path


def trusted_keys(file: Path | None) -> dict[str, bytes]:
    """Return public keys by `kid`: of a file as `/.well-known/stackbe-keys.json` serves it, else our own."""
    if file is None:
        with reading(platform_scope("attestation")):
            listed = attest.known_keys()
    else:
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))["keys"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ArchiveRefused(
                f"{file} holds no keys. Save /.well-known/stackbe-keys.json of the instance that made the archive."
            ) from None
    keys = [attest.decoded(str(key["x"])) for key in listed]
    return {attest.kid_of(key): key for key in keys}
