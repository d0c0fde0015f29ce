"""Invoices as the API sees them: reading, paying, closing, and a preview of the next one."""

from billing.stripe.sandbox.changes import drop_pending, plan
from billing.stripe.sandbox.collection import collect
from billing.stripe.sandbox.context import Context
from billing.stripe.sandbox.customers import attach, fetch_customer
from billing.stripe.sandbox.cycle import period_lines, recurring_of
from billing.stripe.sandbox.errors import StripeError, card_declined
from billing.stripe.sandbox.forms import missing
from billing.stripe.sandbox.invoices import close_unpaid, finalize, shape_invoice, subscription_of
from billing.stripe.sandbox.payments import NEEDS_ACTION, SUCCEEDED
from billing.stripe.sandbox.pricing import step
from billing.stripe.sandbox.rendering import listing, render
from billing.stripe.sandbox.routes import route
from billing.stripe.sandbox.standing import period_of, set_period
from billing.stripe.sandbox.store import Json

KIND = "invoice"


@route("GET", "/v1/invoices")
def list_invoices(ctx: Context, given: Json) -> Json:
    """Invoices of the account, by customer, status or subscription."""
    where: Json = {name: given[name] for name in ("customer", "status") if name in given}
    if "subscription" in given:
        where["parent.subscription_details.subscription"] = given["subscription"]
    return listing(ctx, KIND, "/v1/invoices", given, where)


@route("GET", "/v1/invoices/{invoice}")
def retrieve_invoice(ctx: Context, invoice_id: str, given: Json) -> Json:
    """One invoice."""
    return render(ctx, ctx.fetch(KIND, invoice_id), given.get("expand"))


def fetch_open(ctx: Context, invoice_id: str, *statuses: str) -> Json:
    """An invoice in one of the statuses that an action is allowed in."""
    invoice = ctx.fetch(KIND, invoice_id)
    if invoice["status"] == "paid" and "paid" not in statuses:
        message = "Invoice is already paid"
        raise StripeError(message, code="invoice_already_paid")
    if invoice["status"] not in statuses:
        message = f"This invoice is {invoice['status']}; it must be {' or '.join(statuses)} for this."
        raise StripeError(message, code="invoice_not_editable")
    return invoice


@route("POST", "/v1/invoices/{invoice}/pay")
def pay_invoice(ctx: Context, invoice_id: str, given: Json) -> Json:
    """Charge an open invoice now; a refusal is a 402 and stays on record as an attempt."""
    invoice = fetch_open(ctx, invoice_id, "open", "uncollectible")
    method = None
    if "payment_method" in given:
        method = attach(ctx, given["payment_method"], fetch_customer(ctx, invoice["customer"]))
    outcome = collect(ctx, invoice, method=method)
    if outcome == NEEDS_ACTION:
        message = "Payment for this invoice requires additional user action before it can be completed successfully."
        raise StripeError(
            message, status=402, kind="card_error", code="invoice_payment_intent_requires_action", keeps_changes=True
        )
    if outcome != SUCCEEDED:
        raise card_declined()
    return render(ctx, ctx.fetch(KIND, invoice_id), given.get("expand"))


@route("POST", "/v1/invoices/{invoice}/finalize")
def finalize_invoice(ctx: Context, invoice_id: str, given: Json) -> Json:
    """Open a draft."""
    return render(ctx, finalize(ctx, fetch_open(ctx, invoice_id, "draft")), given.get("expand"))


@route("POST", "/v1/invoices/{invoice}/void")
def void_invoice(ctx: Context, invoice_id: str, given: Json) -> Json:
    """Declare that an invoice was never owed."""
    invoice = fetch_open(ctx, invoice_id, "open", "uncollectible")
    closed = close_unpaid(ctx, invoice, "void")
    subscription = ctx.find("subscription", subscription_of(invoice) or "")
    if subscription and subscription["pending_update"] and subscription["_pending_invoice"] == invoice["id"]:
        drop_pending(ctx, subscription, "customer.subscription.updated")
    return render(ctx, closed, given.get("expand"))


@route("POST", "/v1/invoices/{invoice}/mark_uncollectible")
def write_off_invoice(ctx: Context, invoice_id: str, given: Json) -> Json:
    """Declare that an invoice will not be paid."""
    invoice = fetch_open(ctx, invoice_id, "open")
    return render(ctx, close_unpaid(ctx, invoice, "uncollectible"), given.get("expand"))


@route("POST", "/v1/invoices/create_preview")
def preview_invoice(ctx: Context, given: Json) -> Json:
    """The next invoice of a subscription, after a change that is being considered. Nothing is written.

    With `always_invoice`, or when the change starts a new period, that is the invoice of
    the change itself; otherwise the renewal, with the prorations that will be on it.
    """
    if "subscription" not in given:
        raise missing("subscription")
    subscription = ctx.fetch("subscription", given["subscription"], "subscription")
    if given.get("customer") not in (None, subscription["customer"]):
        message = "The subscription does not belong to the customer."
        raise StripeError(message, param="customer")
    customer = fetch_customer(ctx, subscription["customer"])
    wish = given.get("subscription_details", {})
    change = plan(ctx, subscription, wish)
    pending = [*subscription["_prorations"], *change.lines]
    subscription["items"]["data"] = change.items
    begins, ends = period_of(subscription)
    recurring = recurring_of(ctx, subscription)
    now = wish.get("proration_date", ctx.now)
    if change.restarts:
        set_period(subscription, now, step(now, recurring, 1))
        lines, period, reason = [*pending, *period_lines(ctx, subscription)], (now, now), "subscription_update"
    elif wish.get("proration_behavior") == "always_invoice":
        lines, period, reason = pending, (now, now), "subscription_update"
    elif wish.get("cancel_now") or wish.get("cancel_at_period_end") or subscription["cancel_at_period_end"]:
        lines, period, reason = pending, (begins, ends), "upcoming"
    else:
        set_period(subscription, ends, step(ends, recurring, 1))
        lines, period, reason = [*pending, *period_lines(ctx, subscription)], (begins, ends), "upcoming"
    invoice = shape_invoice(ctx, customer, subscription, lines, reason=reason, period=period)
    invoice["id"] = f"upcoming_{invoice['id']}"
    for line in invoice["lines"]["data"]:
        line["invoice"] = invoice["id"]
    return render(ctx, invoice, given.get("expand"))


@route("GET", "/v1/invoice_payments")
def list_invoice_payments(ctx: Context, given: Json) -> Json:
    """What pays for what: the way from a payment intent back to its invoice."""
    where: Json = {name: given[name] for name in ("invoice", "status") if name in given}
    if "payment" in given:
        where["payment.payment_intent"] = given["payment"].get("payment_intent")
    return listing(ctx, "invoice_payment", "/v1/invoice_payments", given, where)
