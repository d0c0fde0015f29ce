"""/v1/usage"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.hot import proof_of
from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.errors import ApiError
from stackbe.kernel.hot import Answer, Asked, HotView, answer, gate, json_body, refusal
from stackbe.kernel.serializers import Timestamp, holds_card_number
from usage import hot
from usage.serializers import (
    MOST_EVENTS,
    BatchInput,
    BatchOutput,
    CustomerQuery,
    SeriesOutput,
    SeriesQuery,
    SyncInput,
    TrackInput,
    TrackOutput,
    UsageCheckOutput,
    UsageCheckQuery,
    UsageOutput,
)
from usage.services import series, summary, track
from usage.services.metrics import metric_named

if TYPE_CHECKING:
    from uuid import UUID

SCOPE = "usage:write"
PLAIN = frozenset({"customerId", "metric", "quantity", "idempotencyKey"})
TIMESTAMP = Timestamp()
MOST = 10**12
LONGEST = 255


class Track(HotView):
    """Count one thing."""

    def quick(self, request: Asked, **kwargs: str) -> Answer | None:
        """Answer from one call, which proves and counts the key and then counts the usage."""
        body = json_body(request)
        plain = plain_event(body) if body is not None else None
        proof = proof_of(request) if plain is not None else None
        if plain is None or proof is None:
            return None
        customer_id, metric, quantity, key = plain
        digest = None if key is None else track.key_digest(key)
        authorised = hot.authorise_event(proof, SCOPE, customer_id, metric, quantity, digest)
        if authorised is None:
            return None
        refused = gate(authorised.scopes, SCOPE, authorised.allowance)
        if refused is not None:
            return refused
        try:
            figures = track.count_event(
                tenant_id=authorised.tenant_id,
                app_id=authorised.app_id,
                customer_id=customer_id,
                metric=metric,
                quantity=quantity,
                key=digest,
                moment=authorised.moment,
                counted=authorised.counted,
            )
        except ApiError as failure:
            return refusal(failure, authorised.allowance)
        return answer(figures.as_reply(), authorised.allowance)

    @operation(input=TrackInput, output=TrackOutput, idempotent=False)
    def post(self, request: Request) -> Response:
        """Count usage.

        Counting and checking the limit are one step. Over a hard limit nothing is counted and the answer is
        409. An idempotencyKey counts once per customer and metric.
        """
        return Response(track.track_usage(self.scope, **self.parse()).as_reply())


class TrackBatch(ApiView):
    """Count many things."""

    @operation(input=BatchInput, output=BatchOutput, idempotent=False)
    def post(self, request: Request) -> Response:
        """Count up to 1,000 events in one transaction; each has its own result."""
        events = plain_events(request.data) or self.parse()["events"]
        return Response({"results": track.track_batch(self.scope, events)})


class Sync(ApiView):
    """Set the absolute value."""

    @operation(input=SyncInput, output=TrackOutput)
    def put(self, request: Request) -> Response:
        """Set what a customer used in this period.

        For counts that the app keeps itself, such as seats or stored bytes. Raising it past a hard limit is 409.
        """
        return Response(track.sync_usage(self.scope, **self.parse()).as_reply())


class Series(ApiView):
    """Usage over time."""

    @operation(query=SeriesQuery, output=SeriesOutput)
    def get(self, request: Request) -> Response:
        """Return what was counted in each hour, day or month (UTC), with zeros where there was nothing."""
        asked = self.query()
        bounds = {"start": asked.pop("from", None), "end": asked.pop("to", None)}
        points = series.series_of(self.scope, **asked, **bounds)
        unit = metric_named(self.scope, asked["metric"]).unit
        shown = {"metric": asked["metric"], "unit": unit, "granularity": asked["granularity"]}
        return Response(shown | {"data": [point.as_json() for point in points]})


class UsageCheck(ApiView):
    """May so much more be used?"""

    @operation(query=UsageCheckQuery, output=UsageCheckOutput)
    def get(self, request: Request) -> Response:
        """Say whether a quantity would pass, without counting it."""
        asked = self.query()
        figures = summary.standing_on(self.scope, asked["customer_id"], asked["metric"])
        return Response(figures.as_answer(asked["quantity"]))


class Usage(ApiView):
    """A customer's figures."""

    @operation(query=CustomerQuery, output=UsageOutput)
    def get(self, request: Request) -> Response:
        """Return a customer's figures on every metric."""
        customer_id = self.query()["customer_id"]
        summary.require_customer(self.scope, customer_id)
        figures = [f.as_json() for f in summary.standing(self.scope, customer_id)]
        period = summary.billing_period(self.scope, customer_id)
        return Response({"billingPeriod": period, "metrics": figures})


def plain_event(body: Any) -> tuple[UUID, str, int, str | None] | None:
    """Return the parts of an ordinary event, or None for what must be judged field by field."""
    if not isinstance(body, dict) or not body.keys() <= PLAIN:
        return None
    customer_id = hot.decoded_customer(body.get("customerId"))
    metric: str = body.get("metric", "")
    quantity: int = body.get("quantity", 1)
    key: str | None = body.get("idempotencyKey")
    if customer_id is None or not hot.plain_name(metric):
        return None
    if type(quantity) is not int or not 0 <= quantity <= MOST:
        return None
    if "idempotencyKey" in body and not is_plain_key(key):
        return None
    return customer_id, metric, quantity, key


def plain_events(body: Any) -> list[dict[str, Any]] | None:
    """Return what `BatchInput` would make of a body of ordinary events, or None for what must be judged by it."""
    events = body.get("events") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(events, list) or len(events) > MOST_EVENTS:
        return None
    found = []
    for event in events:
        timed = isinstance(event, dict) and "timestamp" in event
        plain = plain_event({k: v for k, v in event.items() if k != "timestamp"} if timed else event)
        if plain is None:
            return None
        customer_id, metric, quantity, key = plain
        made = {"customer_id": customer_id, "metric": metric, "quantity": quantity}
        if key is not None:
            made["idempotency_key"] = key
        if timed:
            try:
                made["timestamp"] = TIMESTAMP.to_internal_value(event["timestamp"])
            except ValidationError:
                return None
        found.append(made)
    return found


def is_plain_key(key: Any) -> bool:
    """Say whether an idempotency key needs no closer look."""
    return (
        isinstance(key, str)
        and 0 < len(key) <= LONGEST
        and key.isprintable()
        and key == key.strip()
        and not holds_card_number(key)
    )
