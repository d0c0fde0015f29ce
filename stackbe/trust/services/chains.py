"""Going through the audit chains of the running system, one after the other, and keeping what was found of each."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import connection

from stackbe.archive.trusted import trusted_keys
from stackbe.kernel.audit import audit
from stackbe.kernel.chain import verify_chains
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode, new_id
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, reading
from stackbe.trust.heads import Kept, read_heads
from stackbe.trust.models import Chain
from stackbe.trust.objects import StoreFailed
from stackbe.trust.shelves import shelf

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from stackbe.kernel.scope import Scope

# The worker looks every hour for chains that nobody has gone through for a day.
EVERY = timedelta(hours=23)
LATE = timedelta(hours=30)
MOST_FAULTS_SHOWN = 10

VERIFIED = """
insert into trust_chain (id, tenant_id, kept_in, verified_at, verified_ms, verified_rows, compared, holds, faults)
values (%(id)s, %(tenant)s, '', %(at)s, %(ms)s, %(rows)s, %(compared)s, %(holds)s, %(faults)s)
on conflict (tenant_id) do update set verified_at = excluded.verified_at, verified_ms = excluded.verified_ms,
  verified_rows = excluded.verified_rows, compared = excluded.compared, holds = excluded.holds, faults = excluded.faults
"""


def verify_due() -> int:
    """Go through every chain that nobody has gone through for a day; return how many."""
    due = [tenant_id for tenant_id in every_tenant() if _is_due(_scope(tenant_id))]
    if due:
        kept = _kept_heads()
        for tenant_id in due:
            verify_chain(tenant_id, kept)
    return len(due)


def verify_chain(tenant_id: UUID, kept: Kept | None = None, *, asked_for: bool = False) -> bool:
    """Go through a tenant's chain, compare it with the head that was kept elsewhere, and say whether it holds.

    It reads as the tenant itself would: nobody else's rows are in sight. What it found is in the tenant's log where
    staff asked for it, and where it is not what was found the time before.
    """
    scope = _scope(tenant_id)
    known = _kept_heads() if kept is None else kept
    name, began, moment = str(tenant_id), time.monotonic(), wall_clock()
    mine = {name: known.heads[name]} if name in known.heads else {}
    with reading(scope):
        verdict = verify_chains(_plain_connection(), name, mine)
    found: dict[str, Any] = {
        "id": new_id(),
        "tenant": tenant_id,
        "at": moment,
        "ms": round(1000 * (time.monotonic() - began)),
        "rows": verdict.rows,
        "compared": bool(mine),
    }
    faults = [fault for fault in known.faults if name in fault] + verdict.faults
    with change(scope):
        before = Chain.objects.within(scope).values_list("holds", flat=True).first()
        with connection.cursor() as cursor:
            shown = json.dumps(faults[:MOST_FAULTS_SHOWN])
            cursor.execute(VERIFIED, {**found, "holds": not faults, "faults": shown})
        if asked_for or (before is not None and before != (not faults)) or (before is None and faults):
            _put_on_record(scope, {"holds": not faults, "rows": verdict.rows, "faults": faults[:MOST_FAULTS_SHOWN]})
    return not faults


def _put_on_record(scope: Scope, detail: dict[str, Any]) -> None:
    audit(scope, "audit_chain.verified", encode("ten", scope.tenant_id), detail=detail)


def _is_due(scope: Scope) -> bool:
    with reading(scope):
        row = Chain.objects.within(scope).first()
    return row is None or row.verified_at is None or row.verified_at < wall_clock() - EVERY


def _kept_heads() -> Kept:
    """Return the heads that were kept elsewhere; none where there is no such place or it does not answer."""
    if not settings.AUDIT_HEADS:
        return Kept()
    try:
        return read_heads(shelf(settings.AUDIT_HEADS), trusted_keys(None), recent=True)
    except StoreFailed:
        return Kept()


def _scope(tenant_id: UUID) -> Scope:
    return system_scope(tenant_id, actor_name="audit verifier")


def _plain_connection() -> psycopg.Connection[tuple[object, ...]]:
    """Return what lies under the open transaction."""
    return cast("psycopg.Connection[tuple[object, ...]]", connection.connection)
