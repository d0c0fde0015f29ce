"""Thresholds that were passed become events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts.events import customer_as_event
from stackbe.kernel.clock import render
from stackbe.kernel.transactions import require_change
from usage.models import Crossing
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

AT_ONCE = 200


def announce(scope: Scope) -> int:
    """Turn an app's crossings into events; return how many. Runs inside a change."""
    require_change()
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
