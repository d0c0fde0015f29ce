"""Collecting an invoice: the attempt, its retries, and what follows for the subscription."""

from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.customers import method_for
from billing.stripe.sandbox.events import emit, record
from billing.stripe.sandbox.invoices import close_unpaid, finalize, mark_paid, shape_invoice, subscription_of
from billing.stripe.sandbox.payments import FAILED, NEEDS_ACTION, SUCCEEDED, confirm
from billing.stripe.sandbox.standing import ENDED, after_failure, after_payment, end
from billing.stripe.sandbox.store import Json

DAY_SECONDS = 86400
RETRY_DAYS = (3, 5, 7)
"""Days to each further attempt; after the last one the subscription ends."""


def bill(
    ctx: Context, customer: Json, subscription: Json, lines: list[Json], *, reason: str, period: tuple[int, int]
) -> Json:
    """Make an invoice for a subscription and open it; the caller decides whether to charge it."""
    invoice = shape_invoice(ctx, customer, subscription, lines, reason=reason, period=period)
    record(ctx, invoice, "invoice.created")
    subscription["latest_invoice"] = invoice["id"]
    spend_once(ctx, subscription)
    return finalize(ctx, invoice)


def spend_once(ctx: Context, subscription: Json) -> None:
    """Drop the discounts that were good for one invoice only, and those whose time is over."""
    kept = []
    for discount_id in subscription["discounts"]:
        discount = ctx.fetch("discount", discount_id)
        coupon = ctx.fetch("coupon", discount["source"]["coupon"])
        if coupon["duration"] != "once" and (discount["end"] is None or discount["end"] > ctx.now):
            kept.append(discount_id)
    subscription["discounts"] = kept


def attempt(ctx: Context, invoice: Json, method: Json | None, *, on_session: bool = False) -> str:
    """Charge an open invoice once: succeeded, failed or requires_action, written on the invoice.

    A customer without a payment method fails like one whose method is refused.
    """
    if invoice["amount_due"] <= 0:
        mark_paid(ctx, invoice)
        return SUCCEEDED
    intent = ctx.fetch("payment_intent", invoice["_intent"])
    outcome = confirm(ctx, intent, method, on_session=on_session) if method else FAILED
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    if outcome == SUCCEEDED:
        mark_paid(ctx, invoice)
        return outcome
    if outcome == NEEDS_ACTION:
        emit(ctx, "invoice.payment_action_required", invoice)
    if invoice["billing_reason"] != "subscription_create":
        days = RETRY_DAYS[min(invoice["attempt_count"], len(RETRY_DAYS)) - 1]
        last = invoice["attempt_count"] > len(RETRY_DAYS)
        invoice["next_payment_attempt"] = None if last else ctx.now + days * DAY_SECONDS
    record(ctx, invoice, "invoice.payment_failed", due=invoice["next_payment_attempt"])
    return outcome


def collect(ctx: Context, invoice: Json, *, method: Json | None = None, on_session: bool = False) -> str:
    """Charge an open invoice and let its subscription follow."""
    customer = ctx.fetch("customer", invoice["customer"])
    subscription = ctx.find("subscription", subscription_of(invoice) or "")
    chosen = method or method_for(ctx, customer, subscription)
    outcome = attempt(ctx, invoice, chosen, on_session=on_session)
    if subscription is None or subscription["latest_invoice"] != invoice["id"]:
        return outcome
    if outcome == SUCCEEDED:
        if subscription["status"] not in ENDED:
            after_payment(ctx, subscription)
    else:
        subscription = after_failure(ctx, subscription)
        if subscription["status"] == "past_due" and invoice["attempt_count"] > len(RETRY_DAYS):
            end(ctx, subscription, reason="payment_failed")
    set_delinquent(ctx, customer["id"], delinquent=outcome != SUCCEEDED)
    return outcome


def set_delinquent(ctx: Context, customer_id: str, *, delinquent: bool) -> None:
    """Note on the customer whether its latest payment is owed."""
    customer = ctx.fetch("customer", customer_id)
    if not customer.get("deleted") and customer["delinquent"] != delinquent:
        record(ctx, {**customer, "delinquent": delinquent}, "customer.updated")


def abandon(ctx: Context, subscription: Json) -> None:
    """Let a subscription whose first payment never came expire, and void what it owed."""
    invoice = ctx.find("invoice", subscription["latest_invoice"] or "")
    if invoice and invoice["status"] == "open":
        close_unpaid(ctx, invoice, "void")
    end(ctx, subscription, status="incomplete_expired")


def stop_retries(ctx: Context, subscription: Json) -> None:
    """After a cancellation Stripe collects nothing more by itself; open invoices stay open."""
    for invoice in ctx.select("invoice", {"status": "open", "customer": subscription["customer"]}):
        if subscription_of(invoice) == subscription["id"] and invoice["auto_advance"]:
            record(ctx, {**invoice, "auto_advance": False, "next_payment_attempt": None}, "invoice.updated")
