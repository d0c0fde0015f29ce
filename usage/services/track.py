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
from stackbe.kernel.transactions import require_change
from usage.errors import MetricNotFound, NoActiveSubscription, UsageLimitExceeded
from usage.services.metrics import metric_named

TRACK = "select outcome, used, allowed, mode, starts, ends from usage_track(%s, %s, %s, %s, %s, %s, %s, %s, %s)"
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

    @property
    def remaining(self) -> int | None:
        """Return what is left of the limit."""
        return None if self.limit is None else max(0, self.limit - self.used)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as the API shows them."""
        return {
            "metric": self.metric,
            "currentUsage": self.used,
            "limit": self.limit,
            "remaining": self.remaining,
            "billingPeriod": {"start": render(self.starts), "end": render(self.ends)},
            "resetsAt": render(self.ends),
        }

    def as_reply(self) -> dict[str, Any]:
        """Return the reply to a call that was counted (now or before, under the same key)."""
        return {"success": True, "allowed": True, **self.as_json()}


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
    with connection.cursor() as cursor:
        cursor.execute(TRACK, [tenant_id, app_id, customer_id, metric, quantity, value, key, at, moment])
        outcome, used, allowed, mode, starts, ends = cursor.fetchone()
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


def track_usage(
    scope: Scope,
    *,
    customer_id: UUID,
    metric: str,
    quantity: int = 1,
    value: str | None = None,
    idempotency_key: str | None = None,
    timestamp: datetime | None = None,
) -> Figures:
    """Count `quantity` of a metric (or one distinct `value`) inside the open change.

    `timestamp` may lie 24 hours back and 5 minutes ahead. The same idempotency key counts once per
    customer and metric, across this period and the one before.
    """
    unit = require_change()
    moment = now(scope)
    at = timestamp or moment
    if not moment - OLDEST <= at <= moment + NEWEST:
        message = "Must lie at most 24 hours back and 5 minutes ahead."
        raise ValidationFailed(fields={"timestamp": [message]})
    digest = None
    if metric_named(scope, metric).aggregation == "unique":
        if value is None:
            raise ValidationFailed(fields=VALUE_MISSING)
        digest = crypto.keyed_hash(unit.keys.secret("blind_index", scope.app), "value", value)
    elif value is not None:
        raise ValidationFailed(fields={"value": ["Only a unique metric takes a value."]})
    return run_track(
        tenant_id=scope.tenant_id,
        app_id=scope.app,
        customer_id=customer_id,
        metric=metric,
        quantity=quantity,
        value=digest,
        key=None if idempotency_key is None else key_digest(idempotency_key),
        at=at,
        moment=moment,
    )


def track_batch(scope: Scope, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count many events in one transaction; return a result for each, in the order given.

    An event that is refused (over a limit, unknown metric) says so and stops no other. Counters are
    locked in one order, so that two batches never wait for each other in a ring.
    """
    require_change()
    results: list[dict[str, Any]] = [{}] * len(events)
    order = sorted(range(len(events)), key=lambda i: (events[i]["customer_id"].bytes, events[i]["metric"]))
    for index in order:
        try:
            results[index] = track_usage(scope, **events[index]).as_reply()
        except ApiError as refused:
            results[index] = {
                "success": False,
                "allowed": False,
                "metric": events[index]["metric"],
                "code": refused.code,
                "message": str(refused),
                **refused.extra,
            }
    return results
