"""The pages of an app's webhook endpoints and of what was sent to them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.dashboard.frame import AppPage
from stackbe.kernel import ids
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import NotFound, ValidationFailed
from stackbe.kernel.transactions import change, reading
from webhooks.catalogue import EVENT_TYPES, EVERY_TYPE, TEST_TYPE
from webhooks.dashboard.forms import EndpointForm, LogSearch, ReplayForm
from webhooks.services import endpoints, events, replay
from webhooks.services.replay import Which
from webhooks.snippets import snippets

LISTED = 12
DAY = timedelta(days=1)


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
            asked = form.as_asked()
            with change(self.scope):
                made = endpoints.create_endpoint(self.scope, **asked)
                return self.show({**self.context(), "made": made, "secret": made.secret}, status=201)

        return self.submit(form, act, {"form": form, "is_adding": True})


class OneEndpoint(AppPage):
    """An endpoint and its deliveries."""

    section = "webhooks"
    resource = "webhooks"
    template = "dashboard/webhook.html"

    def context(self, endpoint_id: str) -> dict[str, Any]:
        """Return a page of deliveries, narrowed where asked."""
        endpoint = endpoints.find_endpoint(self.scope, endpoint_id)
        search = LogSearch(self.request.GET, auto_id="search-%s")
        rows = events.deliveries_of(self.scope, endpoint_id, **search.narrowed())
        found = self.page_of(rows, **{name: self.request.GET.get(name, "") for name in search.fields})
        form = EndpointForm(
            initial={
                "url": endpoint.url,
                "description": endpoint.description,
                "reach": "all" if EVERY_TYPE in endpoint.events else "some",
                "events": endpoint.events,
                "filter": json.dumps(endpoint.filter, ensure_ascii=False) if endpoint.filter else "",
                "ordered": endpoint.ordered,
            }
        )
        return {
            **found,
            "endpoint": endpoint,
            "rows": [(row, ids.encode("evt", row.event_id)) for row in found["rows"]],
            "search": search,
            "types": EVENT_TYPES,
            "form": form,
            "replay": ReplayForm(auto_id="again-%s", initial={"since": wall_clock() - DAY, "status": Which.MISSED}),
            "snippets": snippets(),
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
            asked = form.as_asked()
            self.perform(lambda scope: endpoints.update_endpoint(scope, endpoint_id, **asked))
            return self.done("Saved.", "dashboard-webhook", endpoint_id)

        return self.submit(form, act, {"form": form, "is_editing": True, "kwargs": {"endpoint_id": endpoint_id}})


class EndpointAction(AppPage):
    """What is done to an endpoint by one button: try out, switch, send again, rotate, delete."""

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
            return self.test(endpoint_id)
        if action == "replay":
            return self.replay(endpoint_id)
        if action == "delete":
            self.perform(lambda scope: endpoints.delete_endpoint(scope, endpoint_id))
            return self.done("Deleted. Nothing more is sent there.", "dashboard-webhooks")
        if action not in {"enable", "disable"}:
            raise NotFound
        enabled, catch_up = action == "enable", request.POST.get("replay") == "yes"
        self.perform(lambda scope: replay.change_endpoint(scope, endpoint_id, enabled=enabled, replay_missed=catch_up))
        said = "Switched on." if enabled else "Switched off."
        return self.done(
            f"{said} What it missed is on its way." if catch_up else said, "dashboard-webhook", endpoint_id
        )

    def test(self, endpoint_id: str) -> HttpResponse:
        """Send a made-up event of the type that was chosen."""
        name = self.request.POST.get("type", TEST_TYPE)
        if name not in EVENT_TYPES:
            raise NotFound
        self.perform(lambda scope: events.send_test_event(scope, endpoint_id, type=name))
        return self.done("A test event is on its way.", "dashboard-webhook", endpoint_id)

    def replay(self, endpoint_id: str) -> HttpResponse:
        """Send again what was asked for."""
        form = ReplayForm(self.request.POST)
        if not form.is_valid():
            raise ValidationFailed("Say from when on events are to be sent again.")
        count = self.perform(lambda scope: replay.replay(scope, endpoint_id, **form.as_asked()))
        events_are = "event is" if count == 1 else "events are"
        said = f"{count:,} {events_are} on the way again." if count else "There is nothing to send again in that time."
        return self.done(said, "dashboard-webhook", endpoint_id)

    def rotate(self, endpoint_id: str) -> HttpResponse:
        """Make a new secret and show it, this once."""
        with change(self.scope):
            endpoint = endpoints.rotate_secret(self.scope, endpoint_id)
            context = OneEndpoint.context(self, endpoint_id)  # type: ignore[arg-type]  # both are pages of one endpoint
            return self.show({**context, "made": endpoint, "secret": endpoint.secret})
