"""This app's rows in the table of routes, and its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackbe.kernel.routes import may, route
from webhooks import dashboard, views

if TYPE_CHECKING:
    from django.urls import URLPattern

READ, WRITE = may("webhooks:read"), may("webhooks:write")
ENDPOINT = "webhook-endpoints/<str:endpoint_id>"

ROUTES = [
    route("webhook-endpoints", views.Endpoints, "webhook-endpoints", GET=READ, POST=WRITE),
    route(ENDPOINT, views.Endpoint, "webhook-endpoint", GET=READ, PATCH=WRITE, DELETE=WRITE),
    route(f"{ENDPOINT}/rotate-secret", views.EndpointSecret, "webhook-endpoint-rotate-secret", POST=WRITE),
    route(f"{ENDPOINT}/test", views.EndpointTest, "webhook-endpoint-test", POST=WRITE),
    route(f"{ENDPOINT}/deliveries", views.EndpointDeliveries, "webhook-endpoint-deliveries", GET=READ),
    route(f"{ENDPOINT}/deliveries/<str:delivery_id>", views.EndpointDelivery, "webhook-endpoint-delivery", GET=READ),
    route(f"{ENDPOINT}/replay", views.EndpointReplay, "webhook-endpoint-replay", POST=WRITE),
    route("events", views.Events, "events", GET=READ),
    route("events/<str:event_id>", views.OneEvent, "event", GET=READ),
    route("events/<str:event_id>/redeliver", views.EventRedelivery, "event-redeliver", POST=WRITE),
    route("test/events", views.TestEvents, "test-events", POST=WRITE),
]
PAGES: list[URLPattern] = [*dashboard.PAGES]
