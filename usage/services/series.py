"""Usage over time: what was counted in each hour, day or month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db import connection

from stackbe.kernel.clock import now, render
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.scope import Scope
from usage.services.metrics import metric_named
from usage.services.summary import require_customer

HOURS_KEPT = timedelta(days=62)
MOST_POINTS = 1000
GRANULARITIES = ("hour", "day", "month")
USUAL_POINTS = {"hour": 24, "day": 30, "month": 12}
# The hours that have ended, and those that the counters still have in hand.
SERIES = """
select date_trunc(%(unit)s, b.starts, 'UTC') as starts,
  case %(aggregation)s when 'max' then max(b.used) when 'last' then (array_agg(b.used order by b.starts desc))[1]
    else sum(b.used) end::bigint
from (
  select x.starts, x.used from usage_bucket x
  where x.metric_id = %(metric)s and (%(customer)s::uuid is null or x.customer_id = %(customer)s)
    and x.app_id = %(app)s and x.starts >= %(start)s and x.starts < %(end)s
  union all
  select c.hour_start, c.hour_used from usage_counter c
  where c.metric_id = %(metric)s and (%(customer)s::uuid is null or c.customer_id = %(customer)s)
    and c.app_id = %(app)s and c.hour_start >= %(start)s and c.hour_start < %(end)s
) b
group by 1
"""


@dataclass(frozen=True, slots=True)
class Point:
    """What was counted from `start` until `end`."""

    start: datetime
    end: datetime
    value: int

    def as_json(self) -> dict[str, Any]:
        """Return the point as the API shows it."""
        return {"start": render(self.start), "end": render(self.end), "value": self.value}


def series_of(
    scope: Scope,
    *,
    metric: str,
    granularity: str,
    customer_id: UUID | None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Point]:
    """Return what a customer (or, with none named, everybody) used of a metric, point by point, none left out.

    Points begin on the hour, day or month in UTC; the one that `start` lies in is the first, and the one that `end`
    lies in, unless it begins there, the last. Raises `CustomerNotFound`, `MetricNotFound`.
    """
    if customer_id is not None:
        require_customer(scope, customer_id)
    counted = metric_named(scope, metric)
    edges = _edges(granularity, start, end, now(scope))
    parameters: dict[str, Any] = {
        "unit": granularity,
        "aggregation": counted.aggregation,
        "metric": counted.id,
        "customer": customer_id,
        "app": scope.app,
        "start": edges[0],
        "end": edges[-1],
    }
    with connection.cursor() as cursor:
        cursor.execute(SERIES, parameters)
        values = dict(cursor.fetchall())
    return [Point(begins, ends, values.get(begins, 0)) for begins, ends in pairwise(edges)]


def _edges(granularity: str, start: datetime | None, end: datetime | None, moment: datetime) -> list[datetime]:
    """Return the moments between which the points lie, or raise for bounds that make no series."""
    try:
        last = _next(_floor(end - timedelta(microseconds=1) if end else moment, granularity), granularity)
        first = _floor(start, granularity) if start else _back(last, granularity)
        if start is not None and end is not None and start >= end:
            raise ValidationFailed(fields={"from": ["Must lie before to."]})
        if first >= last:
            raise ValidationFailed(fields={"from": ["Must lie before to, or in the past where to is left out."]})
        if granularity == "hour" and first < moment - HOURS_KEPT:
            sentence = f"Hours are kept for {HOURS_KEPT.days} days. Ask by day for what lies further back."
            raise ValidationFailed(fields={"from": [sentence]})
        edges = [first]
        while edges[-1] < last:
            if len(edges) > MOST_POINTS:
                raise ValidationFailed(fields={"from": [f"At most {MOST_POINTS} points. Ask for less, or by month."]})
            edges.append(_next(edges[-1], granularity))
    except OverflowError:
        raise ValidationFailed(fields={"to": ["The time is out of range."]}) from None
    return edges


def _floor(moment: datetime, granularity: str) -> datetime:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if granularity == "hour":
        return hour
    day = hour.replace(hour=0)
    return day if granularity == "day" else day.replace(day=1)


def _next(edge: datetime, granularity: str) -> datetime:
    if granularity == "month":
        return _floor(edge + timedelta(days=31), "month")
    return edge + (timedelta(hours=1) if granularity == "hour" else timedelta(days=1))


def _back(last: datetime, granularity: str) -> datetime:
    """Return where a series begins that ends there and has the usual length."""
    edge = last
    for _ in range(USUAL_POINTS[granularity]):
        edge = _floor(edge - timedelta(microseconds=1), granularity)
    return edge
