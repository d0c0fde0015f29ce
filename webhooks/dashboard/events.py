"""The pages of an app's events, and how each was delivered."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.dashboard.frame import AppPage
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import NotFound
from stackbe.kernel.transactions import current
from webhooks.curl import as_curl
from webhooks.dashboard.forms import EventSearch
from webhooks.models import Attempt, Delivery, Event, WebhookEndpoint
from webhooks.services import endpoints, events


class OneEvent(AppPage):
    """An event as it was sent, and how each delivery of it went."""

    section = "webhooks"
    resource = "webhooks"
    template = "dashboard/event.html"

    def context(self, event_id: str) -> dict[str, Any]:
        """Return the body, the deliveries and every attempt."""
        event = events.events_of(self.scope).fetch(event_id)
        deliveries = list(Delivery.objects.within(self.scope).filter(event_id=event.pk).order_by("-pk"))
        attempts: dict[Any, list[Attempt]] = {delivery.pk: [] for delivery in deliveries}
        for attempt in Attempt.objects.within(self.scope).filter(delivery_id__in=list(attempts)).order_by("pk"):
            attempts[attempt.delivery_id].append(attempt)
        known = {endpoint.pk: endpoint for endpoint in endpoints.endpoints_of(self.scope)}
        current().keys.preload([event.subject_id] if event.subject_id else [])
        body = event.body
        return {
            "event": event,
            "body": json.dumps(json.loads(body), indent=2, ensure_ascii=False) if body else "",
            "deliveries": [
                (row, known.get(row.endpoint_id), attempts[row.pk], self.curl(event, known.get(row.endpoint_id)))
                for row in deliveries
            ],
            "listening": any(endpoint.wants(event) for endpoint in known.values()),
        }

    def curl(self, event: Event, endpoint: WebhookEndpoint | None) -> str:
        """Return the request as a command, for those who may send it anyway: it carries a signature that holds."""
        if not self.may_write or endpoint is None or event.body is None:
            return ""
        return as_curl(endpoint, event, wall_clock())


class Redeliver(AppPage):
    """Sending an event again."""

    resource = "webhooks"

    def back(self) -> HttpResponse:
        """Return to the event."""
        return redirect("dashboard-event", self.kwargs["app_id"], self.kwargs["event_id"])

    def post(self, request: HttpRequest, app_id: str, event_id: str) -> HttpResponse:
        """Queue it for one endpoint, or for all that take its type."""
        named = request.POST.get("endpoint_id", "")
        try:
            endpoint_id = ids.decode("we", named) if named else None
        except ids.MalformedId:
            raise NotFound from None
        self.perform(lambda scope: events.redeliver_event(scope, event_id, endpoint_id=endpoint_id))
        return self.done("On its way again, under the same id.", "dashboard-event", event_id)


class EventList(AppPage):
    """All events, newest first."""

    section = "webhooks"
    resource = "webhooks"
    template = "dashboard/events.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return a page of them, of one type or about one customer where asked."""
        search = EventSearch(self.request.GET, auto_id="search-%s")
        rows = events.events_of(self.scope, **search.narrowed())
        given = {name: self.request.GET.get(name, "") for name in search.fields}
        return {**self.page_of(rows, **given), "search": search}
