"""Changing what a subscription holds: new items, what the change costs now, and paying for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.stripe.sandbox.collection import bill, collect, stop_retries
from billing.stripe.sandbox.context import Context, merge_metadata
from billing.stripe.sandbox.cycle import period_lines, recurring_of, usage_lines
from billing.stripe.sandbox.errors import StripeError, card_declined
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.invoices import close_unpaid, discounts_in_force, make_line
from billing.stripe.sandbox.payments import SUCCEEDED
from billing.stripe.sandbox.pricing import amount_of, discounted, is_metered, share, step
from billing.stripe.sandbox.standing import INCOMPLETE_SECONDS, end, period_of, save, set_period, shape_item
from billing.stripe.sandbox.store import Json


@dataclass(frozen=True)
class Change:
    """What a change of items comes to: the items after it, the lines that settle it, and whether a period restarts."""

    items: list[Json]
    lines: list[Json]
    restarts: bool


def check_price(
    ctx: Context, price_id: str, param: str, *, renewing_like: Json | None = None, held: Iterable[str] = ()
) -> Json:
    """A price that a subscription may hold: active, recurring, and on the interval of its other items.

    What it holds already it goes on holding, though the price is sold to nobody new.
    """
    price = ctx.fetch("price", price_id, param)
    if not price["active"] and price_id not in held:
        message = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(message, param=param)
    if price["type"] != "recurring":
        message = (
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        )
        raise StripeError(message, param=param)
    if renewing_like and interval(price) != interval(renewing_like):
        message = "Currency and interval fields must match across all prices on this subscription."
        raise StripeError(message, param=param)
    return price


def interval(price: Json) -> tuple[str, int, str]:
    """What all items of a subscription share."""
    return price["recurring"]["interval"], price["recurring"]["interval_count"], price["currency"]


def check_items(ctx: Context, items: list[Json], held: Iterable[str] = ()) -> list[Json]:
    """The items of a subscription, each with a good price and none twice; `held` are those that it has."""
    if not items:
        raise missing("items")
    first: Json | None = None
    seen: set[str] = set()
    for index, item in enumerate(items):
        if "price" not in item:
            raise missing(f"items[{index}][price]")
        price = check_price(ctx, item["price"], f"items[{index}][price]", renewing_like=first, held=held)
        if price["id"] in seen:
            message = f"Cannot add multiple subscription items with the same plan: {price['id']}"
            raise StripeError(message, param="items")
        seen.add(price["id"])
        if is_metered(price) and "quantity" in item:
            message = "You cannot set a quantity for a metered price."
            raise StripeError(message, param=f"items[{index}][quantity]")
        first = first or price
    return items


def changed_items(ctx: Context, subscription: Json, asked: list[Json]) -> list[Json]:
    """The items after a change: those named by id altered or gone, those without an id added."""
    items = {item["id"]: dict(item) for item in subscription["items"]["data"]}
    held = {item["price"] for item in items.values()}
    for index, each in enumerate(asked):
        if "price" in each:
            check_price(ctx, each["price"], f"items[{index}][price]", held=held)
        if "id" not in each:
            if "price" not in each:
                raise missing(f"items[{index}][price]")
            added = shape_item(ctx, subscription["id"], each, period_of(subscription))
            items[added["id"]] = added
            continue
        item = items.get(each["id"])
        if item is None:
            raise StripeError(
                f"No such subscription item: '{each['id']}'", status=404, code="resource_missing",
                param=f"items[{index}][id]",
            )  # fmt: skip
        if each.get("deleted"):
            del items[each["id"]]
            continue
        item |= {name: each[name] for name in ("price", "quantity") if name in each}
        if is_metered(ctx.fetch("price", item["price"])):
            item.pop("quantity", None)
        else:
            item.setdefault("quantity", 1)
        item["metadata"] = merge_metadata(item["metadata"], each.get("metadata"))
    left = list(items.values())
    check_items(ctx, left, held)
    return left


def terms(item: Json) -> tuple[str, int | None]:
    """What an item is charged by."""
    return item["price"], item.get("quantity")


def net(ctx: Context, subscription: Json, item: Json) -> int:
    """What an item costs for a whole period, less what percentage discounts take off."""
    price = ctx.fetch("price", item["price"])
    if is_metered(price):
        return 0
    amount = amount_of(price, item["quantity"])
    for _, coupon in discounts_in_force(ctx, subscription["discounts"]):
        if coupon["percent_off"] is not None:
            amount -= discounted(coupon, amount)
    return amount


def plan(ctx: Context, subscription: Json, given: Json) -> Change:
    """What a change would come to. Nothing is written, so a preview and the change itself agree."""
    before = subscription["items"]["data"]
    after = changed_items(ctx, subscription, given.get("items", []))
    old, new = recurring_of(ctx, subscription), ctx.fetch("price", after[0]["price"])["recurring"]
    old_total = sum(net(ctx, subscription, item) for item in before)
    new_total = sum(net(ctx, subscription, item) for item in after)
    restarts = subscription["status"] != "trialing" and (
        (old["interval"], old["interval_count"]) != (new["interval"], new["interval_count"])
        or given.get("billing_cycle_anchor") == "now"
        or (old_total == 0 and new_total > 0)
    )
    if subscription["status"] == "trialing":
        return Change(after, [], restarts=False)

    begins, ends = period_of(subscription)
    moment = min(max(given.get("proration_date", ctx.now), begins), ends)
    kept = [] if restarts else [terms(item) for item in after]
    was = [terms(item) for item in before]
    gone = [item for item in before if "quantity" in item and terms(item) not in kept]
    come = [item for item in ([] if restarts else after) if "quantity" in item and terms(item) not in was]
    lines = [proration(ctx, subscription, item, (moment, begins, ends), sign=-1) for item in gone]
    lines += [proration(ctx, subscription, item, (moment, begins, ends), sign=1) for item in come]
    if given.get("proration_behavior") == "none":
        lines = []
    return Change(after, [line for line in lines if line["amount"]], restarts=restarts)


def proration(ctx: Context, subscription: Json, item: Json, when: tuple[int, int, int], *, sign: int) -> Json:
    """A credit for unused time (sign −1) or a charge for the time that remains (sign 1)."""
    moment, begins, ends = when
    price = ctx.fetch("price", item["price"])
    product = ctx.find("product", price["product"]) or {"name": price["product"]}
    amount = sign * share(net(ctx, subscription, item), ends - moment, ends - begins)
    told = "Unused time on" if sign < 0 else "Remaining time on"
    quantity = f"{item['quantity']} × " if item["quantity"] > 1 else ""
    return make_line(
        price, item["quantity"], amount, (moment, ends),
        item=item["id"], description=f"{told} {quantity}{product['name']}", proration=True,
    )  # fmt: skip


def change_items(ctx: Context, subscription: Json, given: Json) -> Json:
    """Put a change of items in force, settled as `proration_behavior` and `payment_behavior` say."""
    if subscription["pending_update"]:
        subscription = drop_pending(ctx, subscription, "customer.subscription.updated")
    change = plan(ctx, subscription, given)
    behaviour = given.get("proration_behavior", "create_prorations")
    metered = usage_lines(ctx, subscription) if change.restarts else []
    old_items, old_state = subscription["items"]["data"], (subscription["status"], subscription["billing_cycle_anchor"])
    subscription["items"]["data"] = change.items
    if change.restarts:
        recurring = ctx.fetch("price", change.items[0]["price"])["recurring"]
        subscription["billing_cycle_anchor"] = subscription["_billed_at"] = ctx.now
        set_period(subscription, ctx.now, step(ctx.now, recurring, 1))
        if subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = period_of(subscription)[1]
    elif behaviour == "create_prorations" or not change.lines:
        subscription["_prorations"] = [*subscription["_prorations"], *change.lines]
        return save(ctx, subscription)

    pending, subscription["_prorations"] = subscription["_prorations"], []
    lines = [*pending, *metered, *change.lines, *(period_lines(ctx, subscription) if change.restarts else [])]
    customer = ctx.fetch("customer", subscription["customer"])
    invoice = bill(ctx, customer, subscription, lines, reason="subscription_update", period=(ctx.now, ctx.now))

    payment = given.get("payment_behavior", "allow_incomplete")
    if payment == "pending_if_incomplete" and invoice["amount_due"] > 0:
        hold(ctx, subscription, old_items, old_state)
    save(ctx, subscription)
    if payment == "default_incomplete" and invoice["amount_due"] > 0:
        return subscription
    outcome = collect(ctx, invoice)
    if outcome != SUCCEEDED and payment == "error_if_incomplete":
        raise card_declined(keeps_changes=False)
    return ctx.fetch("subscription", subscription["id"])


def hold(ctx: Context, subscription: Json, old_items: list[Json], old_state: tuple[str, int]) -> None:
    """Keep the old items in force until the invoice for the new ones is paid."""
    subscription["_pending_items"] = subscription["items"]["data"]
    subscription["_pending_anchor"] = subscription["billing_cycle_anchor"]
    subscription["_pending_invoice"] = subscription["latest_invoice"]
    subscription["items"]["data"] = old_items
    subscription["status"], subscription["billing_cycle_anchor"] = old_state
    subscription["pending_update"] = {
        "billing_cycle_anchor": None,
        "expires_at": min(ctx.now + INCOMPLETE_SECONDS, period_of(subscription)[1]),
        "subscription_items": subscription["_pending_items"],
        "trial_end": None,
        "trial_from_plan": None,
    }


def drop_pending(ctx: Context, subscription: Json, event: str = "customer.subscription.pending_update_expired") -> Json:
    """Drop a change that was never paid for, and void its invoice."""
    invoice = ctx.find("invoice", subscription.pop("_pending_invoice", None) or "")
    if invoice and invoice["status"] == "open":
        close_unpaid(ctx, invoice, "void")
    del subscription["_pending_items"]
    return save(ctx, {**subscription, "pending_update": None}, event)


def cancel(ctx: Context, subscription: Json, given: Json) -> Json:
    """End a subscription now; with `prorate` and `invoice_now` the unused time is credited."""
    if given.get("prorate") and subscription["status"] == "active":
        begins, ends = period_of(subscription)
        lines = [
            proration(ctx, subscription, item, (min(max(ctx.now, begins), ends), begins, ends), sign=-1)
            for item in subscription["items"]["data"]
        ]
        customer = ctx.fetch("customer", subscription["customer"])
        if given.get("invoice_now"):
            invoice = bill(ctx, customer, subscription, lines, reason="subscription_update", period=(ctx.now, ctx.now))
            collect(ctx, invoice)
            subscription = ctx.fetch("subscription", subscription["id"])
    details = given.get("cancellation_details", {})
    subscription["cancellation_details"] = {**subscription["cancellation_details"], **details}
    stop_retries(ctx, subscription)
    return end(ctx, subscription, reason="cancellation_requested")
