"""Subscription schedules: what a subscription shall hold from its next period on."""

from billing.stripe.sandbox.changes import check_items
from billing.stripe.sandbox.context import Context, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.phases import let_go
from billing.stripe.sandbox.pricing import step
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.standing import ATTACHED, ENDED, SCHEDULE, period_of, quantity_of, save
from billing.stripe.sandbox.store import Json


@route("POST", "/v1/subscription_schedules")
def create_schedule(ctx: Context, given: Json) -> Json:
    """A schedule for a subscription that runs; its one phase is the period in force."""
    if "from_subscription" not in given:
        raise missing("from_subscription")
    subscription = ctx.fetch("subscription", given["from_subscription"], "from_subscription")
    if subscription["status"] in ENDED:
        raise StripeError("You cannot migrate a subscription that is already canceled.", param="from_subscription")
    if subscription["schedule"]:
        held = subscription["schedule"]
        message = f"You cannot migrate a subscription that is already attached to a schedule: {held}"
        raise StripeError(message, param="from_subscription")
    begins, ends = period_of(subscription)
    schedule: Json = {
        "id": new_id("sub_sched"),
        "object": SCHEDULE,
        "application": ctx.settings.client_id if ctx.is_connected else None,
        "billing_mode": subscription["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": ctx.now,
        "current_phase": {"start_date": begins, "end_date": ends},
        "customer": subscription["customer"],
        "default_settings": DEFAULTS,
        "end_behavior": "cancel" if subscription["cancel_at"] else "release",
        "livemode": False,
        "metadata": {},
        "phases": [
            shape_phase(
                subscription,
                [
                    {name: item[name] for name in ("price", "quantity") if name in item}
                    for item in subscription["items"]["data"]
                ],
                (begins, ends),
                discounts=subscription["discounts"],
            )
        ],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": None,
    }
    record(ctx, schedule, "subscription_schedule.created")
    subscription["schedule"] = schedule["id"]
    save(ctx, subscription)
    return render(ctx, schedule, given.get("expand"))


@route("GET", "/v1/subscription_schedules")
def list_schedules(ctx: Context, given: Json) -> Json:
    """Schedules of the account."""
    where = {"customer": given["customer"]} if "customer" in given else None
    return listing(ctx, SCHEDULE, "/v1/subscription_schedules", given, where)


@route("GET", "/v1/subscription_schedules/{schedule}")
def retrieve_schedule(ctx: Context, schedule_id: str, given: Json) -> Json:
    """One schedule."""
    return render(ctx, ctx.fetch(SCHEDULE, schedule_id, "schedule"), given.get("expand"))


@route("POST", "/v1/subscription_schedules/{schedule}")
def update_schedule(ctx: Context, schedule_id: str, given: Json) -> Json:
    """Say anew what comes when. The phase in force is named as it stands; later ones follow it without a gap."""
    schedule = fetch_attached(ctx, schedule_id, "updated")
    subscription = ctx.fetch("subscription", schedule["subscription"])
    if "phases" in given:
        schedule["phases"] = phases_of(ctx, schedule, subscription, given["phases"])
    schedule["end_behavior"] = given.get("end_behavior", schedule["end_behavior"])
    schedule["metadata"] = merge_metadata(schedule["metadata"], given.get("metadata"))
    return render(ctx, record(ctx, schedule, "subscription_schedule.updated"), given.get("expand"))


@route("POST", "/v1/subscription_schedules/{schedule}/release")
def release_schedule(ctx: Context, schedule_id: str, given: Json) -> Json:
    """Let go of the subscription, which goes on as it is."""
    schedule = fetch_attached(ctx, schedule_id, "released")
    subscription = ctx.fetch("subscription", schedule["subscription"])
    let_go(ctx, schedule)
    save(ctx, {**subscription, "schedule": None})
    return render(ctx, schedule, given.get("expand"))


def fetch_attached(ctx: Context, schedule_id: str, done: str) -> Json:
    """A schedule that still has its subscription."""
    schedule = ctx.fetch(SCHEDULE, schedule_id, "schedule")
    if schedule["status"] not in ATTACHED:
        message = (
            f"This subscription schedule cannot be {done} because it is currently in the `{schedule['status']}`"
            " status. Only schedules in a `not_started` or `active` status allow this."
        )
        raise StripeError(message)
    return schedule


def phases_of(ctx: Context, schedule: Json, subscription: Json, asked: list[Json]) -> list[Json]:
    """The phases after an update. Here a phase ends where a period does; Stripe knows other ends too."""
    current = schedule["current_phase"]
    held = {item["price"] for item in subscription["items"]["data"]}
    shaped: list[Json] = []
    for index, phase in enumerate(asked):
        at = f"phases[{index}]"
        if not phase.get("items"):
            raise missing(f"{at}[items]")
        items = [{"price": item["price"], **quantity_of(ctx, item)} for item in check_items(ctx, phase["items"], held)]
        starts: int = shaped[-1]["end_date"] if shaped else current["start_date"]
        if not shaped and phase.get("start_date") != starts:
            message = "You must specify the start date of the current phase as it is."
            raise StripeError(message, param=f"{at}[start_date]")
        if phase.get("start_date", starts) != starts:
            raise StripeError("Phases must follow each other without a gap.", param=f"{at}[start_date]")
        if "end_date" in phase:
            ends = phase["end_date"]
        elif "duration" in phase:
            ends = step(starts, {"interval_count": 1, **phase["duration"]}, 1)
        else:
            raise StripeError("Each phase needs its `end_date` or its `duration`.", param=f"{at}[end_date]")
        if not shaped and ends != current["end_date"]:
            message = "The sandbox ends the current phase with the current period only."
            raise StripeError(message, param=f"{at}[end_date]")
        discounts = [each["discount"] for each in phase.get("discounts") or [] if "discount" in each]
        shaped.append(
            shape_phase(
                subscription, items, (starts, ends),
                discounts=discounts, proration=phase.get("proration_behavior", "create_prorations"),
            )
        )  # fmt: skip
    return shaped


def shape_phase(
    subscription: Json,
    items: list[Json],
    when: tuple[int, int],
    *,
    discounts: list[str],
    proration: str = "create_prorations",
) -> Json:
    """One phase in Stripe's form."""
    trial_end = subscription["trial_end"]
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": subscription["currency"],
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [{"coupon": None, "discount": each, "promotion_code": None} for each in discounts],
        "end_date": when[1],
        "invoice_settings": None,
        "items": [
            {
                "billing_thresholds": None,
                "discounts": [],
                "metadata": {},
                **item,
                "tax_rates": [],
            }
            for item in items
        ],
        "metadata": {},
        "on_behalf_of": None,
        "proration_behavior": proration,
        "start_date": when[0],
        "transfer_data": None,
        "trial_end": trial_end if trial_end and trial_end > when[0] else None,
    }


DEFAULTS: Json = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
    "on_behalf_of": None,
    "transfer_data": None,
}
