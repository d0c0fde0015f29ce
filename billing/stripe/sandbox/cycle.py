"""The billing cycle of a subscription: its first period, the end of its trial, and each renewal."""

from billing.stripe.sandbox.collection import attempt, bill, collect
from billing.stripe.sandbox.context import Context, merge_metadata
from billing.stripe.sandbox.customers import method_for
from billing.stripe.sandbox.discounts import apply
from billing.stripe.sandbox.errors import StripeError, card_declined
from billing.stripe.sandbox.events import emit, record
from billing.stripe.sandbox.invoices import close_unpaid, make_line
from billing.stripe.sandbox.meters import used
from billing.stripe.sandbox.payments import SUCCEEDED
from billing.stripe.sandbox.phases import enter_next
from billing.stripe.sandbox.pricing import amount_of, following, is_metered, step
from billing.stripe.sandbox.standing import end, period_of, save, set_period, shape_item, shape_subscription
from billing.stripe.sandbox.store import Json


def recurring_of(ctx: Context, subscription: Json) -> Json:
    """The interval on which a subscription renews; all its items share one."""
    recurring: Json = ctx.fetch("price", subscription["items"]["data"][0]["price"])["recurring"]
    return recurring


def period_lines(ctx: Context, subscription: Json, *, trial: bool = False) -> list[Json]:
    """Lines that charge each item for the period in force, which costs nothing during a trial."""
    lines = []
    for item in subscription["items"]["data"]:
        price = ctx.fetch("price", item["price"])
        if is_metered(price):
            continue
        product = ctx.find("product", price["product"]) or {"name": price["product"]}
        amount = 0 if trial else amount_of(price, item["quantity"])
        told = f"Trial period for {product['name']}" if trial else f"{item['quantity']} × {product['name']}"
        lines.append(
            make_line(price, item["quantity"], amount, period_of(subscription), item=item["id"], description=told)
        )
    return lines


def usage_lines(ctx: Context, subscription: Json) -> list[Json]:
    """Lines that charge each metered item for what was used in the period that is over."""
    lines = []
    for item in subscription["items"]["data"]:
        price = ctx.fetch("price", item["price"])
        if not is_metered(price) or subscription["status"] == "trialing":
            continue
        period = (item["current_period_start"], item["current_period_end"])
        quantity = used(ctx, price["recurring"]["meter"], subscription["customer"], period)
        product = ctx.find("product", price["product"]) or {"name": price["product"]}
        amount = amount_of(price, quantity)
        if quantity:
            told = f"{quantity} × {price['nickname'] or product['name']}"
            lines.append(make_line(price, quantity, amount, period, item=item["id"], description=told))
    return lines


def bill_last_usage(ctx: Context, subscription: Json) -> None:
    """Charge what was used in the last period of a subscription that ends with it."""
    lines = usage_lines(ctx, subscription)
    if lines:
        customer = ctx.fetch("customer", subscription["customer"])
        invoice = bill(ctx, customer, subscription, lines, reason="subscription_cycle", period=period_of(subscription))
        attempt(ctx, invoice, method_for(ctx, customer, subscription))


def start(
    ctx: Context,
    customer: Json,
    given: Json,
    items: list[Json],
    *,
    discounts: list[Json],
    method: Json | None,
    on_session: bool = False,
) -> Json:
    """A new subscription with its first invoice.

    `items` name prices by id, `discounts` are checked (coupon, promotion code) pairs. The
    subscription ends up trialing, active, or incomplete when the first payment fails;
    `payment_behavior=error_if_incomplete` refuses that instead, and leaves nothing behind.
    """
    first_price = ctx.fetch("price", items[0]["price"])
    subscription = shape_subscription(
        ctx, customer, {**given, "metadata": merge_metadata({}, given.get("metadata"))}, first_price["currency"]
    )
    trial_end = trial_end_of(ctx, given)
    period = (ctx.now, trial_end or step(ctx.now, first_price["recurring"], 1))
    subscription["items"]["data"] = [shape_item(ctx, subscription["id"], each, period) for each in items]
    if trial_end:
        subscription |= {
            "status": "trialing", "trial_start": ctx.now, "trial_end": trial_end, "billing_cycle_anchor": trial_end,
        }  # fmt: skip
    if subscription["cancel_at_period_end"]:
        subscription |= {"cancel_at": period[1], "canceled_at": ctx.now}
    record(ctx, subscription)
    subscription["discounts"] = apply(ctx, discounts, customer=customer["id"], subscription=subscription["id"])
    invoice = bill(
        ctx, customer, subscription, period_lines(ctx, subscription, trial=bool(trial_end)),
        reason="subscription_create", period=(ctx.now, ctx.now),
    )  # fmt: skip
    outcome = first_payment(ctx, invoice, given.get("payment_behavior"), method, on_session=on_session)
    if outcome == SUCCEEDED and not trial_end:
        subscription["status"] = "active"
    if method and (on_session or subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"):
        subscription["default_payment_method"] = method["id"]
    return save(ctx, subscription, "customer.subscription.created")


def trial_end_of(ctx: Context, given: Json) -> int | None:
    """When the trial asked for ends, or nothing."""
    end_at = given.get("trial_end")
    if given.get("trial_period_days"):
        end_at = ctx.now + given["trial_period_days"] * 86400
    if isinstance(end_at, int):
        if end_at <= ctx.now:
            message = "Invalid timestamp: must be an integer Unix timestamp in the future."
            raise StripeError(message, param="trial_end")
        return end_at
    return None


def first_payment(ctx: Context, invoice: Json, behaviour: str | None, method: Json | None, *, on_session: bool) -> str:
    """Take the first payment, as `payment_behavior` says."""
    if invoice["amount_due"] > 0 and behaviour == "default_incomplete":
        return "requires_payment_method"
    if invoice["amount_due"] > 0 and method is None:
        message = (
            "This customer has no attached payment source or default payment method. Please consider adding a"
            " default payment method."
        )
        raise StripeError(message, code="resource_missing")
    outcome = attempt(ctx, invoice, method, on_session=on_session)
    if outcome != SUCCEEDED and behaviour == "error_if_incomplete":
        raise card_declined(keeps_changes=False)
    return outcome


def cycle(ctx: Context, subscription: Json, start_at: int, *, reason: str) -> None:
    """Move into a new period, bill it together with what was left pending, and collect."""
    customer = ctx.fetch("customer", subscription["customer"])
    # What was used while a trial lasted costs nothing.
    metered = [] if subscription["trial_end"] == start_at else usage_lines(ctx, subscription)
    if enter_next(ctx.at(start_at), subscription):
        subscription["billing_cycle_anchor"] = start_at
    recurring = recurring_of(ctx, subscription)
    set_period(subscription, start_at, following(subscription["billing_cycle_anchor"], recurring, start_at))
    pending, subscription["_prorations"] = subscription["_prorations"], []
    before = (subscription.get("_billed_at") or subscription["start_date"], start_at)
    subscription["_billed_at"] = start_at
    invoice = bill(
        ctx,
        customer,
        subscription,
        [*pending, *metered, *period_lines(ctx, subscription)],
        reason=reason,
        period=before,
    )
    save(ctx, subscription)
    paused = subscription["pause_collection"]
    if paused and invoice["amount_due"] > 0:
        if paused["behavior"] != "keep_as_draft":
            close_unpaid(ctx, invoice, "void" if paused["behavior"] == "void" else "uncollectible")
        return
    collect(ctx, invoice)


def renew(ctx: Context, subscription: Json) -> None:
    """The next period begins where the last one ended."""
    cycle(ctx, subscription, period_of(subscription)[1], reason="subscription_cycle")


def end_trial(ctx: Context, subscription: Json, *, reason: str = "subscription_cycle") -> None:
    """The trial is over: the first paid period begins, unless there is nothing to pay with and that ends it."""
    customer = ctx.fetch("customer", subscription["customer"])
    if method_for(ctx, customer, subscription) is None:
        wish = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
        if wish == "cancel":
            end(ctx, subscription, reason="cancellation_requested")
            return
        if wish == "pause":
            subscription["status"] = "paused"
            save(ctx, subscription, "customer.subscription.paused")
            return
    subscription |= {"status": "active", "trial_end": ctx.now, "billing_cycle_anchor": ctx.now}
    cycle(ctx, subscription, ctx.now, reason=reason)


def warn_of_trial_end(ctx: Context, subscription: Json) -> None:
    """Say that the trial is about to end: three days before, or at once when it is shorter."""
    subscription["_trial_warned"] = True
    save(ctx, subscription, None)
    emit(ctx, "customer.subscription.trial_will_end", subscription)
