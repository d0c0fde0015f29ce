"""Where a subscription stands: its shape, its status, and the moments at which the clock looks at it again."""

from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.pricing import is_metered
from billing.stripe.sandbox.rendering import whole_list
from billing.stripe.sandbox.store import Json

INCOMPLETE_SECONDS = 23 * 3600
ENDED = ("canceled", "incomplete_expired")
SCHEDULE = "subscription_schedule"
ATTACHED = ("active", "not_started")
"""Statuses in which a schedule has its subscription."""
RUNNING = ("active", "trialing", "past_due", "unpaid")


def shape_item(ctx: Context, subscription_id: str, given: Json, period: tuple[int, int]) -> Json:
    """One item in Stripe's form; periods stand on the items, not on the subscription."""
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": ctx.now,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": given.get("metadata") or {},
        "price": given["price"],
        **quantity_of(ctx, given),
        "subscription": subscription_id,
        "tax_rates": [],
    }


def quantity_of(ctx: Context, given: Json) -> Json:
    """How many of a price: of what is metered there is no number to say beforehand."""
    return {} if is_metered(ctx.fetch("price", given["price"])) else {"quantity": given.get("quantity", 1)}


def shape_subscription(ctx: Context, customer: Json, given: Json, currency: str) -> Json:
    """A subscription in Stripe's form, before its items and its first invoice."""
    subscription_id = new_id("sub")
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": ctx.settings.client_id if ctx.is_connected else None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": ctx.now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": given.get("billing_mode", {}).get("type", "classic")},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": given.get("cancel_at"),
        "cancel_at_period_end": given.get("cancel_at_period_end", False),
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": ctx.now,
        "currency": currency,
        "customer": customer["id"],
        "days_until_due": None,
        "default_payment_method": given.get("default_payment_method"),
        "default_source": None,
        "default_tax_rates": [],
        "description": given.get("description"),
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": whole_list([], f"/v1/subscription_items?subscription={subscription_id}"),
        "latest_invoice": None,
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": given.get("payment_settings", {}).get("save_default_payment_method", "off"),
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": ctx.now,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": given.get("trial_settings") or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
        "_prorations": [],
    }


def period_of(subscription: Json) -> tuple[int, int]:
    """The period in force."""
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def set_period(subscription: Json, start: int, end: int) -> None:
    """Move every item to a period."""
    for item in subscription["items"]["data"]:
        item["current_period_start"], item["current_period_end"] = start, end


def next_moment(subscription: Json) -> int | None:
    """When something happens to the subscription by itself."""
    status = subscription["status"]
    if status in ENDED:
        return None
    moments = [subscription["cancel_at"]]
    if status == "incomplete":
        moments.append(subscription["created"] + INCOMPLETE_SECONDS)
    if status in RUNNING:
        moments.append(period_of(subscription)[1])
    if status == "trialing" and not subscription.get("_trial_warned"):
        moments.append(max(subscription["trial_end"] - 3 * 86400, subscription["trial_start"]))
    if subscription["pause_collection"]:
        moments.append(subscription["pause_collection"]["resumes_at"])
    if subscription["pending_update"]:
        moments.append(subscription["pending_update"]["expires_at"])
    return min((moment for moment in moments if moment is not None), default=None)


def save(ctx: Context, subscription: Json, event: str | None = "customer.subscription.updated") -> Json:
    """Write a subscription, tell of it, and set the clock's next look at it."""
    return record(ctx, subscription, event, due=next_moment(subscription))


def end(ctx: Context, subscription: Json, *, reason: str | None = None, status: str = "canceled") -> Json:
    """End a subscription now."""
    subscription |= {
        "status": status,
        "ended_at": ctx.now,
        "canceled_at": subscription["canceled_at"] or ctx.now,
        "pending_update": None,
        "_prorations": [],
    }
    if reason:
        subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": reason}
    schedule = ctx.find(SCHEDULE, subscription["schedule"] or "")
    if schedule is not None and schedule["status"] in ATTACHED:
        schedule |= {"status": "canceled", "canceled_at": ctx.now, "current_phase": None}
        record(ctx, schedule, "subscription_schedule.canceled")
    event = "customer.subscription.deleted" if status == "canceled" else "customer.subscription.updated"
    return save(ctx, subscription, event)


def after_payment(ctx: Context, subscription: Json) -> Json:
    """The subscription once its latest invoice is paid."""
    if subscription["status"] in ("incomplete", "past_due", "unpaid"):
        subscription["status"] = "active"
    update = subscription["pending_update"]
    if update:
        subscription["items"]["data"] = subscription.pop("_pending_items")
        subscription["billing_cycle_anchor"] = subscription.pop("_pending_anchor")
        subscription |= {"pending_update": None, "_pending_invoice": None}
    return save(ctx, subscription)


def after_failure(ctx: Context, subscription: Json) -> Json:
    """The subscription once a payment of its latest invoice failed; a first invoice leaves it incomplete."""
    if subscription["status"] == "active" and not subscription["pending_update"]:
        subscription["status"] = "past_due"
    return save(ctx, subscription)
