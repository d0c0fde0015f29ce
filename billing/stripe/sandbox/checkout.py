"""Checkout sessions: the page on which a customer pays, and what paying makes."""

from billing.stripe.sandbox.basket import LONGEST_SECONDS, check_session, shape_items, total_up
from billing.stripe.sandbox.context import LONG_ID_LENGTH, Context, merge_metadata, new_id
from billing.stripe.sandbox.customers import NO_DETAILS, fetch_customer, make_customer, make_method
from billing.stripe.sandbox.cycle import start
from billing.stripe.sandbox.discounts import check_promotion, find_code, redeemable, resolve
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.payments import confirm, make_intent
from billing.stripe.sandbox.rendering import INCLUDABLE, listing, render, whole_list
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

KIND = "checkout.session"
PLACEHOLDER = "{CHECKOUT_SESSION_ID}"


@route("POST", "/v1/checkout/sessions")
def create_session(ctx: Context, given: Json) -> Json:
    """A page on which a customer pays."""
    check_session(ctx, given)
    customer = fetch_customer(ctx, given["customer"]) if "customer" in given else None
    mode, session_id = given["mode"], new_id("cs_test", LONG_ID_LENGTH)
    email = customer["email"] if customer else given.get("customer_email")
    items = shape_items(ctx, mode, given.get("line_items", []))
    session: Json = {
        "id": session_id,
        "object": KIND,
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "automatic_tax": automatic_tax(given),
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": ctx.now,
        "currency": items[0]["currency"],
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        "customer": customer["id"] if customer else None,
        "customer_creation": given.get("customer_creation", "always" if mode == "subscription" else "if_required")
        if not customer else None,
        "customer_details": {**NO_DETAILS_OF_SESSION, "email": email} if email else None,
        "customer_email": given.get("customer_email"),
        "expires_at": given.get("expires_at", ctx.now + LONGEST_SECONDS),
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "locale": given.get("locale"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "mode": mode,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": given.get("payment_method_collection", "always"),
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"] if ctx.settings.cardlike else ["link"],
        "payment_status": "unpaid",
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "redirect_on_completion": "always",
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "ui_mode": "hosted_page",
        "url": f"{ctx.settings.public_url}/c/pay/{session_id}",
        "_items": items,
        "_discounts": resolve(ctx, given.get("discounts", []), customer=given.get("customer")),
        "_subscription_data": given.get("subscription_data", {}),
        "_intent_data": given.get("payment_intent_data", {}),
    }  # fmt: skip
    total_up(ctx, session)
    return render(ctx, record(ctx, session, due=session["expires_at"]), given.get("expand"))


def automatic_tax(given: Json) -> Json:
    """Whether taxes are worked out; the sandbox has none to work out, so they come to nothing."""
    if not given.get("automatic_tax", {}).get("enabled"):
        return {"enabled": False, "liability": None, "provider": None, "status": None}
    return {"enabled": True, "liability": {"type": "self"}, "provider": "stripe", "status": "complete"}


NO_DETAILS_OF_SESSION: Json = {
    "address": NO_DETAILS["address"],
    "business_name": None,
    "email": None,
    "individual_name": None,
    "name": None,
    "phone": None,
    "tax_exempt": "none",
    "tax_ids": [],
}


@route("GET", "/v1/checkout/sessions")
def list_sessions(ctx: Context, given: Json) -> Json:
    """Sessions of the account."""
    where: Json = {
        name: given[name] for name in ("customer", "payment_intent", "status", "subscription") if name in given
    }
    return listing(ctx, KIND, "/v1/checkout/sessions", given, where)


@route("GET", "/v1/checkout/sessions/{session}")
def retrieve_session(ctx: Context, session_id: str, given: Json) -> Json:
    """One session."""
    return render(ctx, ctx.fetch(KIND, session_id, "session"), given.get("expand"))


@route("POST", "/v1/checkout/sessions/{session}")
def update_session(ctx: Context, session_id: str, given: Json) -> Json:
    """Change a session's metadata."""
    session = ctx.fetch(KIND, session_id, "session")
    session["metadata"] = merge_metadata(session["metadata"], given.get("metadata"))
    due = session["expires_at"] if session["status"] == "open" else None
    return render(ctx, record(ctx, session, due=due), given.get("expand"))


@route("GET", "/v1/checkout/sessions/{session}/line_items")
def list_line_items(ctx: Context, session_id: str, given: Json) -> Json:
    """What a session sells."""
    session = ctx.fetch(KIND, session_id, "session")
    url = f"/v1/checkout/sessions/{session_id}/line_items"
    expand = [path.removeprefix("data.") for path in given.get("expand", [])]
    return whole_list([render(ctx, item, expand) for item in session["_items"]], url)


@route("POST", "/v1/checkout/sessions/{session}/expire")
def expire_session(ctx: Context, session_id: str, given: Json) -> Json:
    """Close an open session, so that nobody pays on it any more."""
    session = ctx.fetch(KIND, session_id, "session")
    if session["status"] != "open":
        message = (
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a'
            f" status of {session['status']}."
        )
        raise StripeError(message)
    return render(ctx, expire(ctx, session), given.get("expand"))


def expire(ctx: Context, session: Json) -> Json:
    """The session's time is over."""
    return record(ctx, {**session, "status": "expired"}, "checkout.session.expired")


def redeem_code(ctx: Context, session: Json, code: str) -> Json:
    """Put the promotion code that was typed on the page on the session."""
    promotion = find_code(ctx, code.strip()) if session["allow_promotion_codes"] else None
    if promotion is None:
        message = "This code is invalid."
        raise StripeError(message, param="promotion_code")
    check_promotion(ctx, promotion, session["customer"], "promotion_code")
    coupon = redeemable(ctx, promotion["promotion"]["coupon"], "promotion_code")
    session["_discounts"] = [{"coupon": coupon["id"], "promotion_code": promotion["id"]}]
    return record(ctx, total_up(ctx, session), due=session["expires_at"])


def payer_of(ctx: Context, session: Json, email: str) -> Json:
    """The session's customer, made now when it has none yet."""
    if session["customer"]:
        return fetch_customer(ctx, session["customer"])
    return make_customer(ctx, {"email": session["customer_email"] or email})


def needs_method(session: Json) -> bool:
    """Whether the page has to collect a way to pay."""
    return bool(session["amount_total"] > 0 or session["payment_method_collection"] == "always")


def pay(ctx: Context, session: Json, email: str) -> Json:
    """Complete a session: customer, payment, subscription and invoice come to be, and events tell of them."""
    customer = payer_of(ctx, session, email)
    method = make_method(ctx, customer["id"]) if needs_method(session) else None
    if method and not customer["invoice_settings"]["default_payment_method"]:
        customer["invoice_settings"]["default_payment_method"] = method["id"]
        record(ctx, customer)
    session["customer"] = customer["id"]
    session["customer_details"] = {**NO_DETAILS_OF_SESSION, "email": customer["email"] or email}
    if session["mode"] == "subscription":
        items = [
            {name: item[name] for name in ("price", "quantity") if item[name] is not None} for item in session["_items"]
        ]
        given = {**session["_subscription_data"], "payment_behavior": "error_if_incomplete"}
        subscription = start(
            ctx, customer, given, items, discounts=session["_discounts"], method=method, on_session=True
        )
        session["subscription"], session["invoice"] = subscription["id"], subscription["latest_invoice"]
    elif session["amount_total"] > 0 and method:
        intent = make_intent(
            ctx, customer=customer["id"], amount=session["amount_total"], currency=session["currency"],
            **session["_intent_data"],
        )  # fmt: skip
        if confirm(ctx, intent, method, on_session=True) != "succeeded":
            message = "Your card was declined."
            raise StripeError(message, status=402, kind="card_error", code="card_declined")
        session["payment_intent"] = intent["id"]
    session["status"] = "complete"
    session["payment_status"] = "paid" if session["amount_total"] > 0 else "no_payment_required"
    return record(ctx, session, "checkout.session.completed")


def decline(ctx: Context, session: Json) -> None:
    """Leave what a refused payment leaves at Stripe: a failed attempt, and a session that is still open."""
    if not session["amount_total"]:
        return
    intent = make_intent(
        ctx, customer=session["customer"], amount=session["amount_total"], currency=session["currency"]
    )
    method = {"id": new_id("pm"), "_payment": "decline"}
    confirm(ctx, intent, method, on_session=True)


INCLUDABLE[KIND, "line_items"] = lambda _, session: whole_list(
    session["_items"], f"/v1/checkout/sessions/{session['id']}/line_items"
)
