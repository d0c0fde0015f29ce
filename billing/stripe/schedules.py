"""What a subscription holds from its next period on, as a schedule at Stripe: it comes even if we are away."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing.stripe.errors import StripeRefused
from billing.stripe.gateway import ConnectedAccount, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.overage import overage_changes
from billing.stripe.shapes import reference
from billing.stripe.translate import main_item
from stackbe.kernel.transactions import change

if TYPE_CHECKING:
    from billing.models import Price
    from stackbe.kernel.scope import Scope

MAKE, SAY, RELEASE = "schedule.create", "schedule.update", "schedule.release"


def schedule_terms(
    scope: Scope, account: ConnectedAccount, body: Json, price: Price, quantity: int, claim_id: UUID | None
) -> None:
    """Have Stripe put a price and quantity in force with a subscription's next period; no money moves before.

    `body` is the subscription as it is now. The item that stands for the plan changes, others stay, and
    so do its discounts. What was scheduled before gives way.
    """
    schedule_id = reference(body.get("schedule")) or _make(scope, account, body["id"], claim_id)
    schedule = account.fetch("subscription_schedule", schedule_id)
    current = schedule["current_phase"] or schedule["phases"][0]
    begun = {"start_date": current["start_date"], "end_date": current["end_date"]}
    if body["status"] == "trialing":
        begun["trial_end"] = body["trial_end"]
    held = (body.get("items") or {}).get("data") or []
    main = main_item(body)
    present = [_as_phase_item(item) for item in held]
    changes = overage_changes(scope, account.id, body, price)
    gone = {each["id"] for each in changes if each.get("deleted")}
    coming = [
        {"price": price.stripe_price_id, "quantity": quantity} if item["id"] == main["id"] else each
        for item, each in zip(held, present, strict=True)
        if item["id"] not in gone
    ] + [each for each in changes if "id" not in each]
    discounts = [{"discount": reference(each)} for each in body.get("discounts") or []]
    kept: Json = {"discounts": discounts} if discounts else {}
    rhythm = {"interval": str(price.interval), "interval_count": price.interval_count}
    params: Json = {
        "end_behavior": "release",
        "phases": [
            {"items": present, **begun, **kept},
            {"items": coming, "duration": rhythm, "proration_behavior": "none", **kept},
        ],
    }
    with change(scope):
        intent = record_intent(scope, SAY, schedule_id, account.id, claim_id=claim_id)
    perform(
        scope, intent, lambda: account.update("subscription_schedule", schedule_id, params, intent=intent)
    )  # fmt: skip
    with change(scope):
        settle(scope, intent, schedule_id)


def release_schedule(scope: Scope, account: ConnectedAccount, body: Json, claim_id: UUID | None) -> bool:
    """Take back what is scheduled for a subscription; say whether there was a schedule. It goes on as it is."""
    schedule_id = reference(body.get("schedule"))
    if not schedule_id:
        return False
    with change(scope):
        intent = record_intent(scope, RELEASE, schedule_id, account.id, claim_id=claim_id)
    try:
        perform(
            scope, intent,
            lambda: account.update("subscription_schedule", schedule_id, {}, intent=intent, action="release"),
        )  # fmt: skip
    except StripeRefused:
        # It let go by itself meanwhile, or somebody released it at Stripe.
        if account.fetch("subscription_schedule", schedule_id).get("status") in {"active", "not_started"}:
            raise
        return True
    with change(scope):
        settle(scope, intent, schedule_id)
    return True


def _as_phase_item(item: Json) -> Json:
    """Return an item as a phase names it. What is metered has no quantity."""
    metered = ((item["price"].get("recurring") or {}) if isinstance(item["price"], dict) else {}).get("usage_type")
    named: Json = {"price": reference(item["price"])}
    return named if metered == "metered" else named | {"quantity": int(item.get("quantity") or 1)}


def _make(scope: Scope, account: ConnectedAccount, stripe_id: str, claim_id: UUID | None) -> str:
    with change(scope):
        intent = record_intent(scope, MAKE, stripe_id, account.id, claim_id=claim_id)
    made = perform(
        scope, intent,
        lambda: account.create("subscription_schedule", {"from_subscription": stripe_id}, intent=intent),
    )  # fmt: skip
    with change(scope):
        settle(scope, intent, made["id"])
    return str(made["id"])
