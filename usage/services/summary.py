"""Where a customer stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.errors import CustomerNotFound
from stackbe.kernel.clock import now
from stackbe.kernel.scope import Scope
from usage.services.metrics import metric_named
from usage.services.track import Figures, period_as_json

STANDING = """
select case when a.planned then 'standing' else 'no_plan' end, m.name, coalesce(c.used, 0),
  (a.limits -> m.name ->> 'included')::bigint, w.starts, w.ends,
  coalesce(a.limits -> m.name ->> 'mode', 'soft'), m.aggregation,
  (a.plan_limits -> m.name ->> 'included')::bigint
from usage_metric m
cross join usage_allowance(%(app)s, %(customer)s, %(moment)s) a
cross join lateral usage_window(m.resets, a.period_start, a.period_end, %(moment)s) w
left join usage_counter c
  on c.customer_id = %(customer)s and c.metric_id = m.id and c.period_start = w.starts
where m.app_id = %(app)s and m.archived_at is null and (%(names)s::text[] is null or m.name = any(%(names)s))
order by m.name
"""
PERIOD = """
select w.starts, w.ends from usage_allowance(%s, %s, %s) a
cross join lateral usage_window('billing_period', a.period_start, a.period_end, %s) w
"""


def require_customer(scope: Scope, customer_id: UUID) -> None:
    """Raise `CustomerNotFound` unless the customer is the app's and not deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select from accounts_customer where id = %s and app_id = %s and deleted_at is null",
            [customer_id, scope.app],
        )
        if cursor.rowcount == 0:
            raise CustomerNotFound


def standing(scope: Scope, customer_id: UUID, names: Sequence[str] | None = None) -> list[Figures]:
    """Return a customer's figures on every live metric of the app, or on those named."""
    moment = now(scope)
    parameters: dict[str, Any] = {
        "customer": customer_id,
        "app": scope.app,
        "moment": moment,
        "names": None if names is None else list(names),
    }
    with connection.cursor() as cursor:
        cursor.execute(STANDING, parameters)
        rows = cursor.fetchall()
    return [Figures(*row) for row in rows]


def billing_period(scope: Scope, customer_id: UUID) -> dict[str, str | None]:
    """Return the customer's billing period as the API shows it: their plan's, or the calendar month."""
    moment = now(scope)
    with connection.cursor() as cursor:
        cursor.execute(PERIOD, [scope.app, customer_id, moment, moment])
        starts, ends = cursor.fetchone()
    return period_as_json(starts, ends)


def standing_on(scope: Scope, customer_id: UUID, metric: str) -> Figures:
    """Return a customer's figures on one metric. Raises `CustomerNotFound`, `MetricNotFound`."""
    require_customer(scope, customer_id)
    metric_named(scope, metric)
    return standing(scope, customer_id, [metric])[0]
