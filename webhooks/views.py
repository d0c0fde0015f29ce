"""Endpoints, events and deliveries over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery
from webhooks.serializers import (
    DeliveriesOutput,
    DeliveryOutput,
    DeliveryQuery,
    EndpointChanges,
    EndpointInput,
    EndpointOutput,
    EndpointWithSecret,
    EventOutput,
    EventQuery,
    RedeliverInput,
)
from webhooks.services import endpoints, events

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
        return self.reply(endpoints.update_endpoint(self.scope, endpoint_id, **self.parse()))

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

    @operation(output=DeliveryOutput, status=202, extra_statuses=(409,))
    def post(self, request: Request, endpoint_id: str) -> Response:
        """Send a test event to a webhook endpoint."""
        self.parse()
        return self.reply(events.send_test_event(self.scope, endpoint_id))


class EndpointDeliveries(ApiView):
    """What was sent to an endpoint."""

    @operation(query=DeliveryQuery, output=DeliveryOutput, many=True)
    def get(self, request: Request, endpoint_id: str) -> Response:
        """List the deliveries to a webhook endpoint."""
        asked = self.query()
        found = events.deliveries_of(self.scope, endpoint_id, status=asked.get("status"))
        return self.page(found, asked)


class Events(ApiView):
    """The app's events."""

    @operation(query=EventQuery, output=EventOutput, many=True)
    def get(self, request: Request) -> Response:
        """List events, of one type or about one customer where asked."""
        asked = self.query()
        found = events.events_of(self.scope, type=asked.get("type"), customer_id=asked.get("customer_id"))
        return self.page(found, asked)


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
        """Send an event again, to one endpoint or to all that take its type."""
        queued = events.redeliver_event(self.scope, event_id, **self.parse())
        return self.reply({"data": queued})
