"""The customer portal: a session, and what a customer may do on its page."""

from billing.stripe.sandbox.changes import change_items
from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.customers import fetch_customer, make_method
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.portal_settings import KIND as SETTINGS
from billing.stripe.sandbox.portal_settings import offered
from billing.stripe.sandbox.pricing import is_metered
from billing.stripe.sandbox.rendering import render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.standing import ENDED, save
from billing.stripe.sandbox.store import Json
from billing.stripe.sandbox.subscriptions import set_end

KIND = "billing_portal.session"


@route("POST", "/v1/billing_portal/sessions")
def create_portal_session(ctx: Context, given: Json) -> Json:
    """A link to the page on which a customer looks after its subscriptions."""
    if "customer" not in given:
        raise missing("customer")
    customer = fetch_customer(ctx, given["customer"])
    flow = given.get("flow_data")
    if flow:
        flow = {"after_completion": {"type": "portal_homepage"}, **flow}
        flow["after_completion"] = {"hosted_confirmation": None, "redirect": None, **flow["after_completion"]}
        for name in ("subscription_cancel", "subscription_update", "subscription_update_confirm"):
            flow.setdefault(name, None)
    if "configuration" in given and not ctx.fetch(SETTINGS, given["configuration"], "configuration")["active"]:
        message = "This configuration is not active."
        raise StripeError(message, param="configuration")
    session: Json = {
        "id": new_id("bps"),
        "object": KIND,
        "configuration": given.get("configuration", "bpc_sandbox"),
        "created": ctx.now,
        "customer": customer["id"],
        "flow": flow,
        "livemode": False,
        "locale": given.get("locale"),
        "on_behalf_of": None,
        "return_url": given.get("return_url"),
    }
    session["url"] = f"{ctx.settings.public_url}/p/session/{session['id']}"
    return render(ctx, record(ctx, session), given.get("expand"))


def subscriptions_of(ctx: Context, session: Json) -> list[tuple[Json, str]]:
    """The customer's live subscriptions, each with the name of what it is for."""
    found = []
    for subscription in ctx.select("subscription", {"customer": session["customer"]}):
        if subscription["status"] not in ENDED:
            price = ctx.fetch("price", subscription["items"]["data"][0]["price"])
            found.append((subscription, ctx.fetch("product", price["product"])["name"]))
    return found


def own(ctx: Context, session: Json, subscription_id: str) -> Json:
    """One of the customer's subscriptions that has not ended."""
    subscription = ctx.fetch("subscription", subscription_id)
    if subscription["customer"] != session["customer"] or subscription["status"] in ENDED:
        message = "This subscription cannot be changed here."
        raise StripeError(message)
    return subscription


def offers(ctx: Context, session: Json, subscription: Json) -> list[tuple[Json, str]]:
    """The prices that a subscription may be switched to, each with the name of what it is for.

    As at Stripe, nothing is offered to one that is not paid up, or whose change is planned by a schedule.
    """
    if subscription["status"] not in ("active", "trialing") or subscription["schedule"]:
        return []
    held = {item["price"] for item in subscription["items"]["data"]}
    allowed = offered(ctx, session)
    found = []
    for price in ctx.select("price", {"type": "recurring", "currency": subscription["currency"]}):
        product = ctx.fetch("product", price["product"])
        if allowed is not None and price["id"] not in allowed:
            continue
        if price["active"] and product["active"] and price["id"] not in held and not is_metered(price):
            found.append((price, product["name"]))
    return found


def switching(ctx: Context, session: Json, subscription_id: str, price_id: str) -> None:
    """Give one of the customer's subscriptions another price now; the difference is charged for at once."""
    subscription = own(ctx, session, subscription_id)
    if price_id not in [price["id"] for price, _ in offers(ctx, session, subscription)]:
        message = "This plan is not offered here."
        raise StripeError(message)
    items = [{"id": subscription["items"]["data"][0]["id"], "price": price_id}]
    change_items(ctx, subscription, {"items": items, "proration_behavior": "always_invoice"})


def renewing(ctx: Context, session: Json, subscription_id: str, *, renews: bool) -> None:
    """Let one of the customer's subscriptions end with its period, or go on."""
    subscription = own(ctx, session, subscription_id)
    set_end(ctx, subscription, {"cancel_at_period_end": not renews})
    save(ctx, subscription)


def new_method(ctx: Context, session: Json) -> None:
    """Give the customer another payment method, one that works, and use it from now on."""
    customer = fetch_customer(ctx, session["customer"])
    customer["invoice_settings"]["default_payment_method"] = make_method(ctx, customer["id"])["id"]
    record(ctx, {**customer, "_payment": "succeed"}, "customer.updated")
    for subscription, _ in subscriptions_of(ctx, session):
        if subscription["default_payment_method"]:
            save(ctx, {**subscription, "default_payment_method": None})
