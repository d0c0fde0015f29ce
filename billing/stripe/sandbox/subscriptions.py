"""Subscriptions as the API sees them."""

from billing.stripe.sandbox.changes import cancel, change_items, check_items
from billing.stripe.sandbox.collection import abandon
from billing.stripe.sandbox.context import Context, absent_if_empty, merge_metadata
from billing.stripe.sandbox.customers import fetch_customer, method_for
from billing.stripe.sandbox.cycle import cycle, end_trial, start, trial_end_of
from billing.stripe.sandbox.discounts import apply, resolve
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.standing import ENDED, period_of, save, set_period
from billing.stripe.sandbox.store import Json

KIND = "subscription"
AFTER_THE_END = {"metadata", "cancellation_details", "expand"}


@route("POST", "/v1/subscriptions")
def create_subscription(ctx: Context, given: Json) -> Json:
    """A subscription made by the server, paid with the customer's own payment method."""
    if "customer" not in given:
        raise missing("customer")
    customer = fetch_customer(ctx, given["customer"])
    items = check_items(ctx, given.get("items", []))
    pairs = resolve(ctx, given.get("discounts") or [], customer=customer["id"])
    method = method_for(ctx, customer, given)
    return render(ctx, start(ctx, customer, given, items, discounts=pairs, method=method), given.get("expand"))


@route("GET", "/v1/subscriptions")
def list_subscriptions(ctx: Context, given: Json) -> Json:
    """Subscriptions of the account; without a `status` those that have not ended."""
    where: Json = {"customer": given["customer"]} if "customer" in given else {}
    status = given.get("status")
    if status == "ended":
        where["status"] = list(ENDED)
    elif status is None:
        where["status NOT IN"] = list(ENDED)
    elif status != "all":
        where["status"] = status
    if "price" in given:
        where["items.data[0].price"] = given["price"]
    return listing(ctx, KIND, "/v1/subscriptions", given, where)


@route("GET", "/v1/subscriptions/{subscription_exposed_id}")
def retrieve_subscription(ctx: Context, subscription_id: str, given: Json) -> Json:
    """One subscription."""
    return render(ctx, ctx.fetch(KIND, subscription_id), given.get("expand"))


@route("POST", "/v1/subscriptions/{subscription_exposed_id}")
def update_subscription(ctx: Context, subscription_id: str, given: Json) -> Json:
    """Change a subscription: its items, its end, its pause, its trial, its notes."""
    subscription = ctx.fetch(KIND, subscription_id)
    if subscription["status"] in ENDED and not set(given) <= AFTER_THE_END:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise StripeError(message)
    set_plain_fields(ctx, subscription, given)
    set_end(ctx, subscription, given)
    if "trial_end" in given:
        set_trial(ctx, subscription, given)
        subscription = ctx.fetch(KIND, subscription_id)
    if given.get("items") or given.get("billing_cycle_anchor") == "now":
        subscription = change_items(ctx, subscription, given)
    else:
        save(ctx, subscription)
    return render(ctx, subscription, given.get("expand"))


def set_plain_fields(ctx: Context, subscription: Json, given: Json) -> None:
    """Fields that change nothing but themselves."""
    for name in ("description", "pause_collection", "trial_settings"):
        if name in given:
            subscription[name] = absent_if_empty(given[name])
    if subscription["pause_collection"]:
        subscription["pause_collection"] = {"resumes_at": None, **subscription["pause_collection"]}
    if "default_payment_method" in given:
        method = ctx.fetch("payment_method", given["default_payment_method"], "default_payment_method")
        if method["customer"] != subscription["customer"]:
            message = f"The customer does not have a payment method with the ID {method['id']}."
            raise StripeError(message, param="default_payment_method")
        subscription["default_payment_method"] = method["id"]
    if "discounts" in given:
        pairs = resolve(ctx, given["discounts"] or [], customer=subscription["customer"])
        subscription["discounts"] = apply(
            ctx, pairs, customer=subscription["customer"], subscription=subscription["id"]
        )
    details = {name: value or None for name, value in given.get("cancellation_details", {}).items()}
    subscription["cancellation_details"] = {**subscription["cancellation_details"], **details}
    subscription["metadata"] = merge_metadata(subscription["metadata"], given.get("metadata"))


def set_end(ctx: Context, subscription: Json, given: Json) -> None:
    """Let a subscription end with its period or at a date, or take that back."""
    if "cancel_at_period_end" in given and "cancel_at" in given:
        message = "You may only specify one of these parameters: cancel_at_period_end, cancel_at."
        raise StripeError(message, param="cancel_at")
    if subscription["schedule"] and {"cancel_at", "cancel_at_period_end"} & set(given):
        message = (
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any"
            " cancelation behavior directly is not allowed. Please update the schedule instead."
        )
        raise StripeError(message)
    if "cancel_at" in given:
        ends_at = absent_if_empty(given["cancel_at"])
        if ends_at is not None and ends_at <= ctx.now:
            message = "Invalid timestamp: must be an integer Unix timestamp in the future."
            raise StripeError(message, param="cancel_at")
        subscription["cancel_at_period_end"] = False
    elif "cancel_at_period_end" in given:
        subscription["cancel_at_period_end"] = given["cancel_at_period_end"]
        ends_at = period_of(subscription)[1] if given["cancel_at_period_end"] else None
    else:
        return
    subscription["cancel_at"] = ends_at
    subscription["canceled_at"] = (subscription["canceled_at"] or ctx.now) if ends_at else None
    reason = "cancellation_requested" if ends_at else None
    subscription["cancellation_details"] = {**subscription["cancellation_details"], "reason": reason}


def set_trial(ctx: Context, subscription: Json, given: Json) -> None:
    """End the trial now, or let it (or a new one) run to a date."""
    if given["trial_end"] == "now":
        if subscription["status"] == "trialing":
            end_trial(ctx, subscription, reason="subscription_update")
        return
    ends_at = trial_end_of(ctx, given)
    if ends_at is None:
        return
    subscription |= {
        "status": "trialing",
        "trial_start": subscription["trial_start"] or ctx.now,
        "trial_end": ends_at,
        "billing_cycle_anchor": ends_at,
    }
    set_period(subscription, ctx.now, ends_at)
    save(ctx, subscription)


@route("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def cancel_subscription(ctx: Context, subscription_id: str, given: Json) -> Json:
    """End a subscription now. One that has ended is as good as none."""
    subscription = ctx.fetch(KIND, subscription_id)
    if subscription["status"] in ENDED:
        raise StripeError(f"No such subscription: '{subscription_id}'", status=404, code="resource_missing", param="id")
    if subscription["status"] == "incomplete":
        abandon(ctx, subscription)
        return render(ctx, ctx.fetch(KIND, subscription_id), given.get("expand"))
    return render(ctx, cancel(ctx, subscription, given), given.get("expand"))


@route("POST", "/v1/subscriptions/{subscription}/resume")
def resume_subscription(ctx: Context, subscription_id: str, given: Json) -> Json:
    """Resume a subscription that was paused because its trial ended without a payment method."""
    subscription = ctx.fetch(KIND, subscription_id)
    if subscription["status"] != "paused":
        message = "This subscription cannot be resumed because it is not paused."
        raise StripeError(message)
    subscription |= {"status": "active", "billing_cycle_anchor": ctx.now, "trial_end": ctx.now}
    save(ctx, subscription, "customer.subscription.resumed")
    cycle(ctx, subscription, ctx.now, reason="subscription_update")
    return render(ctx, ctx.fetch(KIND, subscription_id), given.get("expand"))
