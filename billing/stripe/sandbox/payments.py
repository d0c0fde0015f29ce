"""Payment intents and charges: one attempt to take money, and what came of it."""

from billing.stripe.sandbox.context import Context, new_id
from billing.stripe.sandbox.customers import CARD, NO_DETAILS
from billing.stripe.sandbox.events import emit, record
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

SUCCEEDED, FAILED, NEEDS_ACTION = "succeeded", "failed", "requires_action"
DECLINED: Json = {
    "code": "card_declined",
    "decline_code": "generic_decline",
    "message": "Your card was declined.",
    "type": "card_error",
}


def make_intent(ctx: Context, *, customer: str | None, amount: int, currency: str, **rest: object) -> Json:
    """Write the intent to take an amount."""
    intent: Json = {
        "id": new_id("pi"),
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "application": ctx.settings.client_id if ctx.is_connected else None,
        "application_fee_amount": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": None,
        "confirmation_method": "automatic",
        "created": ctx.now,
        "currency": currency,
        "customer": customer,
        "description": rest.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": rest.get("metadata") or {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_types": ["card"] if ctx.settings.cardlike else ["link"],
        "status": "requires_payment_method",
        "transfer_data": None,
    }
    return record(ctx, intent, "payment_intent.created")


def method_details(ctx: Context) -> Json:
    """How a charge tells of its payment method: nothing but a type, unless a test asks for card-like data."""
    if not ctx.settings.cardlike:
        return {"type": "link", "link": {"country": None}}
    names = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {"type": "card", "card": {**{name: CARD[name] for name in names}, "network": "visa"}}


def make_charge(ctx: Context, intent: Json, method: Json, *, paid: bool) -> Json:
    """Write one charge of an intent."""
    charge: Json = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid else 0,
        "amount_refunded": 0,
        "application": intent["application"],
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": NO_DETAILS,
        "captured": paid,
        "created": ctx.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": None if paid else DECLINED["code"],
        "failure_message": None if paid else DECLINED["message"],
        "livemode": False,
        "metadata": intent["metadata"],
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": method_details(ctx),
        "receipt_url": None,
        "refunded": False,
        "status": SUCCEEDED if paid else FAILED,
    }
    return record(ctx, charge, "charge.succeeded" if paid else "charge.failed")


def confirm(ctx: Context, intent: Json, method: Json, *, on_session: bool = False) -> str:
    """Try to take the money: succeeded, failed, or the customer has to authenticate first.

    With the customer present (`on_session`) authentication is done on the page itself.
    """
    behaviour = method["_payment"]
    customer = ctx.find("customer", intent["customer"] or "")
    if customer and customer.get("_payment", "succeed") != "succeed":
        behaviour = customer["_payment"]
    intent = {**intent, "payment_method": method["id"], "last_payment_error": None, "next_action": None}

    if behaviour == "authenticate" and not on_session:
        intent |= {"status": NEEDS_ACTION, "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}}
        record(ctx, intent, "payment_intent.requires_action")
        return NEEDS_ACTION

    paid = behaviour != "decline"
    charge = make_charge(ctx, intent, method, paid=paid)
    intent["latest_charge"] = charge["id"]
    if paid:
        intent |= {"status": SUCCEEDED, "amount_received": intent["amount"]}
        record(ctx, intent, "payment_intent.succeeded")
        return SUCCEEDED
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": {**DECLINED, "charge": charge["id"]},
    }
    record(ctx, intent, "payment_intent.payment_failed")
    return FAILED


def cancel_intent(ctx: Context, intent_id: str | None, reason: str) -> None:
    """Give up an intent that took no money."""
    intent = ctx.find("payment_intent", intent_id or "")
    if intent and intent["status"] not in (SUCCEEDED, "canceled"):
        intent |= {"status": "canceled", "canceled_at": ctx.now, "cancellation_reason": reason, "next_action": None}
        record(ctx, intent, "payment_intent.canceled")


@route("GET", "/v1/payment_intents/{intent}")
def retrieve_intent(ctx: Context, intent_id: str, given: Json) -> Json:
    """One payment intent."""
    return render(ctx, ctx.fetch("payment_intent", intent_id, "intent"), given.get("expand"))


@route("GET", "/v1/payment_intents")
def list_intents(ctx: Context, given: Json) -> Json:
    """Payment intents of the account."""
    where = {"customer": given["customer"]} if "customer" in given else None
    return listing(ctx, "payment_intent", "/v1/payment_intents", given, where)


@route("GET", "/v1/charges/{charge}")
def retrieve_charge(ctx: Context, charge_id: str, given: Json) -> Json:
    """One charge."""
    return render(ctx, ctx.fetch("charge", charge_id, "charge"), given.get("expand"))


@route("GET", "/v1/charges")
def list_charges(ctx: Context, given: Json) -> Json:
    """Charges of the account."""
    where: Json = {name: given[name] for name in ("customer", "payment_intent") if name in given}
    return listing(ctx, "charge", "/v1/charges", given, where)


def tell_refund(ctx: Context, charge: Json, amount: int) -> Json:
    """Book a refund on its charge and tell of it."""
    charge = {**charge, "amount_refunded": charge["amount_refunded"] + amount}
    charge["refunded"] = charge["amount_refunded"] >= charge["amount"]
    before = {"amount_refunded": charge["amount_refunded"] - amount}
    ctx.put(charge)
    emit(ctx, "charge.refunded", charge, before)
    return charge
