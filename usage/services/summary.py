"""Where a customer stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.errors import CustomerNotFound
from stackbe.kernel.clock import now
from stackbe.kernel.scope import Scope
from usage.services.figures import Figures, period_as_json, windows_of
from usage.services.metrics import metric_named

# As the atomic step sees it, without a lock and without a write.
STANDING = """
select case when a.planned then 'standing' else 'no_plan' end, m.name, coalesce(c.used, 0), t.base + t.credits,
  w.starts, w.ends, coalesce(t.terms ->> 'mode', 'soft'), t.held, usage_windows(t.terms, c, %(moment)s, w.ends),
  m.aggregation, (a.plan_limits -> m.name ->> 'included')::bigint, t.credits, t.carried,
  (t.terms ->> 'overageCap')::bigint
from usage_metric m
cross join usage_allowance(%(app)s, %(customer)s, %(moment)s) a
cross join lateral usage_window(m.resets, a.period_start, a.period_end, %(moment)s) w
left join usage_counter c
  on c.customer_id = %(customer)s and c.metric_id = m.id and c.period_start = w.starts
cross join lateral (
  select a.limits -> m.name as terms,
    coalesce(c.carried - c.passed_on,
      usage_carried(%(customer)s, m.id, m.resets, a.limits -> m.name, w.starts)) as carried,
    coalesce(c.credited, 0) + case when m.aggregation in ('sum', 'unique') then (
      select coalesce(sum(g.remaining), 0) from usage_credit g
      where g.customer_id = %(customer)s and g.metric_id = m.id and g.remaining > 0
        and coalesce(g.expires_at > %(moment)s, true))::bigint else 0 end as credits,
    case when c.held > 0 then (
      select coalesce(sum(r.quantity), 0) from usage_reservation r
      where r.counter_id = c.id and r.status = 'held' and r.expires_at > %(moment)s)::bigint else 0 end as held
) s
cross join lateral (
  select s.*, case when s.terms ->> 'included' is not null
    then greatest(0, (s.terms ->> 'included')::bigint + s.carried) end as base
) t
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
    return [_figures(*row) for row in rows]


def _figures(*row: Any) -> Figures:
    outcome, metric, used, limit, starts, ends, mode, held, windows, aggregation, plan_limit, *rest = row
    wallet, carried, overage_cap = rest
    if outcome == "no_plan":
        # Nothing may be used, so that none is left; null would say that there is no limit.
        limit, plan_limit, wallet, carried, mode = 0, 0, 0, 0, "hard"
    return Figures(
        outcome=outcome,
        metric=metric,
        used=used,
        limit=limit,
        starts=starts,
        ends=ends,
        mode=mode,
        held=held,
        windows=windows_of(windows),
        aggregation=aggregation,
        plan_limit=plan_limit,
        credits=wallet,
        carried=carried,
        overage_cap=overage_cap,
    )


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
