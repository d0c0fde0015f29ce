"""Usage's background work: thresholds that were passed become events, and overage goes on the bill."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import connection

from accounts.events import customer_as_event
from billing.stripe.scopes import connected_scopes
from stackbe.kernel.clock import render
from stackbe.kernel.errors import ApiError
from stackbe.kernel.jobs import periodic
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from usage.models import Crossing
from usage.services.overage import report_account
from webhooks.outbox import emit

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope

log = logging.getLogger("stackbe.usage")
AT_ONCE = 200
WAITING = "select distinct tenant_id, app_id from usage_crossing limit 500"


@periodic("usage.announce_thresholds", "* * * * * */3")
def announce_thresholds(timestamp: int) -> None:
    """Tell each app which of its customers passed 80 % or 100 % of a limit.

    The crossing was written with the count itself, so none is lost; the event and the crossing's
    deletion are one change, so none is told twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        waiting: list[tuple[UUID, UUID]] = cursor.fetchall()
    for tenant_id, app_id in waiting:
        scope = system_scope(tenant_id, app_id, actor_name="usage thresholds")
        with change(scope):
            announce(scope)


@periodic("usage.report_overage", "*/5 * * * *", queue="stripe")
def report_overage(timestamp: int) -> None:
    """Report what was used beyond the allowances, account by account; one that fails does not hold up the others."""
    for scope, account_id in connected_scopes("overage"):
        try:
            report_account(scope, account_id)
        except ApiError as failure:
            log.warning("overage not reported", extra={"account": account_id, "failure": type(failure).__name__})


def announce(scope: Scope) -> int:
    """Turn an app's crossings into events; return how many. Runs inside a change."""
    rows = Crossing.objects.within(scope).select_for_update(skip_locked=True, of=("self",))
    found = list(rows.select_related("customer", "metric").order_by("crossed_at", "percent")[:AT_ONCE])
    for row in found:
        data = {
            "customer": customer_as_event(row.customer),
            "metric": row.metric.name,
            "percent": row.percent,
            "currentUsage": row.used,
            "limit": row.allowed,
            "periodStart": render(row.period_start),
            "reachedAt": render(row.crossed_at),
        }
        emit(scope, "usage.threshold_reached", data, subject=row.customer_id)
        row.delete()
    return len(found)
