"""Customers and the payment methods they hold; no method here knows a card."""

import re

from billing.stripe.sandbox.context import Context, absent_if_empty, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import emit, record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
BEHAVIOURS = ("succeed", "decline", "authenticate")
TEST_METHODS = {
    "pm_card_visa": "succeed",
    "pm_card_chargeCustomerFail": "decline",
    "pm_card_authenticationRequired": "authenticate",
}
"""Stripe's documented test payment methods, by what happens when they are charged later."""
NO_DETAILS: Json = {
    "address": dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state")),
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}
CARD: Json = {
    "brand": "visa",
    "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
    "country": "US",
    "display_brand": "visa",
    "exp_month": 12,
    "exp_year": 2034,
    "fingerprint": "Xt5EWLLDS7FJjR1c",
    "funding": "credit",
    "generated_from": None,
    "last4": "4242",
    "networks": {"available": ["visa"], "preferred": None},
    "three_d_secure_usage": {"supported": True},
    "wallet": None,
}
"""What Stripe would tell of a card. Emitted only when a test asks for it, to have something that must not be stored."""


def check_email(email: str | None, param: str) -> None:
    """Refuse what cannot be an address."""
    if email and not EMAIL.fullmatch(email):
        raise StripeError(f"Invalid email address: {email}", code="email_invalid", param=param)


def make_customer(ctx: Context, given: Json) -> Json:
    """Write a new customer."""
    check_email(given.get("email"), "email")
    customer: Json = {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": given.get("address") or None,
        "balance": 0,
        "created": ctx.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description") or None,
        "discount": None,
        "email": given.get("email") or None,
        "invoice_prefix": new_id("", 8)[1:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": merge_metadata({}, given.get("metadata")),
        "name": given.get("name") or None,
        "next_invoice_sequence": 1,
        "phone": given.get("phone") or None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": given.get("tax_exempt") or "none",
        "test_clock": None,
        "_payment": "succeed",
    }
    return record(ctx, customer, "customer.created")


def fetch_customer(ctx: Context, customer_id: str, param: str = "customer") -> Json:
    """A customer that was not deleted."""
    customer = ctx.fetch("customer", customer_id, param)
    if customer.get("deleted"):
        raise StripeError(f"No such customer: '{customer_id}'", code="resource_missing", param=param)
    return customer


@route("POST", "/v1/customers")
def create_customer(ctx: Context, given: Json) -> Json:
    """A new customer, with a payment method attached when one is named."""
    customer = make_customer(ctx, given)
    if "payment_method" in given:
        method = attach(ctx, given["payment_method"], customer)
        customer["invoice_settings"]["default_payment_method"] = method["id"]
        record(ctx, customer)
    return render(ctx, customer, given.get("expand"))


@route("GET", "/v1/customers")
def list_customers(ctx: Context, given: Json) -> Json:
    """Customers of the account; `email` matches exactly."""
    where: Json = {"deleted IS NOT": True}
    if "email" in given:
        where["email"] = given["email"]
    return listing(ctx, "customer", "/v1/customers", given, where)


@route("GET", "/v1/customers/{customer}")
def retrieve_customer(ctx: Context, customer_id: str, given: Json) -> Json:
    """One customer; of a deleted one only that it is deleted."""
    customer = ctx.fetch("customer", customer_id)
    return customer if customer.get("deleted") else render(ctx, customer, given.get("expand"))


@route("POST", "/v1/customers/{customer}")
def update_customer(ctx: Context, customer_id: str, given: Json) -> Json:
    """Change a customer."""
    check_email(given.get("email"), "email")
    customer = fetch_customer(ctx, customer_id)
    for name in ("address", "description", "email", "name", "phone"):
        if name in given:
            customer[name] = absent_if_empty(given[name])
    if "tax_exempt" in given:
        customer["tax_exempt"] = given["tax_exempt"] or "none"
    if "default_payment_method" in given.get("invoice_settings", {}):
        set_default_method(ctx, customer, given["invoice_settings"]["default_payment_method"])
    customer["metadata"] = merge_metadata(customer["metadata"], given.get("metadata"))
    return render(ctx, record(ctx, customer, "customer.updated"), given.get("expand"))


def set_default_method(ctx: Context, customer: Json, method_id: str) -> None:
    """Choose one of the customer's own payment methods for invoices, or none."""
    if method_id:
        method = ctx.fetch("payment_method", method_id, "invoice_settings[default_payment_method]")
        if method["customer"] != customer["id"]:
            message = f"The customer does not have a payment method with the ID {method_id}."
            raise StripeError(message, param="invoice_settings[default_payment_method]")
    customer["invoice_settings"]["default_payment_method"] = method_id or None


def forget_customer(ctx: Context, customer: Json) -> Json:
    """Replace a customer by the mark that it is deleted; the identity is gone from the object."""
    for method in ctx.select("payment_method", {"customer": customer["id"]}):
        ctx.store.delete(ctx.account, "payment_method", method["id"])
    emit(ctx, "customer.deleted", customer)
    return ctx.put({"id": customer["id"], "object": "customer", "deleted": True})


def make_method(ctx: Context, customer: str | None, behaviour: str = "succeed") -> Json:
    """Write a payment method that is a bare token: of type `link`, which has no card to tell of."""
    method: Json = {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": NO_DETAILS,
        "created": ctx.now,
        "customer": customer,
        "livemode": False,
        "metadata": {},
        "type": "card" if ctx.settings.cardlike else "link",
        "_payment": behaviour,
    }
    method |= {"card": CARD} if ctx.settings.cardlike else {"link": {"email": None}}
    return record(ctx, method, "payment_method.attached" if customer else None)


def attach(ctx: Context, method_id: str, customer: Json) -> Json:
    """Give a payment method to a customer; one of Stripe's test tokens becomes a fresh method."""
    if method_id in TEST_METHODS:
        return make_method(ctx, customer["id"], TEST_METHODS[method_id])
    method = ctx.fetch("payment_method", method_id, "payment_method")
    if method["customer"] not in (None, customer["id"]):
        message = "The payment method you provided has already been attached to a customer."
        raise StripeError(message, code="payment_method_already_attached")
    return record(ctx, {**method, "customer": customer["id"]}, "payment_method.attached")


def method_for(ctx: Context, customer: Json, subscription: Json | None = None) -> Json | None:
    """The method that an invoice is charged to: the subscription's, else the customer's default."""
    chosen = (subscription or {}).get("default_payment_method")
    chosen = chosen or customer["invoice_settings"]["default_payment_method"]
    return ctx.find("payment_method", chosen) if chosen else None


@route("GET", "/v1/payment_methods/{payment_method}")
def retrieve_method(ctx: Context, method_id: str, given: Json) -> Json:
    """One payment method."""
    return render(ctx, ctx.fetch("payment_method", method_id, "payment_method"), given.get("expand"))


@route("POST", "/v1/payment_methods/{payment_method}/attach")
def attach_method(ctx: Context, method_id: str, given: Json) -> Json:
    """Attach a payment method to a customer."""
    if "customer" not in given:
        raise missing("customer")
    return render(ctx, attach(ctx, method_id, fetch_customer(ctx, given["customer"])), given.get("expand"))


@route("POST", "/v1/payment_methods/{payment_method}/detach")
def detach_method(ctx: Context, method_id: str, given: Json) -> Json:
    """Take a payment method away from its customer, who no longer pays with it."""
    method = ctx.fetch("payment_method", method_id, "payment_method")
    customer = ctx.find("customer", method["customer"] or "")
    if customer and customer["invoice_settings"]["default_payment_method"] == method_id:
        customer["invoice_settings"]["default_payment_method"] = None
        record(ctx, customer, "customer.updated")
    return render(ctx, record(ctx, {**method, "customer": None}, "payment_method.detached"), given.get("expand"))


@route("GET", "/v1/customers/{customer}/payment_methods")
def list_methods(ctx: Context, customer_id: str, given: Json) -> Json:
    """Payment methods of a customer."""
    fetch_customer(ctx, customer_id)
    return listing(
        ctx, "payment_method", f"/v1/customers/{customer_id}/payment_methods", given, {"customer": customer_id}
    )
