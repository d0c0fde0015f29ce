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
    Output,
    PageQuery,
    PublicId,
    Text,
    Timestamp,
)
from stackbe.kernel.transactions import current
from webhooks.addresses import MAX_URL_LENGTH
from webhooks.catalogue import EVENT_TYPES, EVERY_TYPE
from webhooks.models import Delivery, Event, WebhookEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence


class EventTypes(serializers.ListField):
    """Types of event, or `["*"]` for all of them."""

    def __init__(self, **kwargs: Any) -> None:
        """Take one or more of the catalogue's types."""
        child = serializers.ChoiceField(choices=[EVERY_TYPE, *EVENT_TYPES])
        limit = len(EVENT_TYPES) + 1
        super().__init__(child=child, min_length=1, max_length=limit, **kwargs)


class EndpointInput(Input):
    """A new endpoint."""

    url = Text(max_length=MAX_URL_LENGTH)
    events = EventTypes(required=False)
    enabled = Boolean(required=False)
    description = Text(max_length=255, required=False, allow_blank=True)


class EndpointChanges(Input):
    """What may change about an endpoint."""

    url = Text(max_length=MAX_URL_LENGTH, required=False)
    events = EventTypes(required=False)
    enabled = Boolean(required=False)
    description = Text(max_length=255, required=False, allow_blank=True)


class EndpointOutput(Output):
    """An endpoint, without its secret."""

    id = Text(source="public_id")
    url = Text(max_length=MAX_URL_LENGTH)
    events = EventTypes()
    enabled = Boolean()
    description = Text(allow_blank=True)
    disabled_reason = serializers.SerializerMethodField()
    created_at = Timestamp()
    updated_at = Timestamp()

    def get_disabledReason(self, endpoint: WebhookEndpoint) -> str | None:  # noqa: N802  # DRF's name for it
        """Return why nothing is sent: by_request, gone (410) or failing (five days)."""
        return endpoint.disabled_reason or None


class EndpointWithSecret(EndpointOutput):
    """An endpoint in the one answer that shows its secret."""

    secret = Text()


class EventQuery(PageQuery):
    """Which events to list."""

    type = serializers.ChoiceField(choices=EVENT_TYPES, required=False)
    customer_id = PublicId("cust", required=False)


class EventOutput(Output):
    """An event as it is sent. `data` is null once the person it told of has been erased."""

    id = Text()
    type = Text()
    timestamp = serializers.CharField()
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


class DeliveryQuery(PageQuery):
    """Which deliveries to list."""

    status = serializers.ChoiceField(choices=Delivery.Status.choices, required=False)


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


class RedeliverInput(Input):
    """Where to send an event again; without an endpoint to all that take its type."""

    endpoint_id = PublicId("we", required=False)


class DeliveriesOutput(Output):
    """The deliveries that a redelivery queued."""

    data = DeliveryOutput(many=True)  # type: ignore[assignment]  # likewise
