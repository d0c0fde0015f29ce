"""Products and prices."""

from typing import Any

from billing.stripe.sandbox.context import Context, absent_if_empty, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.rendering import INCLUDABLE, listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

CURRENCY_LETTERS = 3
LONGEST_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}


def check_free_id(ctx: Context, kind: str, object_id: str) -> str:
    """An id that the caller chose, when it is still free under this account."""
    if ctx.find(kind, object_id):
        raise StripeError(f"{kind.capitalize()} already exists.", code="resource_already_exists", param="id")
    return object_id


def make_product(ctx: Context, given: Json) -> Json:
    """Write a new product."""
    product: Json = {
        "id": check_free_id(ctx, "product", given["id"]) if "id" in given else new_id("prod", 14),
        "object": "product",
        "active": given.get("active", True),
        "created": ctx.now,
        "default_price": None,
        "description": given.get("description"),
        "images": given.get("images", []),
        "livemode": False,
        "marketing_features": given.get("marketing_features", []),
        "metadata": merge_metadata({}, given.get("metadata")),
        "name": given["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": given.get("statement_descriptor"),
        "tax_code": given.get("tax_code"),
        "unit_label": given.get("unit_label"),
        "updated": ctx.now,
        "url": given.get("url"),
    }
    return record(ctx, product, "product.created")


@route("POST", "/v1/products")
def create_product(ctx: Context, given: Json) -> Json:
    """A new product, under an id of the caller's choice if one is given."""
    return render(ctx, make_product(ctx, given), given.get("expand"))


@route("GET", "/v1/products")
def list_products(ctx: Context, given: Json) -> Json:
    """Products of the account."""
    where: Json = {"active": given["active"]} if "active" in given else {}
    if "ids" in given:
        where["id"] = given["ids"]
    return listing(ctx, "product", "/v1/products", given, where)


@route("GET", "/v1/products/{id}")
def retrieve_product(ctx: Context, product_id: str, given: Json) -> Json:
    """One product."""
    return render(ctx, ctx.fetch("product", product_id), given.get("expand"))


@route("POST", "/v1/products/{id}")
def update_product(ctx: Context, product_id: str, given: Json) -> Json:
    """Change a product; `active=false` archives it."""
    product = ctx.fetch("product", product_id)
    for name in ("active", "description", "name", "statement_descriptor", "tax_code", "unit_label", "url"):
        if name in given:
            product[name] = absent_if_empty(given[name])
    for name in ("images", "marketing_features"):
        if name in given:
            product[name] = given[name] or []
    if "default_price" in given:
        price = ctx.fetch("price", given["default_price"], "default_price")
        if price["product"] != product_id:
            message = "The price does not belong to the product."
            raise StripeError(message, param="default_price")
        product["default_price"] = price["id"]
    product["metadata"] = merge_metadata(product["metadata"], given.get("metadata"))
    product["updated"] = ctx.now
    return render(ctx, record(ctx, product, "product.updated"), given.get("expand"))


@route("DELETE", "/v1/products/{id}")
def delete_product(ctx: Context, product_id: str, given: Json) -> Json:
    """Delete a product that no price refers to."""
    del given
    product = ctx.fetch("product", product_id)
    if ctx.select("price", {"product": product_id}):
        message = "This product cannot be deleted because it has one or more user-created prices."
        raise StripeError(message)
    record_deleted(ctx, product, "product.deleted")
    return {"id": product_id, "object": "product", "deleted": True}


def record_deleted(ctx: Context, body: Json, event_type: str) -> None:
    """Tell of an object that is gone, as it last was."""
    record(ctx, body, event_type)
    ctx.store.delete(ctx.account, body["object"], body["id"])


def check_currency(currency: str) -> str:
    """A three-letter currency in lower case."""
    if len(currency) != CURRENCY_LETTERS or not currency.isalpha():
        raise StripeError(
            f"Invalid currency: {currency}. Stripe currently supports three-letter ISO codes.", param="currency"
        )
    return currency.lower()


def shape_recurring(ctx: Context, given: Json | None) -> Json | None:
    """The `recurring` part of a price."""
    if given is None:
        return None
    if given.get("interval_count", 1) > LONGEST_INTERVALS[given["interval"]]:
        message = "The interval of a price may be at most three years."
        raise StripeError(message, param="recurring[interval_count]")
    usage_type = given.get("usage_type", "licensed")
    if (usage_type == "metered") != ("meter" in given):
        message = "A metered price has a meter, and only a metered price has one."
        raise StripeError(message, param="recurring[meter]")
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": ctx.fetch("billing.meter", given["meter"], "recurring[meter]")["id"] if "meter" in given else None,
        "usage_type": usage_type,
    }


def shape_tier(tier: Json) -> Json:
    """One tier, with the decimal forms that Stripe adds; the last one has no upper end."""
    unit, flat = tier.get("unit_amount"), tier.get("flat_amount")
    if unit is None and flat is None and "unit_amount_decimal" not in tier:
        message = "Each tier must have a unit_amount or a flat_amount."
        raise StripeError(message, param="tiers")
    return {
        "flat_amount": flat,
        "flat_amount_decimal": tier.get("flat_amount_decimal") or decimal_of(flat),
        "unit_amount": unit,
        "unit_amount_decimal": tier.get("unit_amount_decimal") or decimal_of(unit),
        "up_to": None if tier["up_to"] == "inf" else tier["up_to"],
    }


def decimal_of(amount: int | None) -> str | None:
    """The decimal form of a whole amount."""
    return None if amount is None else str(amount)


def check_tiers(tiers: list[Json]) -> list[Json]:
    """Tiers that climb and end in one without an upper end."""
    ends = [tier["up_to"] for tier in tiers]
    if not tiers or ends[-1] is not None or None in ends[:-1] or ends[:-1] != sorted(set(ends[:-1])):
        message = "The tiers must be in ascending order of up_to, and the last one must be 'inf'."
        raise StripeError(message, param="tiers")
    return tiers


def price_amounts(given: Json) -> Json:
    """The parts of a price that say how much, by its scheme."""
    if given.get("billing_scheme") == "tiered":
        for name in ("tiers", "tiers_mode"):
            if name not in given:
                raise missing(name)
        if given.get("unit_amount") is not None or "transform_quantity" in given:
            message = "You cannot set unit_amount or transform_quantity on a tiered price."
            raise StripeError(message, param="unit_amount")
        tiers = check_tiers([shape_tier(tier) for tier in given["tiers"]])
        return {"unit_amount": None, "unit_amount_decimal": None, "_tiers": tiers, "tiers_mode": given["tiers_mode"]}
    amount, exact = given.get("unit_amount"), given.get("unit_amount_decimal")
    if amount is None and exact is None:
        raise missing("unit_amount")
    if amount is None and exact is not None and exact.isdigit():
        amount = int(exact)
    return {"unit_amount": amount, "unit_amount_decimal": exact or decimal_of(amount), "tiers_mode": None}


def make_price(ctx: Context, given: Json) -> Json:
    """Write a new price, with a product of its own when `product_data` asks for one."""
    if "product" in given:
        product = ctx.fetch("product", given["product"], "product")
    elif "product_data" in given:
        product = make_product(ctx, given["product_data"])
    else:
        raise missing("product")
    recurring = shape_recurring(ctx, given.get("recurring"))
    price: Json = {
        "id": new_id("price"),
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": given.get("billing_scheme", "per_unit"),
        "created": ctx.now,
        "currency": check_currency(given["currency"]),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": take_lookup_key(ctx, given),
        "metadata": merge_metadata({}, given.get("metadata")),
        "nickname": given.get("nickname"),
        "product": product["id"],
        "recurring": recurring,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "transform_quantity": given.get("transform_quantity"),
        "type": "recurring" if recurring else "one_time",
        **price_amounts(given),
    }
    return record(ctx, price, "price.created")


def take_lookup_key(ctx: Context, given: Json) -> Any:
    """The lookup key asked for: free, or taken over from its holder when `transfer_lookup_key` says so."""
    key = given.get("lookup_key")
    for holder in ctx.select("price", {"lookup_key": key}) if key else []:
        if not given.get("transfer_lookup_key"):
            raise StripeError(f"A price (`{holder['id']}`) already uses that lookup key.", param="lookup_key")
        record(ctx, {**holder, "lookup_key": None}, "price.updated")
    return key


@route("POST", "/v1/prices")
def create_price(ctx: Context, given: Json) -> Json:
    """A new price: flat, per unit, by package (`transform_quantity`) or by tiers."""
    return render(ctx, make_price(ctx, given), given.get("expand"))


@route("GET", "/v1/prices")
def list_prices(ctx: Context, given: Json) -> Json:
    """Prices of the account, by product, lookup key, currency, type or interval."""
    where: Json = {name: given[name] for name in ("active", "currency", "product", "type") if name in given}
    if "lookup_keys" in given:
        where["lookup_key"] = given["lookup_keys"]
    if "recurring" in given and "interval" in given["recurring"]:
        where["recurring.interval"] = given["recurring"]["interval"]
    return listing(ctx, "price", "/v1/prices", given, where)


@route("GET", "/v1/prices/{price}")
def retrieve_price(ctx: Context, price_id: str, given: Json) -> Json:
    """One price."""
    return render(ctx, ctx.fetch("price", price_id), given.get("expand"))


@route("POST", "/v1/prices/{price}")
def update_price(ctx: Context, price_id: str, given: Json) -> Json:
    """Change what may change on a price; amounts never do, `active=false` archives it."""
    price = ctx.fetch("price", price_id)
    if "lookup_key" in given and given["lookup_key"] != price["lookup_key"]:
        price["lookup_key"] = take_lookup_key(ctx, given)
    for name in ("active", "nickname", "tax_behavior"):
        if name in given:
            price[name] = given[name]
    price["metadata"] = merge_metadata(price["metadata"], given.get("metadata"))
    return render(ctx, record(ctx, price, "price.updated"), given.get("expand"))


INCLUDABLE["price", "tiers"] = lambda _, price: price.get("_tiers")
