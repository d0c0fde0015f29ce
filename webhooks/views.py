"""Endpoints, events and deliveries over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery
from webhooks.serializers import (
    DeliveriesOutput,
    DeliveryOutput,
    DeliveryQuery,
    DeliveryWithAttempts,
    EndpointChanges,
    EndpointInput,
    EndpointOutput,
    EndpointWithSecret,
    EventOutput,
    EventQuery,
    RedeliverInput,
    ReplayInput,
    ReplayOutput,
    TestInput,
    TriggerInput,
)
from webhooks.services import endpoints, events, replay

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response


class Endpoints(ApiView):
    """The app's endpoints."""

    @operation(query=PageQuery, output=EndpointOutput, many=True)
    def get(self, request: Request) -> Response:
        """List webhook endpoints."""
        return self.page(endpoints.endpoints_of(self.scope), self.query())

    @operation(input=EndpointInput, output=EndpointWithSecret, status=201, extra_statuses=(409,))
    def post(self, request: Request) -> Response:
        """Create a webhook endpoint; its secret is shown here and never again."""
        return self.reply(endpoints.create_endpoint(self.scope, **self.parse()))


class Endpoint(ApiView):
    """One endpoint."""

    @operation(output=EndpointOutput)
    def get(self, request: Request, endpoint_id: str) -> Response:
        """Get a webhook endpoint."""
        return self.reply(endpoints.find_endpoint(self.scope, endpoint_id))

    @operation(input=EndpointChanges, output=EndpointOutput)
    def patch(self, request: Request, endpoint_id: str) -> Response:
        """Change a webhook endpoint."""
        return self.reply(replay.change_endpoint(self.scope, endpoint_id, **self.parse()))

    @operation(status=204)
    def delete(self, request: Request, endpoint_id: str) -> Response:
        """Delete a webhook endpoint."""
        endpoints.delete_endpoint(self.scope, endpoint_id)
        return self.reply()


class EndpointSecret(ApiView):
    """An endpoint's secret."""

    @operation(output=EndpointWithSecret)
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Rotate a webhook endpoint's secret; both sign for 24 hours."""
        self.parse()
        return self.reply(endpoints.rotate_secret(self.scope, endpoint_id))


class EndpointTest(ApiView):
    """A try-out of an endpoint."""

    @operation(input=TestInput, output=DeliveryOutput, status=202, extra_statuses=(409,))
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send a made-up event to a webhook endpoint: `webhook.test`, or of any type in a test app."""
        return self.reply(events.send_test_event(self.scope, endpoint_id, **self.parse()))


class EndpointReplay(ApiView):
    """Events sent again to an endpoint."""

    @operation(input=ReplayInput, output=ReplayOutput, status=202, extra_statuses=(409,))
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send again what a webhook endpoint missed since a time, or all of a stretch."""
        return self.reply({"count": replay.replay(self.scope, endpoint_id, **self.parse())})


class EndpointDeliveries(ApiView):
    """What was sent to an endpoint."""

    @operation(query=DeliveryQuery, output=DeliveryOutput, many=True)
    def get(self, request: Request, endpoint_id: str) -> Response:
        """List the deliveries to a webhook endpoint."""
        asked = self.query()
        return self.page(events.deliveries_of(self.scope, endpoint_id, **narrowed(asked)), asked)


class EndpointDelivery(ApiView):
    """One event on its way to an endpoint."""

    @operation(output=DeliveryWithAttempts)
    def get(self, request: Request, endpoint_id: str, delivery_id: str) -> Response:
        """Get a delivery with every attempt and what answered."""
        delivery = events.find_delivery(self.scope, endpoint_id, delivery_id)
        delivery.tries = events.attempts_of(self.scope, delivery)  # type: ignore[attr-defined]  # for the output alone
        return self.reply(delivery)


class Events(ApiView):
    """The app's events."""

    @operation(query=EventQuery, output=EventOutput, many=True)
    def get(self, request: Request) -> Response:
        """List events, of one type or about one customer where asked."""
        asked = self.query()
        return self.page(events.events_of(self.scope, **narrowed(asked)), asked)


class OneEvent(ApiView):
    """One event."""

    @operation(output=EventOutput)
    def get(self, request: Request, event_id: str) -> Response:
        """Get an event as it was sent."""
        return self.reply(events.events_of(self.scope).fetch(event_id))


class EventRedelivery(ApiView):
    """An event sent again."""

    @operation(input=RedeliverInput, output=DeliveriesOutput, status=202, extra_statuses=(409,))
    def post(self, request: Request, event_id: str) -> Response:
        """Send an event again, to one endpoint or to all that want it."""
        queued = events.redeliver_event(self.scope, event_id, **self.parse())
        return self.reply({"data": queued})


class TestEvents(ApiView):
    """Made-up events of a test app."""

    @operation(input=TriggerInput, output=EventOutput, status=201, extra_statuses=(409,))
    def post(self, request: Request) -> Response:
        """Make an event of a type, in the shape of real ones, and send it to all endpoints that want it."""
        return self.reply(events.trigger_event(self.scope, self.parse()["type"]))


def narrowed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a query narrows a list by, without its paging."""
    return {name: value for name, value in asked.items() if name not in {"limit", "cursor"}}
