"""Coupons, promotion codes, and the discounts that come of applying one."""

import secrets
import string

from billing.stripe.sandbox.catalogue import check_currency, check_free_id
from billing.stripe.sandbox.context import Context, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError, missing_object
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.pricing import discounted, step
from billing.stripe.sandbox.rendering import INCLUDABLE, listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

ALL_PERCENT = 100
CODE_LENGTH = 8


def check_coupon(given: Json) -> None:
    """A coupon takes off a percentage or an amount, and lasts as long as its duration says."""
    if ("percent_off" in given) == ("amount_off" in given):
        message = "You must pass exactly one of percent_off and amount_off."
        raise StripeError(message, param="percent_off")
    if not 0 < given.get("percent_off", ALL_PERCENT) <= ALL_PERCENT:
        message = "Invalid percent_off: must be greater than 0 and at most 100."
        raise StripeError(message, param="percent_off")
    if "amount_off" in given and "currency" not in given:
        raise missing("currency")
    if (given.get("duration") == "repeating") != ("duration_in_months" in given):
        message = "duration_in_months must be passed with a duration of repeating, and only then."
        raise StripeError(message, param="duration_in_months")


@route("POST", "/v1/coupons")
def create_coupon(ctx: Context, given: Json) -> Json:
    """A new coupon."""
    check_coupon(given)
    coupon: Json = {
        "id": check_free_id(ctx, "coupon", given["id"]) if "id" in given else new_id("", CODE_LENGTH)[1:],
        "object": "coupon",
        "amount_off": given.get("amount_off"),
        "created": ctx.now,
        "currency": check_currency(given["currency"]) if "amount_off" in given else None,
        "duration": given.get("duration", "once"),
        "duration_in_months": given.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "name": given.get("name"),
        "percent_off": given.get("percent_off"),
        "redeem_by": given.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
    }
    if "applies_to" in given:
        coupon["_applies_to"] = given["applies_to"]
    return render(ctx, record(ctx, coupon, "coupon.created"), given.get("expand"))


@route("GET", "/v1/coupons")
def list_coupons(ctx: Context, given: Json) -> Json:
    """Coupons of the account."""
    return listing(ctx, "coupon", "/v1/coupons", given, {"_deleted IS NOT": True})


@route("GET", "/v1/coupons/{coupon}")
def retrieve_coupon(ctx: Context, coupon_id: str, given: Json) -> Json:
    """One coupon."""
    return render(ctx, fetch_coupon(ctx, coupon_id, "coupon"), given.get("expand"))


@route("POST", "/v1/coupons/{coupon}")
def update_coupon(ctx: Context, coupon_id: str, given: Json) -> Json:
    """Rename a coupon; what it takes off never changes."""
    coupon = fetch_coupon(ctx, coupon_id, "coupon")
    coupon["name"] = given.get("name", coupon["name"])
    coupon["metadata"] = merge_metadata(coupon["metadata"], given.get("metadata"))
    return render(ctx, record(ctx, coupon, "coupon.updated"), given.get("expand"))


@route("DELETE", "/v1/coupons/{coupon}")
def delete_coupon(ctx: Context, coupon_id: str, given: Json) -> Json:
    """Nobody can redeem the coupon any more; discounts already given stay.

    The row stays too, marked, so that those discounts still know what they take off.
    """
    del given
    coupon = fetch_coupon(ctx, coupon_id, "coupon")
    record(ctx, {**coupon, "valid": False, "_deleted": True}, "coupon.deleted")
    return {"id": coupon_id, "object": "coupon", "deleted": True}


@route("POST", "/v1/promotion_codes")
def create_promotion_code(ctx: Context, given: Json) -> Json:
    """A code that customers type to redeem a coupon; unique among the active ones."""
    if "coupon" not in given["promotion"]:
        raise missing("promotion[coupon]")
    coupon = redeemable(ctx, given["promotion"]["coupon"], "promotion[coupon]")
    random_code = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(CODE_LENGTH))
    code = given.get("code", random_code)
    if find_code(ctx, code):
        message = f"An active promotion code with `code: {code}` already exists."
        raise StripeError(message, code="resource_already_exists", param="code")
    if "customer" in given:
        ctx.fetch("customer", given["customer"], "customer")
    restrictions = given.get("restrictions", {})
    promotion: Json = {
        "id": new_id("promo"),
        "object": "promotion_code",
        "active": given.get("active", True),
        "code": code,
        "created": ctx.now,
        "customer": given.get("customer"),
        "expires_at": given.get("expires_at"),
        "livemode": False,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "promotion": {"type": "coupon", "coupon": coupon["id"]},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": restrictions.get("minimum_amount"),
            "minimum_amount_currency": restrictions.get("minimum_amount_currency"),
        },
        "times_redeemed": 0,
    }
    return render(ctx, record(ctx, promotion, "promotion_code.created"), given.get("expand"))


@route("GET", "/v1/promotion_codes")
def list_promotion_codes(ctx: Context, given: Json) -> Json:
    """Promotion codes of the account; a `code` is compared without regard to case."""
    where: Json = {name: given[name] for name in ("active", "customer") if name in given}
    if "code" in given:
        # One that nobody has is compared as it came, and found by nobody.
        spelt = (each["code"] for each in ctx.select("promotion_code") if each["code"].lower() == given["code"].lower())
        where["code"] = next(spelt, given["code"])
    if "coupon" in given:
        where["promotion.coupon"] = given["coupon"]
    return listing(ctx, "promotion_code", "/v1/promotion_codes", given, where)


@route("GET", "/v1/promotion_codes/{promotion_code}")
def retrieve_promotion_code(ctx: Context, promotion_id: str, given: Json) -> Json:
    """One promotion code."""
    return render(ctx, ctx.fetch("promotion_code", promotion_id, "promotion_code"), given.get("expand"))


@route("POST", "/v1/promotion_codes/{promotion_code}")
def update_promotion_code(ctx: Context, promotion_id: str, given: Json) -> Json:
    """Switch a promotion code on or off."""
    promotion = ctx.fetch("promotion_code", promotion_id, "promotion_code")
    promotion["active"] = given.get("active", promotion["active"])
    promotion["metadata"] = merge_metadata(promotion["metadata"], given.get("metadata"))
    return render(ctx, record(ctx, promotion, "promotion_code.updated"), given.get("expand"))


def find_code(ctx: Context, code: str) -> Json | None:
    """The active promotion code that people type, in whatever case they type it."""
    active = ctx.select("promotion_code", {"active": True})
    return next((each for each in active if each["code"].lower() == code.lower()), None)


def fetch_coupon(ctx: Context, coupon_id: str, param: str) -> Json:
    """A coupon that was not deleted."""
    coupon = ctx.fetch("coupon", coupon_id, param)
    if coupon.get("_deleted"):
        raise missing_object("coupon", coupon_id, param)
    return coupon


def redeemable(ctx: Context, coupon_id: str, param: str) -> Json:
    """A coupon that can still be redeemed."""
    coupon = fetch_coupon(ctx, coupon_id, param)
    used_up = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] < ctx.now
    if used_up or late:
        raise StripeError(f"Coupon {coupon_id} is used up or cannot be applied.", code="coupon_expired", param=param)
    return coupon


def resolve(ctx: Context, asked: list[Json], *, customer: str | None, param: str = "discounts") -> list[Json]:
    """The (coupon, promotion code) pairs that a request names, each checked as redeemable."""
    pairs = []
    for index, each in enumerate(asked):
        promotion = None
        coupon_id, where = each.get("coupon"), f"{param}[{index}][coupon]"
        if "promotion_code" in each:
            where = f"{param}[{index}][promotion_code]"
            promotion = ctx.fetch("promotion_code", each["promotion_code"], where)
            check_promotion(ctx, promotion, customer, where)
            coupon_id = promotion["promotion"]["coupon"]
        if coupon_id is None:
            raise missing(where)
        coupon = redeemable(ctx, coupon_id, where)
        pairs.append({"coupon": coupon["id"], "promotion_code": promotion["id"] if promotion else None})
    return pairs


def check_promotion(ctx: Context, promotion: Json, customer: str | None, param: str) -> None:
    """Refuse a code that is off, late, used up, or meant for somebody else."""
    limit = promotion["max_redemptions"]
    dead = not promotion["active"] or (promotion["expires_at"] or ctx.now) < ctx.now
    if dead or (limit is not None and promotion["times_redeemed"] >= limit):
        message = "This promotion code cannot be redeemed because it is inactive, expired or used up."
        raise StripeError(message, code="promotion_code_expired", param=param)
    if promotion["customer"] not in (None, customer):
        message = "This promotion code cannot be redeemed because it belongs to another customer."
        raise StripeError(message, param=param)
    if promotion["restrictions"]["first_time_transaction"] and customer:
        paid = ctx.select("invoice", {"customer": customer, "status": "paid"})
        if any(invoice["amount_paid"] for invoice in paid):
            message = "This promotion code cannot be redeemed because the associated customer has prior transactions."
            raise StripeError(message, code="customer_not_first_time", param=param)


def apply(ctx: Context, pairs: list[Json], *, customer: str, **holder: str) -> list[str]:
    """Give discounts to a subscription or a session, count the redemptions, and return the discounts' ids."""
    ids = []
    for pair in pairs:
        coupon = ctx.fetch("coupon", pair["coupon"], "coupon")
        months = coupon["duration_in_months"]
        end = step(ctx.now, {"interval": "month", "interval_count": 1}, months) if months else None
        discount: Json = {
            "id": new_id("di"),
            "object": "discount",
            "checkout_session": holder.get("checkout_session"),
            "customer": customer,
            "end": end,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": pair["promotion_code"],
            "source": {"type": "coupon", "coupon": coupon["id"]},
            "start": ctx.now,
            "subscription": holder.get("subscription"),
            "subscription_item": None,
        }
        record(ctx, discount)
        ids.append(discount["id"])
        coupon["times_redeemed"] += 1
        coupon["valid"] = coupon["max_redemptions"] is None or coupon["times_redeemed"] < coupon["max_redemptions"]
        record(ctx, coupon)
        if pair["promotion_code"]:
            promotion = ctx.fetch("promotion_code", pair["promotion_code"])
            record(ctx, {**promotion, "times_redeemed": promotion["times_redeemed"] + 1})
    return ids


def spread(coupons: list[tuple[str, Json]], lines: list[tuple[str, int]]) -> list[list[Json]]:
    """For each (product, amount) line the amounts that each (discount id, coupon) takes off it.

    Coupons apply one after another, each to what the ones before it left; a fixed amount
    is used up line by line, so the parts always add up to the whole.
    """
    parts: list[list[Json]] = [[] for _ in lines]
    left = [amount for _, amount in lines]
    for discount_id, coupon in coupons:
        budget = coupon["amount_off"]
        products = (coupon.get("_applies_to") or {}).get("products")
        for index, (product, _) in enumerate(lines):
            if left[index] <= 0 or (products is not None and product not in products):
                continue
            taken = discounted(coupon, left[index])
            if budget is not None:
                taken = min(taken, budget)
                budget -= taken
            left[index] -= taken
            parts[index].append({"amount": taken, "discount": discount_id})
    return parts


INCLUDABLE["coupon", "applies_to"] = lambda _, coupon: coupon.get("_applies_to")
