"""The pages of an app's webhooks: endpoints, what was sent to them and what answered, events."""

from __future__ import annotations

from django.urls import URLPattern, path

from webhooks.dashboard.endpoints import EndpointAction, Endpoints, OneEndpoint
from webhooks.dashboard.events import EventList, OneEvent, Redeliver

_APP = "dashboard/<str:app_id>"
PAGES: list[URLPattern] = [
    path(f"{_APP}/webhooks", Endpoints.as_view(), name="dashboard-webhooks"),
    path(f"{_APP}/webhooks/<str:endpoint_id>", OneEndpoint.as_view(), name="dashboard-webhook"),
    path(f"{_APP}/webhooks/<str:endpoint_id>/<slug:action>", EndpointAction.as_view(), name="dashboard-webhook-action"),
    path(f"{_APP}/events", EventList.as_view(), name="dashboard-events"),
    path(f"{_APP}/events/<str:event_id>", OneEvent.as_view(), name="dashboard-event"),
    path(f"{_APP}/events/<str:event_id>/redeliver", Redeliver.as_view(), name="dashboard-event-redeliver"),
]
