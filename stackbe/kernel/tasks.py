"""The kernel's periodic work: the queue, the audit chain, partitions."""

from __future__ import annotations

import logging

from django.db import connection

from stackbe.kernel.audit import seal_audit_rows
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.queue import retry_stalled_jobs
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change

log = logging.getLogger("stackbe.worker")
SILENT_SECONDS = 12.0
SEAL_AT_ONCE = 500


@periodic("kernel.retry_stalled_jobs", "* * * * * */5")
def retry_stalled(timestamp: int) -> None:
    """Put back the jobs of a worker that was killed."""
    if count := retry_stalled_jobs(SILENT_SECONDS):
        log.warning("jobs of a dead worker go back into the queue", extra={"jobs": count})


@periodic("kernel.seal_audit_rows", "* * * * *")
def seal_audit(timestamp: int) -> None:
    """Chain every tenant's new audit rows, a change for each batch; once an hour the log is gone through for others."""
    thorough = timestamp // 60 % 60 == 0
    for tenant_id in every_tenant():
        scope = system_scope(tenant_id, actor_name="audit sealer")
        sealed = SEAL_AT_ONCE
        while sealed == SEAL_AT_ONCE:
            with change(scope):
                sealed = seal_audit_rows(tenant_id, SEAL_AT_ONCE, thorough=thorough)


@periodic("kernel.make_partitions", "17 */6 * * *")
def make_partitions(timestamp: int) -> None:
    """Make the partitions of the coming months, so that rows never wait for one, and drop old ones that are empty."""
    with connection.cursor() as cursor:
        cursor.execute("select kernel_make_partitions()")
        cursor.execute("select kernel_drop_partitions()")
