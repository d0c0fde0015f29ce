"""What is kept of usage, and for how long: hours become days, guards of old periods go, old periods go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import connection

from accounts.app_settings import AppSettings
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import require_change
from usage.services.series import HOURS_KEPT

if TYPE_CHECKING:
    from accounts.models import App
    from stackbe.kernel.scope import Scope

MONTH = timedelta(days=31)
# A retry may come a day late, and a counter that opened meanwhile is its period's end.
SLACK = timedelta(days=3)
# A plan of a year may follow one of a month, whose keys then guard for as long as the year runs.
LONGEST_PERIOD = timedelta(days=800)
ROLL_UP = """
with old as (
  delete from usage_bucket b where b.app_id = %(app)s and b.hours = 1 and b.starts < %(days_before)s returning b.*
)
insert into usage_bucket (tenant_id, app_id, customer_id, metric_id, period_start, starts, hours, used)
select o.tenant_id, o.app_id, o.customer_id, o.metric_id, o.period_start, date_trunc('day', o.starts, 'UTC'), 24,
  case m.aggregation when 'max' then max(o.used) when 'last' then (array_agg(o.used order by o.starts desc))[1]
    else sum(o.used) end
from old o join usage_metric m on m.id = o.metric_id
group by o.tenant_id, o.app_id, o.customer_id, o.metric_id, o.period_start, date_trunc('day', o.starts, 'UTC'),
  m.aggregation
"""
# Keys and distinct values guard their period and the one after it; with a second one after it they are done.
OLD_GUARDS = """
delete from {table} g using usage_counter c
where c.app_id = %(app)s and c.period_end < %(settled)s and g.customer_id = c.customer_id
  and g.metric_id = c.metric_id and g.period_start = c.period_start
  and (c.period_end < %(longest)s or 2 <= (
    select count(*) from usage_counter n
    where n.customer_id = c.customer_id and n.metric_id = c.metric_id and n.period_start > c.period_start))
"""
OLD_PERIODS = (
    "delete from usage_bucket where app_id = %(app)s and starts < %(kept_since)s",
    "delete from usage_reservation where app_id = %(app)s and status <> 'held' and closed_at < %(kept_since)s",
    """delete from usage_credituse u using usage_counter c
    where c.id = u.counter_id and c.app_id = %(app)s and c.period_end < %(kept_since)s""",
    """delete from usage_reservation r using usage_counter c
    where c.id = r.counter_id and c.app_id = %(app)s and c.period_end < %(kept_since)s""",
    "delete from usage_counter where app_id = %(app)s and period_end < %(kept_since)s",
)


def keep_within_bounds(scope: Scope, app: App) -> int:
    """Roll up and let go of what an app needs no more; return how many rows that were. Runs inside a change.

    Hours older than 62 days become days. Idempotency keys go once their period and the one after it are over.
    Periods older than the app's `usageRetentionMonths` go whole.
    """
    require_change()
    moment = now(scope)
    today = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    kept_since = today - AppSettings.of(app.settings).usage_retention_months * MONTH
    bounds: dict[str, Any] = {
        "app": app.pk,
        "days_before": today - HOURS_KEPT,
        "settled": moment - SLACK,
        "longest": max(moment - LONGEST_PERIOD, kept_since),
        "kept_since": kept_since,
    }
    statements = [ROLL_UP, *(OLD_GUARDS.format(table=name) for name in ("usage_record", "usage_uniquevalue"))]
    changed = 0
    with connection.cursor() as cursor:
        for statement in (*statements, *OLD_PERIODS):
            cursor.execute(statement, bounds)
            changed += cursor.rowcount
    return changed
