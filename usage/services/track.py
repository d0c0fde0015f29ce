"""Count usage, exactly once, never past a hard limit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.errors import CustomerNotFound
from stackbe.kernel import crypto
from stackbe.kernel.clock import now, render
from stackbe.kernel.errors import ApiError, ValidationFailed
from stackbe.kernel.scope import Scope
from stackbe.kernel.statements import Statement
from stackbe.kernel.transactions import current, require_change
from usage.errors import MetricNotFound, NoActiveSubscription, UsageLimitExceeded
from usage.services.metrics import live_metrics, metric_named

TRACK = Statement(
    "usage_track",
    "select outcome, used, allowed, mode, starts, ends from usage_track(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
)
COLUMNS = ("customer_id", "metric", "quantity", "value", "key", "at")
# A function that is called for each row of a list is called in the list's order.
TRACK_ALL = """
with given as materialized (
  select * from unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[])
  with ordinality as g(customer, metric, quantity, value, key, at, place)
)
select t.outcome, t.used, t.allowed, t.mode, t.starts, t.ends
from given g cross join lateral
  usage_track(%s, %s, g.customer, g.metric, g.quantity, g.value, g.key, g.at, %s) as t
order by g.place
"""
LOCK_CUSTOMERS = """
select from accounts_customer where id = any(%s::uuid[]) and app_id = %s order by id for no key update
"""
OLDEST = timedelta(hours=24)
NEWEST = timedelta(minutes=5)
VALUE_MISSING = {"value": ["A unique metric counts distinct values."]}


@dataclass(frozen=True, slots=True)
class Figures:
    """Where a customer stands on a metric, in its unit; None means no limit."""

    outcome: str
    metric: str
    used: int
    limit: int | None
    starts: datetime
    ends: datetime | None
    mode: str = "soft"
    aggregation: str = "sum"
    plan_limit: int | None = None

    @property
    def remaining(self) -> int | None:
        """Return what is left of the limit."""
        return None if self.limit is None else max(0, self.limit - self.used)

    def allows(self, quantity: int) -> bool:
        """Say whether the atomic step would count so much: of a unique metric, so many new values."""
        if self.outcome == "no_plan":
            return False
        later = {"max": max(self.used, quantity), "last": quantity}.get(self.aggregation, self.used + quantity)
        return self.mode == "soft" or self.limit is None or later <= max(self.limit, self.used)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the API shows them."""
        return {
            "metric": self.metric,
            "currentUsage": self.used,
            "limit": self.limit,
            "remaining": self.remaining,
            "billingPeriod": period_as_json(self.starts, self.ends),
            "resetsAt": render(self.ends),
        }

    def as_reply(self) -> dict[str, Any]:
        """Return the reply to a call that was counted (now or before, under the same key)."""
        return {"success": True, "allowed": True, **self.as_json()}


def period_as_json(starts: datetime, ends: datetime | None) -> dict[str, str | None]:
    """Return a period as the API shows it."""
    return {"start": render(starts), "end": render(ends)}


def run_track(
    *,
    tenant_id: UUID,
    app_id: UUID,
    customer_id: UUID,
    metric: str,
    quantity: int,
    value: bytes | None,
    key: bytes | None,
    at: datetime,
    moment: datetime,
) -> Figures:
    """Run the atomic step and return the figures, or raise what stood in its way.

    Raises `MetricNotFound`, `CustomerNotFound`, `NoActiveSubscription`, `UsageLimitExceeded` (nothing
    was counted) or `ValidationFailed` for a count beyond 2⁵³ - 1.
    """
    row = TRACK.row(tenant_id, app_id, customer_id, metric, quantity, value, key, at, moment)
    return _judged(metric, *row)


def _judged(
    metric: str,
    outcome: str,
    used: int,
    allowed: int | None,
    mode: str,
    starts: datetime,
    ends: datetime | None,
) -> Figures:
    """Return the step's figures, or raise what its outcome stands for."""
    if outcome in FAILURES:
        failure: ApiError = FAILURES[outcome]()
        raise failure
    if outcome == "no_value":
        raise ValidationFailed(fields=VALUE_MISSING)
    if outcome == "overflow":
        raise ValidationFailed(fields={"quantity": ["The count would pass 9007199254740991."]})
    figures = Figures(outcome, metric, used, allowed, starts, ends, mode)
    if outcome == "limit":
        raise UsageLimitExceeded(extra={"usage": figures.as_json()})
    return figures


FAILURES: dict[str, type[ApiError]] = {
    "no_metric": MetricNotFound,
    "no_customer": CustomerNotFound,
    "no_plan": NoActiveSubscription,
}


def key_digest(key: str) -> bytes:
    """Return what is kept of an idempotency key."""
    return hashlib.sha256(key.encode()).digest()[:16]


def track_usage(scope: Scope, **event: Any) -> Figures:
    """Count one event inside the open change: `quantity` of a metric, or one distinct `value`.

    Its `timestamp` may lie 24 hours back and 5 minutes ahead. The same idempotency key counts once per
    customer and metric, across this period and the one before.
    """
    require_change()
    moment = now(scope)
    arguments = _arguments(scope, event, metric_named(scope, event["metric"]).aggregation, moment)
    return run_track(tenant_id=scope.tenant_id, app_id=scope.app, moment=moment, **arguments)


def track_batch(scope: Scope, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count many events in one transaction; return a result for each, in the order given.

    An event that is refused (over a limit, unknown metric) says so and stops no other. Customers whose
    events carry keys are locked first, as the step itself does near a period's end, then counters, all in
    one order, so that no two requests wait for each other in a ring.
    """
    require_change()
    moment = now(scope)
    named = live_metrics(scope).filter(name__in={event["metric"] for event in events})
    aggregations = dict(named.values_list("name", "aggregation"))
    results: list[dict[str, Any]] = [{}] * len(events)
    ready: list[tuple[int, dict[str, Any]]] = []
    for index, event in enumerate(events):
        try:
            if event["metric"] not in aggregations:
                raise MetricNotFound
            ready.append((index, _arguments(scope, event, aggregations[event["metric"]], moment)))
        except ApiError as refused:
            results[index] = _refusal(event["metric"], refused)
    ready.sort(key=lambda each: (each[1]["customer_id"].bytes, each[1]["metric"], each[1]["at"]))
    _lock_customers(scope, {each["customer_id"] for _, each in ready if each["key"] is not None})
    for (index, each), row in zip(ready, _run_all(scope, [each for _, each in ready], moment), strict=True):
        try:
            results[index] = _judged(each["metric"], *row).as_reply()
        except ApiError as refused:
            results[index] = _refusal(each["metric"], refused)
    return results


def _arguments(scope: Scope, event: dict[str, Any], aggregation: str, moment: datetime) -> dict[str, Any]:
    """Return what the atomic step takes for an event, or raise what is wrong with its fields."""
    at = event.get("timestamp") or moment
    if not moment - OLDEST <= at <= moment + NEWEST:
        raise ValidationFailed(fields={"timestamp": ["Must lie at most 24 hours back and 5 minutes ahead."]})
    value, key = event.get("value"), event.get("idempotency_key")
    digest = None
    if aggregation == "unique":
        if value is None:
            raise ValidationFailed(fields=VALUE_MISSING)
        digest = crypto.keyed_hash(current().keys.secret("blind_index", scope.app), "value", value)
    elif value is not None:
        raise ValidationFailed(fields={"value": ["Only a unique metric takes a value."]})
    return {
        "customer_id": event["customer_id"],
        "metric": event["metric"],
        "quantity": event.get("quantity", 1),
        "value": digest,
        "key": None if key is None else key_digest(key),
        "at": at,
    }


def _lock_customers(scope: Scope, customer_ids: set[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_CUSTOMERS, [list(customer_ids), scope.app])


def _run_all(scope: Scope, each: list[dict[str, Any]], moment: datetime) -> list[tuple[Any, ...]]:
    """Run the step for every event, one after the other, in one call; return its rows in that order."""
    columns = [[event[name] for event in each] for name in COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(TRACK_ALL, [*columns, scope.tenant_id, scope.app, moment])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _refusal(metric: str, refused: ApiError) -> dict[str, Any]:
    """Return the result of an event that was not counted, with the error's code and sentence."""
    said = [f"{name}: {text}" for name, texts in (refused.fields or {}).items() for text in texts]
    return {
        "success": False,
        "allowed": False,
        "metric": metric,
        "code": refused.code,
        "message": " ".join(said) or str(refused),
        **refused.extra,
    }
