"""Billing meters: what a customer used, told as it happens, and charged when the period is over."""

from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

METER, EVENT = "billing.meter", "billing.meter_event"
OLDEST_SECONDS, NEWEST_SECONDS = 35 * 86400, 300


@route("POST", "/v1/billing/meters")
def create_meter(ctx: Context, given: Json) -> Json:
    """A meter; the name of its events is its own."""
    if ctx.select(METER, {"event_name": given["event_name"], "status": "active"}):
        message = f"A meter with the event name `{given['event_name']}` exists already."
        raise StripeError(message, param="event_name")
    meter: Json = {
        "id": new_id("mtr"),
        "object": METER,
        "created": ctx.now,
        "customer_mapping": given.get("customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}),
        "default_aggregation": given["default_aggregation"],
        "display_name": given["display_name"],
        "event_name": given["event_name"],
        "event_time_window": None,
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": ctx.now,
        "value_settings": given.get("value_settings", {"event_payload_key": "value"}),
    }
    return render(ctx, record(ctx, meter), given.get("expand"))


@route("GET", "/v1/billing/meters")
def list_meters(ctx: Context, given: Json) -> Json:
    """Meters of the account."""
    where = {"status": given["status"]} if "status" in given else None
    return listing(ctx, METER, "/v1/billing/meters", given, where)


@route("GET", "/v1/billing/meters/{id}")
def retrieve_meter(ctx: Context, meter_id: str, given: Json) -> Json:
    """One meter."""
    return render(ctx, ctx.fetch(METER, meter_id), given.get("expand"))


@route("POST", "/v1/billing/meter_events")
def create_event(ctx: Context, given: Json) -> Json:
    """Something that was used. An identifier counts once."""
    meters = ctx.select(METER, {"event_name": given["event_name"], "status": "active"})
    if not meters:
        message = f"No active meter found for event name `{given['event_name']}`."
        raise StripeError(message, param="event_name")
    meter, payload = meters[0], given["payload"]
    customer = payload.get(meter["customer_mapping"]["event_payload_key"], "")
    if ctx.find("customer", customer) is None:
        message = "The payload must name a customer of this account."
        raise StripeError(message, param="payload")
    value = payload.get(meter["value_settings"]["event_payload_key"], "")
    if not value.lstrip("-").isdigit():
        message = "The payload must hold a whole number as its value."
        raise StripeError(message, param="payload")
    moment = given.get("timestamp", ctx.now)
    if not ctx.now - OLDEST_SECONDS <= moment <= ctx.now + NEWEST_SECONDS:
        message = "The timestamp must lie within the past 35 calendar days or up to 5 minutes in the future."
        raise StripeError(message, param="timestamp")
    identifier = given.get("identifier") or new_id("mev")
    if ctx.find(EVENT, identifier):
        message = f"An event already exists with identifier {identifier}."
        raise StripeError(message, param="identifier", code="resource_already_exists")
    event: Json = {
        "id": identifier,
        "object": EVENT,
        "created": ctx.now,
        "event_name": given["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": payload,
        "timestamp": moment,
        "_meter": meter["id"],
        "_customer": customer,
        "_value": int(value),
    }
    shown: Json = render(ctx, ctx.put(event), given.get("expand"))
    del shown["id"]  # A meter event has none of its own.
    return shown


def used(ctx: Context, meter_id: str, customer_id: str, period: tuple[int, int]) -> int:
    """What a customer used of a meter in a period, by the meter's formula, never less than nothing."""
    meter = ctx.fetch(METER, meter_id)
    where = {"_meter": meter_id, "_customer": customer_id, "timestamp >=": period[0], "timestamp <": period[1]}
    events = sorted(ctx.select(EVENT, where), key=lambda event: event["timestamp"])
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return len(events)
    if formula == "last":
        return max(int(events[-1]["_value"]), 0) if events else 0
    return max(sum(int(event["_value"]) for event in events), 0)
