"""The audit log: one row in the change itself, chained after it commits.

A row is never altered (a trigger and the roles' rights see to it). The sealer, run by the worker,
gives each tenant's rows a sequence and a digest over the row and the digest before it, so that an
edited, deleted or swapped row shows. Chaining after the commit keeps writers from waiting for each
other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.db import connection

from stackbe.kernel import http
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import NIL, first_id, moment_of, new_id
from stackbe.kernel.models import AuditEvent
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

START_OF_CHAIN = bytes(32)
LONGEST_CHANGE = timedelta(hours=1)
DELETE = b"\x7f"  # the one ASCII character that the two encoders spell differently


def audit(
    scope: Scope,
    action: str,
    target: str = "",
    *,
    subject_id: UUID | None = None,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record who did what, beside the change it tells of.

    `action` is noun.past (`api_key.revoked`), `target` a public id. `detail` (before and after, without
    secrets, and staff's reason) is sealed, under the subject's key where there is one.
    """
    require_change()
    return AuditEvent.unscoped.create(
        tenant_id=scope.tenant_id,
        app_id=scope.app_id,
        actor=scope.actor,
        actor_role=scope.actor_role,
        action=action,
        target=target,
        subject_id=subject_id,
        detail=detail,
        request_id=http.request_id.get(),
        address=http.address.get(),
    )


def canonical_bytes(row: dict[str, Any]) -> bytes:
    """Return the bytes that a digest covers: every column, sealed detail as ciphertext.

    One spelling: sorted keys, no spaces, ASCII escapes. A row without other characters, as nearly every one is, is
    spelt alike by the fast encoder, which a pass over a million rows needs.
    """
    quick = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    if quick.isascii() and DELETE not in quick:
        return quick
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def chained(previous: bytes, sequence: int, row: dict[str, Any]) -> bytes:
    """Return SHA-256 over the digest before, the sequence and the row."""
    return hashlib.sha256(previous + sequence.to_bytes(8, "big") + canonical_bytes(row)).digest()


UNSEALED = """
select a.id, to_jsonb(a) from kernel_auditevent a
where a.tenant_id = %s and a.id > %s and not exists (select from kernel_auditseal s where s.audit_id = a.id)
order by a.id limit %s
"""

SEAL = """
insert into kernel_auditseal (id, tenant_id, sequence, audit_id, digest, sealed_at) values (%s, %s, %s, %s, %s, %s)
"""


def seal_audit_rows(tenant_id: UUID, limit: int = 500, *, thorough: bool = False) -> int:
    """Chain a tenant's new rows; return how many. Runs inside a change of that tenant.

    The tenant's chain head is held, so that two sealers never fork a chain. A row's id says when it was made, and no
    change takes an hour to commit: so rows are looked for from an hour before the head on, unless `thorough`. What a
    minute costs then does not grow with the log.
    """
    require_change()
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 7))", [str(tenant_id)])
        cursor.execute(
            "select sequence, digest, audit_id from kernel_auditseal where tenant_id = %s"
            " order by sequence desc limit 1",
            [tenant_id],
        )
        head = cursor.fetchone()
        sequence, digest = (head[0], bytes(head[1])) if head else (0, START_OF_CHAIN)
        since = NIL if thorough or not head else first_id(moment_of(head[2]) - LONGEST_CHANGE)
        cursor.execute(UNSEALED, [tenant_id, since, limit])
        rows = cursor.fetchall()
        seals = []
        for audit_id, row in rows:
            sequence += 1
            digest = chained(digest, sequence, row if isinstance(row, dict) else orjson.loads(row))
            seals.append([new_id(), tenant_id, sequence, audit_id, digest, wall_clock()])
        if seals:
            cursor.executemany(SEAL, seals)
    return len(rows)
