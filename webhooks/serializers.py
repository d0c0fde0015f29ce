"""Shapes of endpoints, events and deliveries in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from rest_framework import serializers

from stackbe.kernel.clock import render
from stackbe.kernel.serializers import (
    Boolean,
    Input,
    Integer,
    Metadata,
    Moment,
    Output,
    PageQuery,
    PublicId,
    Text,
    Timestamp,
)
from stackbe.kernel.transactions import current
from webhooks.addresses import MAX_URL_LENGTH
from webhooks.catalogue import EVENT_TYPES, EVERY_TYPE
from webhooks.filters import MOST_PATHS, MOST_VALUES, FilterRefused, check_path, check_value
from webhooks.models import Attempt, Delivery, Event, WebhookEndpoint
from webhooks.services.replay import Which

if TYPE_CHECKING:
    from collections.abc import Sequence


class EventTypes(serializers.ListField):
    """Types of event, or `["*"]` for all of them."""

    def __init__(self, **kwargs: Any) -> None:
        """Take one or more of the catalogue's types."""
        child = serializers.ChoiceField(choices=[EVERY_TYPE, *EVENT_TYPES])
        limit = len(EVENT_TYPES) + 1
        super().__init__(child=child, min_length=1, max_length=limit, **kwargs)


class PayloadFilter(Metadata):
    """Values that an event must have at paths inside its body; a list is "one of these"."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the filter, each complaint under its path."""
        wanted = super().to_internal_value(data)
        if len(wanted) > MOST_PATHS:
            raise serializers.ValidationError(f"A filter may have {MOST_PATHS} paths.")
        wrong = {path: [complaint] for path, value in wanted.items() if (complaint := _complaint(path, value))}
        if wrong:
            raise serializers.ValidationError(wrong)
        return wanted


def _complaint(path: str, value: Any) -> str:
    """Return what is wrong with one path of a filter and its value, or an empty string."""
    choices = value if isinstance(value, list) else [value]
    if not 0 < len(choices) <= MOST_VALUES:
        return f"Give 1 to {MOST_VALUES} values."
    try:
        check_path(path)
        for choice in choices:
            check_value(choice)
    except FilterRefused as refused:
        return str(refused)
    return ""


class EndpointInput(Input):
    """A new endpoint."""

    url = Text(max_length=MAX_URL_LENGTH)
    events = EventTypes(required=False)
    filter = PayloadFilter(required=False, allow_null=True)
    ordered = Boolean(required=False)
    enabled = Boolean(required=False)
    description = Text(max_length=255, required=False, allow_blank=True)


class EndpointChanges(Input):
    """What may change about an endpoint."""

    url = Text(max_length=MAX_URL_LENGTH, required=False)
    events = EventTypes(required=False)
    filter = PayloadFilter(required=False, allow_null=True)
    ordered = Boolean(required=False)
    enabled = Boolean(required=False)
    replay_missed = Boolean(required=False)
    description = Text(max_length=255, required=False, allow_blank=True)


class EndpointOutput(Output):
    """An endpoint, without its secret."""

    id = Text(source="public_id")
    url = Text(max_length=MAX_URL_LENGTH)
    events = EventTypes()
    filter = PayloadFilter(allow_null=True)
    ordered = Boolean()
    enabled = Boolean()
    description = Text(allow_blank=True)
    disabled_reason = serializers.SerializerMethodField()
    disabled_at = Timestamp(allow_null=True)
    failing_since = Timestamp(allow_null=True)
    created_at = Timestamp()
    updated_at = Timestamp()

    def get_disabledReason(self, endpoint: WebhookEndpoint) -> str | None:  # noqa: N802  # DRF's name for it
        """Return why nothing is sent: by_request, gone (410) or failing (five days)."""
        return endpoint.disabled_reason or None


class EndpointWithSecret(EndpointOutput):
    """An endpoint in the one answer that shows its secret."""

    secret = Text()


class Stretch(PageQuery):
    """A list that can be narrowed to a stretch of time, up to but not including its end."""

    since = Timestamp(required=False)
    until = Timestamp(required=False)


class EventQuery(Stretch):
    """Which events to list."""

    type = serializers.ChoiceField(choices=EVENT_TYPES, required=False)
    customer_id = PublicId("cust", required=False)


class EventOutput(Output):
    """An event as it is sent. `data` is null once the person it told of has been erased."""

    id = Text()
    type = Text()
    timestamp = Moment()
    data = serializers.DictField(allow_null=True)  # type: ignore[assignment]  # a field; the metaclass takes it

    @staticmethod
    def prepare(rows: Sequence[Event], context: dict[str, Any]) -> None:
        """Fetch the keys of all people on the page at once."""
        current().keys.preload({row.subject_id for row in rows if row.subject_id is not None})

    def to_representation(self, instance: Event) -> dict[str, Any]:
        """Return the very document that receivers get."""
        if instance.body is None:
            moment = render(instance.created_at)
            return {
                "id": instance.public_id,
                "type": instance.type,
                "timestamp": moment,
                "data": None,
            }
        document: dict[str, Any] = orjson.loads(instance.body)
        return document


class DeliveryQuery(Stretch):
    """Which deliveries to list; times are those of queueing."""

    status = serializers.ChoiceField(choices=Delivery.Status.choices, required=False)
    type = serializers.ChoiceField(choices=EVENT_TYPES, required=False)
    event_id = PublicId("evt", required=False)
    customer_id = PublicId("cust", required=False)


class DeliveryOutput(Output):
    """One event on its way to one endpoint. `attempt` counts the tries so far."""

    id = Text(source="public_id")
    event_id = PublicId("evt")
    endpoint_id = PublicId("we")
    event_type = Text()
    attempt = Integer(source="attempts")
    status = serializers.ChoiceField(choices=Delivery.Status.choices)
    response_status = Integer(allow_null=True)
    duration_ms = Integer(allow_null=True)
    error = serializers.SerializerMethodField()
    next_attempt_at = serializers.SerializerMethodField()
    created_at = Timestamp()

    def get_error(self, delivery: Delivery) -> str | None:
        """Return why the last try did not deliver, such as TIMEOUT or BAD_STATUS."""
        return delivery.error or None

    def get_nextAttemptAt(self, delivery: Delivery) -> str | None:  # noqa: N802  # DRF's name for it
        """Return when it will be tried next."""
        return render(delivery.due_at) if delivery.status == Delivery.Status.PENDING else None


class AttemptOutput(Output):
    """One try: what answered, and the first KiB of what it said, with secrets and card numbers masked."""

    number = Integer()
    attempted_at = Timestamp()
    response_status = Integer(allow_null=True)
    duration_ms = Integer()
    error = serializers.SerializerMethodField()
    answer = Text(allow_null=True)

    def get_error(self, attempt: Attempt) -> str | None:
        """Return why it did not deliver."""
        return attempt.error or None


class DeliveryWithAttempts(DeliveryOutput):
    """A delivery and every try of it, first to last."""

    attempts = AttemptOutput(many=True, source="tries")


class TestInput(Input):
    """What to try an endpoint with: `webhook.test` unless said otherwise."""

    type = serializers.ChoiceField(choices=EVENT_TYPES, required=False)


class TriggerInput(Input):
    """A type of which to make an event."""

    type = serializers.ChoiceField(choices=EVENT_TYPES)


class ReplayInput(Input):
    """What to send again: events from `since` up to, not including, `until`, by how they fared at the endpoint."""

    since = Timestamp()
    until = Timestamp(required=False)
    status = serializers.ChoiceField(choices=[str(which) for which in Which], required=False)
    types = EventTypes(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse an end before the beginning; `*` is every type."""
        if "until" in attrs and attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": ["Must be later than since."]})
        if EVERY_TYPE in attrs.get("types", []):
            del attrs["types"]
        return attrs


class ReplayOutput(Output):
    """How many events are on their way again."""

    count = Integer()


class RedeliverInput(Input):
    """Where to send an event again; without an endpoint to all that want it."""

    endpoint_id = PublicId("we", required=False)


class DeliveriesOutput(Output):
    """The deliveries that a redelivery queued."""

    data = DeliveryOutput(many=True)  # type: ignore[assignment]  # likewise
