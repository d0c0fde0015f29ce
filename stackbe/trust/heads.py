"""Signed heads of the audit chains, kept where the database is not.

A chain alone cannot tell that its end was cut off. So each minute the worker signs the head of every chain that has
grown and keeps it, a line of JSON each, where AUDIT_HEADS says: a folder or a bucket (`stackbe/trust/shelves.py`). A
line is `{"statement", "alg", "kid", "signature"}`, made like a receipt of an erasure; it holds ids and a hash, and no
personal data. Nothing that is kept is changed: the place can be one whose store forbids all but adding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.db import connection

from stackbe.kernel import attest, ids
from stackbe.kernel.clock import render, wall_clock
from stackbe.kernel.scope import platform_scope, system_scope
from stackbe.kernel.transactions import change, forbid_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from stackbe.trust.shelves import Shelf

FORMAT = "stackbe-head/1"
MOST_REFUSED = 50
LONGEST_PLACE = 200
HEADS = "select tenant_id, sequence, digest from lookup.audit_heads()"
KEPT = """
insert into trust_chain (id, tenant_id, kept_sequence, kept_digest, kept_at, kept_in, compared, faults)
values (%s, %s, %s, %s, %s, %s, false, '[]')
on conflict (tenant_id) do update set kept_sequence = excluded.kept_sequence, kept_digest = excluded.kept_digest,
  kept_at = excluded.kept_at, kept_in = excluded.kept_in
"""

# Which of these heads no chain has (any more), by their place in the list.
GONE = """
select kept.number
from unnest(%s::uuid[], %s::bigint[], %s::text[]) with ordinality as kept (tenant_id, sequence, digest, number)
where not exists (select from kernel_auditseal s where s.tenant_id = kept.tenant_id and s.sequence = kept.sequence
  and encode(s.digest, 'hex') = kept.digest)
"""
AT_ONCE = 5000


@dataclass
class Seen:
    """What this process knows of a place: the last sequence kept of each tenant, and the line of its highest."""

    last: dict[str, int] = field(default_factory=dict)
    highest: dict[str, tuple[int, str]] = field(default_factory=dict)

    def note(self, tenant: str, sequence: int, line: str) -> None:
        """Take in a head that is kept."""
        self.last[tenant] = sequence
        if sequence >= self.highest.get(tenant, (0, ""))[0]:
            self.highest[tenant] = (sequence, line)


# By place: reading all of it each minute would grow with the years.
_seen: dict[Shelf, Seen] = {}


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


def keep_heads(shelf: Shelf) -> int:
    """Sign and keep the heads that have moved since the place last heard of them; return how many."""
    forbid_transaction("writing audit heads")
    known = _known(shelf)
    with change(platform_scope("audit heads")):
        with connection.cursor() as cursor:
            cursor.execute(HEADS)
            found = [(ids.encode("ten", row[0]), row[1], bytes(row[2]).hex()) for row in cursor.fetchall()]
        moved = [signed_head(*head) for head in found if known.last.get(head[0]) != head[1]]
    if moved:
        lines = [json.dumps(head, sort_keys=True, separators=(",", ":")) for head in moved]
        shelf.append(lines, [line for _, line in known.highest.values()])
        for head, line in zip(moved, lines, strict=True):
            known.note(head["statement"]["tenantId"], head["statement"]["sequence"], line)
            _note_kept(head["statement"], str(shelf))
    return len(moved)


def _note_kept(statement: dict[str, Any], place: str) -> None:
    """Write down, for whoever looks at the chain, which head was kept and where."""
    tenant_id, sequence, digest = statement["tenantId"], statement["sequence"], statement["digest"]
    owner = ids.decode("ten", tenant_id)
    values = [ids.new_id(), owner, sequence, bytes.fromhex(digest), statement["signedAt"], place[:LONGEST_PLACE]]
    with change(system_scope(owner, actor_name="audit heads")), connection.cursor() as cursor:
        cursor.execute(KEPT, values)


def read_heads(shelf: Shelf, keys: Mapping[str, bytes], *, recent: bool = False) -> Kept:
    """Return the newest head of each tenant that is signed by one of the keys, by the tenant's UUID.

    A newest one whose signature does not hold is a fault, and the one before it counts. `recent` leaves out what a
    place repeats: quicker where years are kept.
    """
    kept, refused = Kept(), set[str]()
    while True:
        newest = _newest(shelf, refused, recent=recent)
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


def lost_heads(
    shelf: Shelf, keys: Mapping[str, bytes], server: psycopg.Connection[tuple[Any, ...]], *, recent: bool = False
) -> dict[tuple[str, int], str]:
    """Return when each head was signed that is kept and that no chain has, by the tenant's UUID and its sequence.

    The newest head alone does not tell: a log that was cut grows again, and is then longer than what was cut off.
    """
    lost: dict[tuple[str, int], str] = {}
    lines = shelf.lines(recent=recent)
    while batch := list(islice(lines, AT_ONCE)):
        heads = [head for line in batch if (head := _parsed(line.rstrip("\n"))) is not None]
        told = [(_uuid(head), head["statement"]["sequence"], str(head["statement"]["digest"])) for head in heads]
        given = [list(column) for column in zip(*told, strict=True)] or [[], [], []]
        for (number,) in server.execute(GONE.encode(), given):
            if _holds(heads[number - 1], keys):
                tenant, sequence, _ = told[number - 1]
                lost[tenant, sequence] = str(heads[number - 1]["statement"]["signedAt"])
    return lost


def _newest(shelf: Shelf, refused: set[str], *, recent: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for kept in shelf.lines(recent=recent):
        line = kept.rstrip("\n")
        head = _parsed(line)
        if head is None or line in refused:
            continue
        tenant, sequence = head["statement"]["tenantId"], head["statement"]["sequence"]
        if tenant not in found or found[tenant][1]["statement"]["sequence"] <= sequence:
            found[tenant] = (line, head)
    return found


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


def _known(shelf: Shelf) -> Seen:
    """Return how far each chain is known to a place, as far as this process knows."""
    if shelf not in _seen or not shelf.is_there():
        seen = Seen()
        for tenant, (line, head) in _newest(shelf, set(), recent=True).items():
            seen.note(tenant, int(head["statement"]["sequence"]), line)
        _seen[shelf] = seen
    return _seen[shelf]
