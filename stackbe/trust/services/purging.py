"""Executes the table of retention, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connection

from stackbe.kernel import limits
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import platform_scope, system_scope
from stackbe.kernel.transactions import change, require_change
from stackbe.trust.retention import TABLE

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.trust.retention import Kept


def purge() -> int:
    """Let go of all that the table says is kept no longer: tenant by tenant, a change each; return how many rows."""
    gone = 0
    for tenant_id in every_tenant():
        with change(system_scope(tenant_id, actor_name="purge")):
            gone += sum(_let_go(kept, tenant_id) for kept in TABLE if not kept.platform)
    with change(platform_scope("purge")):
        gone += sum(_let_go(kept, None) for kept in TABLE if kept.platform)
    return gone + limits.forget_idle_buckets()


def _let_go(kept: Kept, tenant_id: UUID | None) -> int:
    require_change()
    moment = wall_clock()
    with connection.cursor() as cursor:
        cursor.execute(kept.statement(), {"before": kept.before(moment), "now": moment, "tenant": tenant_id})
        return int(cursor.rowcount)
