"""Signed heads of the audit chains, kept where the database is not.

A chain alone cannot tell that its end was cut off. So each minute the worker signs the head of every chain that has
grown and appends it, a line of JSON each, to a file of the month in the folder that AUDIT_HEADS names. A line is
`{"statement", "alg", "kid", "signature"}`, made like a receipt of an erasure; it holds ids and a hash, and no
personal data. The files only grow: the folder can be one whose store forbids all else.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.db import connection

from stackbe.kernel import attest, ids
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.scope import platform_scope
from stackbe.kernel.transactions import change, forbid_transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = "stackbe-head/1"
FILES = "heads-*.jsonl"
MOST_REFUSED = 50
HEADS = "select tenant_id, sequence, digest from lookup.audit_heads()"
# What this process has seen of a folder, by its path: reading all of it each minute would grow with the years.
_seen: dict[Path, dict[str, int]] = {}


@dataclass
class Kept:
    """The newest head of each tenant that a folder proves, and what in it proves nothing."""

    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    newest: str = ""
    faults: list[str] = field(default_factory=list)


def signed_head(tenant_id: str, sequence: int, digest: str) -> dict[str, Any]:
    """Return a head with the signature of this instance over it. Needs an open change of the platform."""
    statement = {
        "format": FORMAT,
        "issuer": settings.BASE_URL,
        "tenantId": tenant_id,
        "sequence": sequence,
        "digest": digest,
        "signedAt": render(wall_clock()),
    }
    return {"statement": statement, **attest.attest(attest.HEAD, attest.canonical(statement))}


def keep_heads(folder: Path) -> int:
    """Sign and append the heads that have moved since the folder last heard of them; return how many."""
    forbid_transaction("writing audit heads")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = _known(folder)
    with change(platform_scope("audit heads")):
        with connection.cursor() as cursor:
            cursor.execute(HEADS)
            found = [(ids.encode("ten", row[0]), row[1], bytes(row[2]).hex()) for row in cursor.fetchall()]
        moved = [signed_head(*head) for head in found if known.get(head[0]) != head[1]]
    if moved:
        _append(folder / f"heads-{wall_clock():%Y-%m}.jsonl", moved)
    known |= {head["statement"]["tenantId"]: head["statement"]["sequence"] for head in moved}
    return len(moved)


def read_heads(path: Path, keys: Mapping[str, bytes]) -> Kept:
    """Return the newest head of each tenant that is signed by one of the keys, by the tenant's UUID.

    A newest one whose signature does not hold is a fault, and the one before it counts.
    """
    kept, refused = Kept(), set[str]()
    while True:
        newest = _newest(path, refused)
        bad = {line for line, head in newest.values() if not _holds(head, keys)}
        for _, head in (entry for entry in newest.values() if entry[0] in bad):
            kept.faults.append(f"Tenant {_uuid(head)}: a head that was kept elsewhere is not signed by a known key.")
        refused |= bad
        if not bad or len(kept.faults) >= MOST_REFUSED:
            break
    for line, head in newest.values():
        if line not in refused:
            kept.heads[_uuid(head)] = (int(head["statement"]["sequence"]), str(head["statement"]["digest"]))
            kept.newest = max(kept.newest, str(head["statement"]["signedAt"]))
    return kept


def _newest(path: Path, refused: set[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for line in _lines(path):
        head = _parsed(line)
        if head is None or line in refused:
            continue
        tenant, sequence = head["statement"]["tenantId"], head["statement"]["sequence"]
        if tenant not in found or found[tenant][1]["statement"]["sequence"] <= sequence:
            found[tenant] = (line, head)
    return found


def _lines(path: Path) -> Iterator[str]:
    for each in [path] if path.is_file() else sorted(path.glob(FILES)):
        with each.open(encoding="utf-8", errors="replace") as file:
            yield from file


def _parsed(line: str) -> dict[str, Any] | None:
    """Return a line's head; None for one that a power cut left half written."""
    try:
        head: dict[str, Any] = orjson.loads(line)
        statement = head["statement"]
        ids.decode("ten", statement["tenantId"])
        whole = statement["format"] == FORMAT and isinstance(statement["sequence"], int) and statement["signedAt"]
    except (ValueError, KeyError, TypeError):
        return None
    return head if whole else None


def _holds(head: Mapping[str, Any], keys: Mapping[str, bytes]) -> bool:
    key, signature = keys.get(str(head.get("kid"))), str(head.get("signature"))
    return key is not None and attest.holds(key, attest.HEAD, attest.canonical(head["statement"]), signature)


def _uuid(head: Mapping[str, Any]) -> str:
    return str(ids.decode("ten", head["statement"]["tenantId"]))


def _known(folder: Path) -> dict[str, int]:
    """Return how far each chain is known to the folder, as far as this process knows."""
    if folder not in _seen or not any(folder.glob(FILES)):
        newest = _newest(folder, set())
        _seen[folder] = {tenant: int(head["statement"]["sequence"]) for tenant, (_, head) in newest.items()}
    return _seen[folder]


def _append(path: Path, heads: list[dict[str, Any]]) -> None:
    text = "".join(f"{json.dumps(head, sort_keys=True, separators=(',', ':'))}\n" for head in heads)
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
