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
from usage.services.track import Figures

STANDING = """
select case when a.rank < 3 then 'standing' else 'no_plan' end, m.name, coalesce(c.used, 0),
  (a.limits -> m.name ->> 'included')::bigint, w.starts, w.ends,
  coalesce(a.limits -> m.name ->> 'mode', 'soft')
from usage_metric m
cross join (
  select x.limits, x.period_start, x.period_end, 1 as rank from billing_access x
  where x.customer_id = %(customer)s and x.app_id = %(app)s and x.plan_id is not null
    and (x.access_from is null or x.access_from <= %(moment)s)
    and (x.access_until is null or x.access_until > %(moment)s)
  union all select x.limits, null, null, 2 from billing_defaultaccess x where x.app_id = %(app)s
  union all select '{}'::jsonb, null, null, 3
  order by rank limit 1
) a
cross join lateral usage_window(m.resets, a.period_start, a.period_end, %(moment)s) w
left join usage_counter c
  on c.customer_id = %(customer)s and c.metric_id = m.id and c.period_start = w.starts
where m.app_id = %(app)s and m.archived_at is null and (%(names)s::text[] is null or m.name = any(%(names)s))
order by m.name
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


def standing_on(scope: Scope, customer_id: UUID, metric: str) -> Figures:
    """Return a customer's figures on one metric. Raises `CustomerNotFound`, `MetricNotFound`."""
    require_customer(scope, customer_id)
    metric_named(scope, metric)
    return standing(scope, customer_id, [metric])[0]
