"""Money that goes back: refunds, and disputes in which the bank takes it."""

from billing.stripe.sandbox.context import Context, merge_metadata, new_id
from billing.stripe.sandbox.errors import StripeError
from billing.stripe.sandbox.events import record
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.payments import tell_refund
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.store import Json

EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
ANSWER_DAYS = 7


@route("POST", "/v1/refunds")
def create_refund(ctx: Context, given: Json) -> Json:
    """Give back all of a charge, or part of it."""
    if "charge" in given:
        charge = ctx.fetch("charge", given["charge"], "charge")
    elif "payment_intent" in given:
        intent = ctx.fetch("payment_intent", given["payment_intent"], "payment_intent")
        if intent["status"] != "succeeded":
            message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
            raise StripeError(message, param="payment_intent")
        charge = ctx.fetch("charge", intent["latest_charge"], "charge")
    else:
        raise missing("payment_intent")
    left = charge["amount"] - charge["amount_refunded"]
    amount = given.get("amount", left)
    if charge["disputed"]:
        raise StripeError(f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                          code="charge_disputed")  # fmt: skip
    if not charge["paid"] or left == 0:
        raise StripeError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if not 0 < amount <= left:
        raise StripeError(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
                          param="amount")  # fmt: skip
    refund: Json = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": ctx.now,
        "currency": charge["currency"],
        "metadata": merge_metadata({}, given.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    record(ctx, refund, "refund.created")
    tell_refund(ctx, charge, amount)
    return render(ctx, refund, given.get("expand"))


@route("GET", "/v1/refunds/{refund}")
def retrieve_refund(ctx: Context, refund_id: str, given: Json) -> Json:
    """One refund."""
    return render(ctx, ctx.fetch("refund", refund_id, "refund"), given.get("expand"))


@route("GET", "/v1/refunds")
def list_refunds(ctx: Context, given: Json) -> Json:
    """Refunds of the account."""
    where: Json = {name: given[name] for name in ("charge", "payment_intent") if name in given}
    return listing(ctx, "refund", "/v1/refunds", given, where)


def open_dispute(ctx: Context, charge_id: str, reason: str) -> Json:
    """The customer asks the bank for the money of a charge (a control: at Stripe nobody can ask for this)."""
    charge = ctx.fetch("charge", charge_id, "charge")
    if not charge["paid"] or charge["disputed"] or charge["refunded"]:
        message = f"Charge {charge_id} cannot be disputed."
        raise StripeError(message, param="charge")
    dispute: Json = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge_id,
        "created": ctx.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": ctx.now + ANSWER_DAYS * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }
    record(ctx, {**charge, "disputed": True}, "charge.updated")
    return record(ctx, dispute, "charge.dispute.created")


def close(ctx: Context, dispute: Json, status: str) -> Json:
    """Decide a dispute: won or lost."""
    if dispute["status"] not in ("needs_response", "under_review"):
        message = "This dispute is already closed."
        raise StripeError(message)
    return record(ctx, {**dispute, "status": status}, "charge.dispute.closed")


@route("GET", "/v1/disputes/{dispute}")
def retrieve_dispute(ctx: Context, dispute_id: str, given: Json) -> Json:
    """One dispute."""
    return render(ctx, ctx.fetch("dispute", dispute_id, "dispute"), given.get("expand"))


@route("GET", "/v1/disputes")
def list_disputes(ctx: Context, given: Json) -> Json:
    """Disputes of the account."""
    where: Json = {name: given[name] for name in ("charge", "payment_intent") if name in given}
    return listing(ctx, "dispute", "/v1/disputes", given, where)


@route("POST", "/v1/disputes/{dispute}/close")
def accept_dispute(ctx: Context, dispute_id: str, given: Json) -> Json:
    """Accept that a dispute is lost."""
    return render(ctx, close(ctx, ctx.fetch("dispute", dispute_id, "dispute"), "lost"), given.get("expand"))
