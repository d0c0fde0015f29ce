"""What a checkout session sells: the things to buy, the rules for asking, and the sum."""

import re

from billing.stripe.sandbox.catalogue import make_price
from billing.stripe.sandbox.changes import check_items
from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.customers import check_email
from billing.stripe.sandbox.discounts import spread
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.pricing import amount_of, is_metered
from billing.stripe.sandbox.store import Json

SHORTEST_SECONDS, LONGEST_SECONDS = 30 * 60, 24 * 3600
SLACK_SECONDS = 60
URL = re.compile(r"https?://[^\s/]+")
EXCLUSIVE = (
    ("customer", "customer_email"), ("discounts", "allow_promotion_codes"), ("customer", "customer_creation"),
)  # fmt: skip
FOREIGN = {
    "payment": ("subscription_data", "payment_method_collection"),
    "subscription": ("payment_intent_data", "customer_creation"),
}
"""Parameters that belong to the other mode."""


def check_session(ctx: Context, given: Json) -> None:
    """Refuse what Stripe refuses: missing parts, wrong URLs, combinations that contradict each other."""
    for name in ("mode", "success_url"):
        if name not in given:
            raise missing(name)
    for name in ("success_url", "cancel_url"):
        if name in given and not URL.match(given[name]):
            raise StripeError("Not a valid URL", code="url_invalid", param=name)
    for one, other in EXCLUSIVE:
        if one in given and other in given:
            raise StripeError(f"You may only specify one of these parameters: {one}, {other}.", param=one)
    for name in FOREIGN[given["mode"]]:
        if name in given:
            raise StripeError(f"You can not pass `{name}` in `{given['mode']}` mode.", param=name)
    check_values(ctx, given)


def check_values(ctx: Context, given: Json) -> None:
    """Refuse an address or a lifetime that cannot be."""
    check_email(given.get("customer_email"), "customer_email")
    lifetime = given.get("expires_at", ctx.now + LONGEST_SECONDS) - ctx.now
    if not SHORTEST_SECONDS - SLACK_SECONDS <= lifetime <= LONGEST_SECONDS:
        raise StripeError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )


def price_for(ctx: Context, mode: str, each: Json, where: str) -> Json:
    """The price of one line: one of the account's active ones, or one made for this session alone."""
    if "price" in each:
        price = ctx.fetch("price", each["price"], f"{where}[price]")
        if not price["active"]:
            raise StripeError(
                "The price specified is inactive. This field only accepts active prices.", param=f"{where}[price]"
            )
        if not ctx.fetch("product", price["product"], f"{where}[price]")["active"]:
            raise StripeError(
                f"Price `{price['id']}` is not available to be purchased because its product is not active.",
                param=f"{where}[price]",
            )
    elif "price_data" in each:
        price = make_price(ctx, {**each["price_data"], "active": False})
    else:
        raise missing(f"{where}[price]")
    if mode == "payment" and price["type"] == "recurring":
        raise StripeError("You specified `payment` mode but passed a recurring price.", param="mode")
    return price


def shape_items(ctx: Context, mode: str, asked: list[Json]) -> list[Json]:
    """The things to buy in Stripe's form, all in one currency."""
    if not asked:
        raise missing("line_items")
    items, prices = [], []
    for index, each in enumerate(asked):
        where = f"line_items[{index}]"
        price = price_for(ctx, mode, each, where)
        quantity = 0 if is_metered(price) else each.get("quantity", 0)
        if is_metered(price) and "quantity" in each:
            message = "You cannot set a quantity for a metered price."
            raise StripeError(message, param=f"{where}[quantity]")
        if quantity < 1 and not is_metered(price):
            raise missing(f"{where}[quantity]")
        prices.append(price)
        items.append(shape_item(ctx, price, quantity))
    if len({price["currency"] for price in prices}) > 1:
        raise StripeError("All line items must have the same currency.", param="line_items")
    if mode == "subscription":
        check_recurring(ctx, asked, prices)
    return items


def shape_item(ctx: Context, price: Json, quantity: int) -> Json:
    """One line of a session."""
    amount = 0 if is_metered(price) else amount_of(price, quantity)
    return {
        "id": new_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": ctx.fetch("product", price["product"])["name"],
        "discounts": [],
        "metadata": {},
        "price": price["id"],
        "quantity": None if is_metered(price) else quantity,
        "taxes": [],
    }


def check_recurring(ctx: Context, asked: list[Json], prices: list[Json]) -> None:
    """A subscription is sold by recurring prices that share an interval."""
    kinds = {price["type"] for price in prices}
    if "recurring" not in kinds:
        raise StripeError(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    if "one_time" in kinds:
        raise StripeError("The sandbox does not mix one-time and recurring prices in one session.", param="line_items")
    named = [each for each in asked if "price" in each]
    if named:
        check_items(ctx, named)


def total_up(ctx: Context, session: Json) -> Json:
    """Add up a session: its items, less what its discounts take off; during a trial nothing is due."""
    items = session["_items"]
    coupons = [(pair["coupon"], ctx.fetch("coupon", pair["coupon"])) for pair in session["_discounts"]]
    products = [ctx.fetch("price", item["price"])["product"] for item in items]
    trial = session["_subscription_data"].get("trial_period_days") or session["_subscription_data"].get("trial_end")
    amounts = [0 if trial else item["amount_subtotal"] for item in items]
    off = spread(coupons, list(zip(products, amounts, strict=True)))
    for item, parts, amount in zip(items, off, amounts, strict=True):
        item["amount_discount"] = sum(part["amount"] for part in parts)
        item["amount_total"] = amount - item["amount_discount"]
    session["amount_subtotal"] = sum(amounts)
    session["amount_total"] = sum(item["amount_total"] for item in items)
    session["total_details"] = {
        "amount_discount": sum(item["amount_discount"] for item in items), "amount_shipping": 0, "amount_tax": 0,
    }  # fmt: skip
    session["discounts"] = [
        {"coupon": None if pair["promotion_code"] else pair["coupon"], "promotion_code": pair["promotion_code"]}
        for pair in session["_discounts"]
    ]
    return session
