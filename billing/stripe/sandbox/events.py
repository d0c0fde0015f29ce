"""Events: every change of an object is told once, to whoever subscribed."""

from typing import Any

from billing.stripe.sandbox.context import ID_LENGTH, Context, merge_metadata, new_id
from billing.stripe.sandbox.deliveries import built_in, enqueue
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json


def emit(ctx: Context, event_type: str, body: Json, previous: Json | None = None) -> Json:
    """Record an event on an object and put its deliveries into the queue, in the caller's transaction."""
    data: Json = {"object": render(ctx, body)}
    if previous is not None:
        data["previous_attributes"] = previous
    event: Json = {
        "id": new_id("evt", ID_LENGTH),
        "object": "event",
        "api_version": ctx.settings.api_version,
        "created": ctx.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": ctx.request_id, "idempotency_key": ctx.idempotency_key},
        "type": event_type,
    }
    if ctx.is_connected:
        event["account"] = ctx.account
    event["pending_webhooks"] = enqueue(ctx, event)
    return ctx.put(event)


def record(ctx: Context, body: Json, event_type: str | None = None, *, due: int | None = None) -> Json:
    """Write an object and tell of it.

    An event that ends in `.updated` carries what changed, and is not sent when nothing did.
    """
    before = ctx.find(body["object"], body["id"])
    shown_before = render(ctx, before) if before else None
    ctx.put(body, due=due)
    if event_type is None:
        return body
    previous = None
    if event_type.endswith(".updated") and shown_before is not None:
        shown = render(ctx, body)
        previous = {
            name: value
            for name, value in ((name, shown_before.get(name)) for name in {**shown_before, **shown})
            if shown.get(name) != value
        }
        if not previous:
            return body
    emit(ctx, event_type, body, previous)
    return body


@route("GET", "/v1/events")
def list_events(ctx: Context, given: Json) -> Json:
    """Events of the account, newest first, of one type or several."""
    if "types" in given and "type" in given:
        message = "You may only specify one of these parameters: type, types."
        raise StripeError(message, param="types")
    wanted = given.get("types") or ([given["type"]] if "type" in given else [])
    return listing(ctx, "event", "/v1/events", given, {"type": wanted} if wanted else None)


@route("GET", "/v1/events/{id}")
def retrieve_event(ctx: Context, event_id: str, given: Json) -> Json:
    """One event."""
    return render(ctx, ctx.fetch("event", event_id), given.get("expand"))


@route("POST", "/v1/webhook_endpoints")
def create_endpoint(ctx: Context, given: Json) -> Json:
    """A further endpoint; its secret is shown in this answer only."""
    check_types(given["enabled_events"])
    secret = new_id("whsec", 32)
    endpoint: Json = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": given.get("api_version"),
        "application": None,
        "created": ctx.now,
        "description": given.get("description") or None,
        "enabled_events": given["enabled_events"],
        "livemode": False,
        "metadata": merge_metadata({}, given.get("metadata")),
        "status": "enabled",
        "url": given["url"],
        "_connect": given.get("connect", False),
        "_secret": secret,
    }
    return {**render(ctx, ctx.put(endpoint)), "secret": secret}


def check_types(enabled: list[str]) -> None:
    """Stripe takes the names of events, or one star for all; a star inside a name is refused."""
    for index, name in enumerate(enabled):
        if "*" in name and name != "*":
            raise StripeError(
                f"Invalid enabled_events[{index}]: {name} is no event type.", param=f"enabled_events[{index}]"
            )


@route("GET", "/v1/webhook_endpoints")
def list_endpoints(ctx: Context, given: Json) -> Json:
    """Endpoints of the account; the last page of the platform's ends with the two that are built in."""
    page = listing(ctx, "webhook_endpoint", "/v1/webhook_endpoints", given)
    if not ctx.is_connected and not page["has_more"]:
        page["data"] += [render(ctx, each) for each in built_in(ctx)]
    return page


@route("GET", "/v1/webhook_endpoints/{webhook_endpoint}")
def retrieve_endpoint(ctx: Context, endpoint_id: str, given: Json) -> Json:
    """One endpoint, without its secret."""
    return render(ctx, ctx.fetch("webhook_endpoint", endpoint_id), given.get("expand"))


@route("POST", "/v1/webhook_endpoints/{webhook_endpoint}")
def update_endpoint(ctx: Context, endpoint_id: str, given: Json) -> Json:
    """Change where an endpoint is, what it is sent, or whether it is on."""
    endpoint = ctx.fetch("webhook_endpoint", endpoint_id)
    changes: dict[str, Any] = {name: given[name] for name in ("url", "enabled_events", "description") if name in given}
    if "disabled" in given:
        changes["status"] = "disabled" if given["disabled"] else "enabled"
    check_types(given.get("enabled_events", []))
    endpoint |= changes
    endpoint["metadata"] = merge_metadata(endpoint["metadata"], given.get("metadata"))
    return render(ctx, ctx.put(endpoint), given.get("expand"))


@route("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}")
def delete_endpoint(ctx: Context, endpoint_id: str, given: Json) -> Json:
    """Take an endpoint away."""
    del given
    ctx.fetch("webhook_endpoint", endpoint_id)
    ctx.store.delete(ctx.account, "webhook_endpoint", endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}
