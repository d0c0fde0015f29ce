"""The pages of an app's webhook endpoints, what was sent to them and what answered."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path

from accounts.dashboard.frame import AppPage
from stackbe.kernel import ids
from stackbe.kernel.errors import NotFound
from stackbe.kernel.transactions import change, current, reading
from webhooks.catalogue import EVENT_TYPES, EVERY_TYPE
from webhooks.models import Attempt, Delivery
from webhooks.services import endpoints, events

LISTED = 12


class EndpointForm(forms.Form):
    """An endpoint to register or change."""

    url = forms.CharField(
        label="URL",
        max_length=2048,
        widget=forms.URLInput(attrs={"placeholder": "https://example.com/webhooks/stackbe"}),
        help_text="Where events are posted to. Live apps need https.",
    )
    description = forms.CharField(label="Description", required=False, max_length=255)
    reach = forms.ChoiceField(
        label="Which events", choices=[("all", "All of them, later ones too"), ("some", "Only what is ticked below")]
    )
    events = forms.MultipleChoiceField(
        label="Events",
        required=False,
        choices=[(name, name) for name in EVENT_TYPES],
        widget=forms.CheckboxSelectMultiple,
    )

    def clean(self) -> dict[str, Any]:
        """Ask for a type where only some were wanted."""
        entered: dict[str, Any] = super().clean() or {}
        if entered.get("reach") == "some" and not entered.get("events"):
            self.add_error("events", "Tick at least one, or take all events.")
        return entered

    def as_asked(self) -> dict[str, Any]:
        """Return the arguments of the services."""
        chosen = (EVERY_TYPE,) if self.cleaned_data["reach"] == "all" else tuple(self.cleaned_data["events"])
        return {"url": self.cleaned_data["url"], "description": self.cleaned_data["description"], "events": chosen}


class Endpoints(AppPage):
    """The app's endpoints and its latest events."""

    section = "webhooks"
    resource = "webhooks"
    template = "dashboard/webhooks.html"

    def context(self, **kwargs: Any) -> dict[str, Any]:
        """Return the endpoints and the newest events."""
        return {
            "endpoints": list(endpoints.endpoints_of(self.scope).order_by("-pk")),
            "events": list(events.events_of(self.scope).order_by("-pk")[:LISTED]),
            "form": EndpointForm(),
        }

    def post(self, request: HttpRequest, app_id: str) -> HttpResponse:
        """Register an endpoint and show its secret, this once."""
        form = EndpointForm(request.POST)

        def act() -> HttpResponse:
            with change(self.scope):
                made = endpoints.create_endpoint(self.scope, **form.as_asked())
                return self.show({**self.context(), "made": made, "secret": made.secret}, status=201)

        return self.submit(form, act, {"form": form, "is_adding": True})


class OneEndpoint(AppPage):
    """An endpoint and its deliveries."""

    section = "webhooks"
    resource = "webhooks"
    template = "dashboard/webhook.html"

    def context(self, endpoint_id: str) -> dict[str, Any]:
        """Return a page of deliveries, of one status where asked."""
        endpoint = endpoints.find_endpoint(self.scope, endpoint_id)
        status = self.request.GET.get("status", "")
        known = status if status in Delivery.Status.values else None
        found = self.page_of(events.deliveries_of(self.scope, endpoint_id, status=known), status=known or "")
        form = EndpointForm(
            initial={
                "url": endpoint.url,
                "description": endpoint.description,
                "reach": "all" if EVERY_TYPE in endpoint.events else "some",
                "events": endpoint.events,
            }
        )
        return {
            **found,
            "endpoint": endpoint,
            "rows": [(row, ids.encode("evt", row.event_id)) for row in found["rows"]],
            "status": known,
            "statuses": Delivery.Status.values,
            "form": form,
        }

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Show the page, or only the deliveries to htmx, which asks again while some are on their way."""
        with reading(self.scope):
            partial = bool(getattr(request, "htmx", False))
            context = self.context(kwargs["endpoint_id"])
            return self.show(context, template="dashboard/_deliveries.html" if partial else "")

    def post(self, request: HttpRequest, app_id: str, endpoint_id: str) -> HttpResponse:
        """Change the endpoint."""
        form = EndpointForm(request.POST)

        def act() -> HttpResponse:
            self.perform(lambda scope: endpoints.update_endpoint(scope, endpoint_id, **form.as_asked()))
            return self.done("Saved.", "dashboard-webhook", endpoint_id)

        return self.submit(form, act, {"form": form, "is_editing": True, "kwargs": {"endpoint_id": endpoint_id}})


class EndpointAction(AppPage):
    """What is done to an endpoint by one button: try out, switch, rotate, delete."""

    http_method_names = ("post",)
    section = "webhooks"
    resource = "webhooks"
    home = "dashboard-webhooks"
    template = "dashboard/webhook.html"

    def back(self) -> HttpResponse:
        """Return to the endpoint."""
        return redirect("dashboard-webhook", self.kwargs["app_id"], self.kwargs["endpoint_id"])

    def post(self, request: HttpRequest, app_id: str, endpoint_id: str, action: str) -> HttpResponse:
        """Do it."""
        if action == "rotate":
            return self.rotate(endpoint_id)
        if action == "test":
            self.perform(lambda scope: events.send_test_event(scope, endpoint_id))
            return self.done("A test event is on its way.", "dashboard-webhook", endpoint_id)
        if action == "delete":
            self.perform(lambda scope: endpoints.delete_endpoint(scope, endpoint_id))
            return self.done("Deleted. Nothing more is sent there.", "dashboard-webhooks")
        if action not in {"enable", "disable"}:
            raise NotFound
        enabled = action == "enable"
        self.perform(lambda scope: endpoints.update_endpoint(scope, endpoint_id, enabled=enabled))
        return self.done("Switched on." if enabled else "Switched off.", "dashboard-webhook", endpoint_id)

    def rotate(self, endpoint_id: str) -> HttpResponse:
        """Make a new secret and show it, this once."""
        with change(self.scope):
            endpoint = endpoints.rotate_secret(self.scope, endpoint_id)
            context = OneEndpoint.context(self, endpoint_id)  # type: ignore[arg-type]  # both are pages of one endpoint
            return self.show({**context, "made": endpoint, "secret": endpoint.secret})


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
            "deliveries": [(row, known.get(row.endpoint_id), attempts[row.pk]) for row in deliveries],
            "listening": any(endpoint.enabled and endpoint.takes(event.type) for endpoint in known.values()),
        }


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
        """Return a page of them, of one type where asked."""
        wanted = self.request.GET.get("type", "")
        known = wanted if wanted in EVENT_TYPES else None
        rows = events.events_of(self.scope, type=known)
        return {**self.page_of(rows, type=known or ""), "type": known, "types": EVENT_TYPES}


_APP = "dashboard/<str:app_id>"
PAGES: list[URLPattern] = [
    path(f"{_APP}/webhooks", Endpoints.as_view(), name="dashboard-webhooks"),
    path(f"{_APP}/webhooks/<str:endpoint_id>", OneEndpoint.as_view(), name="dashboard-webhook"),
    path(f"{_APP}/webhooks/<str:endpoint_id>/<slug:action>", EndpointAction.as_view(), name="dashboard-webhook-action"),
    path(f"{_APP}/events", EventList.as_view(), name="dashboard-events"),
    path(f"{_APP}/events/<str:event_id>", OneEvent.as_view(), name="dashboard-event"),
    path(f"{_APP}/events/<str:event_id>/redeliver", Redeliver.as_view(), name="dashboard-event-redeliver"),
]
