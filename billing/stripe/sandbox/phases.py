"""What a schedule does to its subscription: it gives way to the next phase when the present one is over."""

from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.standing import SCHEDULE, period_of, quantity_of, shape_item
from billing.stripe.sandbox.store import Json


def schedule_of(ctx: Context, subscription: Json) -> Json | None:
    """The schedule that a subscription follows, if it follows one."""
    return ctx.find(SCHEDULE, subscription["schedule"]) if subscription["schedule"] else None


def enter_next(ctx: Context, subscription: Json) -> bool:
    """Put the phase in force that begins now, if one does; say whether the billing interval changed.

    A schedule whose last phase is over lets go of its subscription, which goes on as it is.
    """
    schedule = schedule_of(ctx, subscription)
    if schedule is None or schedule["status"] != "active":
        return False
    over = schedule["current_phase"] is not None and schedule["current_phase"]["end_date"] <= ctx.now
    if not over:
        return False
    coming = next((phase for phase in schedule["phases"] if phase["start_date"] >= ctx.now), None)
    if coming is None:
        let_go(ctx, schedule)
        subscription["schedule"] = None
        return False
    before = ctx.fetch("price", subscription["items"]["data"][0]["price"])["recurring"]
    old = subscription["items"]["data"]
    subscription["items"]["data"] = [
        {**rest_of(old[place]), "price": item["price"], **quantity_of(ctx, item)}
        if place < len(old)
        else shape_item(ctx, subscription["id"], item, period_of(subscription))
        for place, item in enumerate(coming["items"])
    ]
    subscription["discounts"] = [each["discount"] for each in coming["discounts"] if each["discount"]]
    schedule["current_phase"] = {"start_date": coming["start_date"], "end_date": coming["end_date"]}
    record(ctx, schedule, "subscription_schedule.updated")
    after = ctx.fetch("price", subscription["items"]["data"][0]["price"])["recurring"]
    return bool((before["interval"], before["interval_count"]) != (after["interval"], after["interval_count"]))


def rest_of(item: Json) -> Json:
    """An item without its price and quantity."""
    return {name: value for name, value in item.items() if name not in ("price", "quantity")}


def let_go(ctx: Context, schedule: Json) -> Json:
    """End a schedule and leave its subscription as it is."""
    schedule |= {
        "status": "released",
        "released_at": ctx.now,
        "released_subscription": schedule["subscription"],
        "subscription": None,
        "current_phase": None,
    }
    return record(ctx, schedule, "subscription_schedule.released")
