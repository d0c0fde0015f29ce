"""Count usage, exactly once, never past a hard limit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from accounts.errors import CustomerNotFound
from stackbe.kernel import crypto
from stackbe.kernel.arrays import array, array_of_bytes
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ApiError, ValidationFailed
from stackbe.kernel.scope import Scope
from stackbe.kernel.statements import Statement
from stackbe.kernel.transactions import current, require_change
from usage.errors import (
    MetricNotFound,
    NoActiveSubscription,
    ReservationClosed,
    ReservationExpired,
    UsageLimitExceeded,
)
from usage.models import Metric
from usage.services.figures import Figures
from usage.services.metrics import live_metrics, metric_named

SEEN = "outcome, used, allowed, mode, starts, ends, held, windows::text, limited_by"
TRACK = Statement("usage_track", f"select {SEEN} from usage_track(%s, %s, %s, %s, %s, %s, %s, %s, %s)")  # noqa: S608  # no value in it
COUNT = Statement("usage_count", f"select {SEEN} from usage_count(%s, %s, %s, %s, %s, %s, %s)")  # noqa: S608  # likewise
STEP = f"select {SEEN}, counter_id from usage_track(%s, %s, %s, %s, %s, null, %s, %s, %s, %s, %s)"  # noqa: S608  # likewise
COLUMNS = ("customer_id", "metric", "quantity", "value", "key", "at")
OF_ORDINARY = ("customer_id", "metric", "quantity", "key")
# A function that is called for each row of a list is called in the list's order.
TRACK_ALL = f"""
with given as materialized (
  select * from unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[])
  with ordinality as g(customer, metric, quantity, value, key, at, place)
)
select {SEEN}
from given g cross join lateral
  usage_track(%s, %s, g.customer, g.metric, g.quantity, g.value, g.key, g.at, %s) as t
order by g.place
"""  # noqa: S608  # likewise
PERIOD = (5, 6)  # where a row of the following has its two moments
# One text for all rows: moments, of which few differ, are read once each.
COUNT_ALL = """
select json_agg(
  json_build_array(place, outcome, used, allowed, mode, starts, ends, held, windows::text, limited_by)
)::text
from usage_count_all(%s, %s, %s::uuid[], %s::text[], %s::bigint[], %s::bytea[], %s)
"""
LOCK_CUSTOMERS = """
select from accounts_customer where id = any(%s::uuid[]) and app_id = %s order by id for no key update
"""
OLDEST = timedelta(hours=24)
NEWEST = timedelta(minutes=5)
VALUE_MISSING = {"value": ["A unique metric counts distinct values."]}


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
    return judged(metric, TRACK.row(tenant_id, app_id, customer_id, metric, quantity, value, key, at, moment))


def count_event(
    *,
    tenant_id: UUID,
    app_id: UUID,
    customer_id: UUID,
    metric: str,
    quantity: int,
    key: bytes | None,
    moment: datetime,
    counted: Sequence[Any] | None = None,
) -> Figures:
    """Count an event of this moment in as few statements as its case allows; otherwise as `run_track`.

    `counted` is what `usage_count` has answered already, where it was asked together with the key.
    """
    row = counted or COUNT.row(tenant_id, app_id, customer_id, metric, quantity, key, moment)
    if row[0] == "again":
        row = TRACK.row(tenant_id, app_id, customer_id, metric, quantity, None, key, moment, moment)
    return judged(metric, row)


def run_step(
    scope: Scope,
    step: str,
    customer_id: UUID,
    metric: str,
    quantity: int,
    *,
    key: str | None = None,
    reservation_id: UUID | None = None,
) -> tuple[Any, ...]:
    """Run the atomic step as `sync`, `hold` or `confirm`; return its row, which ends with the counter's id."""
    moment = now(scope)
    digest = None if key is None else key_digest(key)
    arguments: list[Any] = [scope.tenant_id, scope.app, customer_id, metric, quantity, digest, moment, moment, step]
    with connection.cursor() as cursor:
        cursor.execute(STEP, [*arguments, reservation_id])
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def judged(metric: str, row: Sequence[Any]) -> Figures:
    """Return the figures of a step's row, or raise what its outcome stands for."""
    outcome = row[0]
    if outcome in FAILURES:
        failure: ApiError = FAILURES[outcome]()
        raise failure
    if outcome == "no_value":
        raise ValidationFailed(fields=VALUE_MISSING)
    if outcome == "overflow":
        raise ValidationFailed(fields={"quantity": ["The count would pass 9007199254740991."]})
    figures = Figures.of_step(metric, row)
    if outcome == "limit":
        raise UsageLimitExceeded(LIMIT_SENTENCES[figures.limited_by], extra={"usage": figures.as_refusal()})
    return figures


FAILURES: dict[str, type[ApiError]] = {
    "no_metric": MetricNotFound,
    "no_customer": CustomerNotFound,
    "no_plan": NoActiveSubscription,
    "closed": ReservationClosed,
    "expired": ReservationExpired,
}
LIMIT_SENTENCES = {
    "plan": None,
    "spend_cap": "This would pass the most that the plan lets overage cost. Nothing was counted.",
    "day": "This would pass the plan's limit for a day. Nothing was counted.",
    "hour": "This would pass the plan's limit for an hour. Nothing was counted.",
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


def sync_usage(
    scope: Scope, *, customer_id: UUID, metric: str, value: int, idempotency_key: str | None = None
) -> Figures:
    """Set what a customer used in this period, as the app's own books say it.

    Raising it past a hard limit is refused like any other usage; lowering it gives back the credits that it shows
    were not used. Limits of a day or an hour are not asked, since a correction is no use of them.
    """
    require_change()
    if metric_named(scope, metric).aggregation == Metric.Aggregation.UNIQUE:
        raise ValidationFailed(fields={"metric": ["A unique metric counts distinct values; it cannot be set."]})
    return judged(metric, run_step(scope, "sync", customer_id, metric, value, key=idempotency_key))


def track_batch(scope: Scope, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count many events in one transaction; return a result for each, in the order given.

    An event that is refused (over a limit, unknown metric) says so and stops no other. Customers are locked first,
    as the step itself does near a period's end, then counters, all in one order, so that no two requests wait for
    each other in a ring. Ordinary events are counted together, and what is left by the step, one after the other.
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
    _lock_customers(scope, {each["customer_id"] for _, each in ready})
    events = [each for _, each in ready]
    ordinary = _ordinary(events, aggregations, moment)
    for (index, each), row in zip(ready, _rows_of(scope, events, ordinary, moment), strict=True):
        try:
            results[index] = judged(each["metric"], row).as_reply()
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


def _ordinary(events: list[dict[str, Any]], aggregations: dict[str, str], moment: datetime) -> list[int]:
    """Return the places of those that may be counted together: sums of the present hour, no key of theirs twice."""
    this_hour, found = _hour(moment), []
    for (_, metric), group in groupby(enumerate(events), lambda each: (each[1]["customer_id"], each[1]["metric"])):
        together = list(group)
        keys = [each["key"] for _, each in together if each["key"] is not None]
        if (
            aggregations[metric] == "sum"
            and len(set(keys)) == len(keys)
            and all(each["at"] is moment or _hour(each["at"]) == this_hour for _, each in together)
        ):
            found += [place for place, _ in together]
    return found


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _rows_of(scope: Scope, events: list[dict[str, Any]], ordinary: list[int], moment: datetime) -> list[Sequence[Any]]:
    """Return a row for each event, as the step gives it."""
    found: dict[int, Sequence[Any]] = {}
    if ordinary:
        counted = _count_all(scope, [events[place] for place in ordinary], moment)
        found = {ordinary[place - 1]: row for place, *row in counted}
    left = [place for place in range(len(events)) if place not in found]
    if left:
        found |= zip(left, _run_all(scope, [events[place] for place in left], moment), strict=True)
    return [found[place] for place in range(len(events))]


def _count_all(scope: Scope, each: list[dict[str, Any]], moment: datetime) -> list[list[Any]]:
    """Count ordinary events together; return the place from 1, then the step's row, of those that were counted."""
    customers, metrics, quantities, keys = ([event[name] for event in each] for name in OF_ORDINARY)
    columns = (array(customers), metrics, array(quantities), array_of_bytes(keys))
    with connection.cursor() as cursor:
        cursor.execute(COUNT_ALL, [scope.tenant_id, scope.app, *columns, moment])
        (answer,) = cursor.fetchone()
    rows: list[list[Any]] = orjson.loads(answer or "[]")
    moments: dict[str, datetime] = {}
    for row in rows:
        for place in PERIOD:
            text = row[place]
            if text is not None:
                row[place] = moments.get(text) or moments.setdefault(text, datetime.fromisoformat(text))
    return rows


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
