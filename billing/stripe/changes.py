"""Another plan or quantity at Stripe: looked at first, decided here, asked there, then followed.

What must be paid for takes hold once it is: until then the old plan is in force, and the caller is told so.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing.models import InvoiceReference, Price, Subscription
from billing.services.changes import NOW, Decision, decide_change, decide_withdrawal
from billing.services.subscriptions import find_subscription, take_step
from billing.states import PAYMENT
from billing.stripe.catalogue_push import push_plan
from billing.stripe.errors import PaymentActionRequired, PaymentFailed, StripeRefused, StripeUnavailable
from billing.stripe.gateway import ConnectedAccount, Intent, Json
from billing.stripe.intents import perform, record_intent, settle
from billing.stripe.lease import LeaseLost
from billing.stripe.overage import is_whole_at_stripe, overage_changes
from billing.stripe.schedules import release_schedule, schedule_terms
from billing.stripe.shapes import reference
from billing.stripe.sync import sync_until_done
from billing.stripe.translate import main_item, moment
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import render
from stackbe.kernel.errors import Conflict
from stackbe.kernel.ids import encode
from stackbe.kernel.transactions import change, reading

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

CHANGE, VOID = "subscription.change", "invoice.void"


def change_subscription(
    scope: Scope,
    subscription_id: str,
    *,
    plan_id: str | None = None,
    quantity: int | None = None,
    interval: str | None = None,
    prorate: bool = True,
    when: str | None = None,
    newest: bool = False,
    claim_id: UUID | None = None,
) -> UUID:
    """Give a subscription another plan, quantity or rhythm; return its row's id. Repeating it is harmless.

    `newest` gives it its own plan in the newest version, at the period's end unless `when` says otherwise.

    What costs more takes hold now, what costs less with the next period, unless `when` says otherwise.
    Terms that hold already take back a change that waits. Raises as `decide_change` does,
    `PaymentFailed` and `PaymentActionRequired` (the old terms stay in force until the invoice is paid),
    `StripeUnavailable` and `StripeRefused`.
    """
    _look(scope, subscription_id)
    with change(scope):
        decision = decide_change(
            scope, subscription_id, plan_id=plan_id, quantity=quantity, interval=interval, when=when, newest=newest
        )
        row = decision.row
        if decision.step is None:
            return row.pk
        if not row.stripe_subscription_id:
            return take_step(scope, row, decision.step).pk
        withdraws = decision.step.name == "change_withdrawn"
        detail = {"plan": decision.plan.slug, "quantity": decision.quantity, "when": decision.when}
        audit(scope, "subscription.change_requested", row.public_id, subject_id=row.customer_id, detail=detail)
    if withdraws:
        _withdraw(scope, row, claim_id)
        return row.pk
    account, stripe_id = ConnectedAccount(row.stripe_account), row.stripe_subscription_id
    price = _price_at_stripe(scope, decision)
    body = account.fetch("subscription", stripe_id)
    if decision.when == NOW:
        _change_now(scope, account, body, price, decision.quantity, prorate=prorate, claim_id=claim_id)
    else:
        schedule_terms(scope, account, body, price, decision.quantity, claim_id)
        _follow(scope, account, stripe_id)
    return row.pk


def withdraw_change(scope: Scope, subscription_id: str) -> UUID:
    """Take back a change that waits for the period's end or for its payment; return the row's id.

    Harmless where none waits. Raises as the gateway does.
    """
    _look(scope, subscription_id)
    with change(scope):
        row, step = decide_withdrawal(scope, subscription_id)
        if step is not None:
            audit(scope, "subscription.change_withdrawn", row.public_id, subject_id=row.customer_id)
    if step is not None:
        _withdraw(scope, row, None)
    return row.pk


def preview_change(
    scope: Scope,
    subscription_id: str,
    *,
    plan_id: str | None = None,
    quantity: int | None = None,
    interval: str | None = None,
    prorate: bool = True,
    when: str | None = None,
) -> dict[str, Any]:
    """Return what the same call of `change_subscription` would cost, and when, as Stripe computes it.

    Nothing is changed, here or there. A free subscription costs nothing, and Stripe is not asked.
    """
    _look(scope, subscription_id)
    with change(scope):
        decision = decide_change(
            scope, subscription_id, plan_id=plan_id, quantity=quantity, interval=interval, when=when
        )
    row = decision.row
    shown: dict[str, Any] = {
        "subscription_id": row.public_id,
        "plan_id": encode("plan", decision.plan.pk),
        "quantity": decision.quantity,
        "when": decision.when,
        "effective_at": None if decision.when == NOW else row.current_period_end,
        "currency": row.price.currency if row.price else None,
        "amount_due_cents": 0,
        "total_cents": 0,
        "lines": [],
    }
    if not row.stripe_subscription_id:
        return shown
    account = ConnectedAccount(row.stripe_account)
    price = _price_at_stripe(scope, decision)
    body = account.fetch("subscription", row.stripe_subscription_id)
    item = main_item(body)
    wanted = [
        {"id": item["id"], "price": price.stripe_price_id, "quantity": decision.quantity},
        *overage_changes(scope, account.id, body, price),
    ]
    behaviour = ("always_invoice" if prorate else "none") if decision.when == NOW else "none"
    invoice = account.preview(
        {
            "subscription": row.stripe_subscription_id,
            "subscription_details": {"items": wanted, "proration_behavior": behaviour},
        }
    )
    if decision.when == NOW and not prorate and not _restarts(row.price, price):
        return shown  # Stripe shows the next renewal here; the change itself costs nothing now.
    if row.status == Subscription.Status.TRIALING and decision.when == NOW:
        return shown
    return shown | {
        "currency": invoice["currency"],
        "amount_due_cents": invoice["amount_due"],
        "total_cents": invoice["total"],
        "lines": [_line(line) for line in invoice["lines"]],
    }


def _line(line: Json) -> dict[str, Any]:
    period = line.get("period") or {}
    return {
        "description": line.get("description") or "",
        "amount_cents": line["amount"],
        "quantity": line.get("quantity"),
        "period_start": moment(period.get("start")),
        "period_end": moment(period.get("end")),
    }


def _restarts(old: Price | None, new: Price) -> bool:
    return old is None or (old.interval, old.interval_count) != (new.interval, new.interval_count)


def _look(scope: Scope, subscription_id: str) -> None:
    """Follow a subscription as it is at Stripe now, so that what is decided next is decided on the truth."""
    with reading(scope):
        row = find_subscription(scope, subscription_id)
    if row.stripe_subscription_id and row.status != Subscription.Status.CANCELED:
        _follow(scope, ConnectedAccount(row.stripe_account), row.stripe_subscription_id, needed=True)


def _follow(scope: Scope, account: ConnectedAccount, stripe_id: str, *, needed: bool = False) -> None:
    """Record what Stripe shows. Unless it is needed, what we cannot read now the event that comes will tell."""
    excused = LeaseLost if needed else StripeUnavailable
    with suppress(excused):
        sync_until_done(scope, account.id, "subscription", stripe_id, cause=scope.actor)


def _price_at_stripe(scope: Scope, decision: Decision) -> Price:
    """Return the price to change to, pushed here and now if Stripe does not know it yet."""
    if decision.price is None:
        raise Conflict("The price of this subscription was made at Stripe by hand. Change it there.")
    with reading(scope):
        price = Price.objects.within(scope).select_related("plan_version").get(pk=decision.price.pk)
        if is_whole_at_stripe(scope, decision.row.stripe_account, price):
            return price
    push_plan(scope, decision.plan.pk)
    with reading(scope):
        return Price.objects.within(scope).get(pk=price.pk)


def _change_now(
    scope: Scope,
    account: ConnectedAccount,
    body: Json,
    price: Price,
    quantity: int,
    *,
    prorate: bool,
    claim_id: UUID | None,
) -> None:
    stripe_id = body["id"]
    params: Json = {
        "items": [
            {"id": main_item(body)["id"], "price": price.stripe_price_id, "quantity": quantity},
            *overage_changes(scope, account.id, body, price),
        ],
        "proration_behavior": "always_invoice" if prorate else "none",
        "payment_behavior": "pending_if_incomplete",
    }
    with change(scope):
        intent = record_intent(scope, CHANGE, stripe_id, account.id, claim_id=claim_id)
    made = _performed(scope, account, stripe_id, intent, params)
    with change(scope):
        settle(scope, intent, stripe_id)
    if made.get("pending_update"):
        raise _unpaid(scope, account, made)
    release_schedule(scope, account, made, claim_id)
    _follow(scope, account, stripe_id)


def _performed(scope: Scope, account: ConnectedAccount, stripe_id: str, intent: Intent, params: Json) -> Json:
    try:
        return perform(scope, intent, lambda: account.update("subscription", stripe_id, params, intent=intent))
    except StripeRefused:
        _follow(scope, account, stripe_id)  # It may know what we have not heard of.
        raise


def _unpaid(scope: Scope, account: ConnectedAccount, body: Json) -> PaymentFailed:
    """Record what Stripe holds back, and return the refusal that says how it can still be paid for."""
    _follow(scope, account, body["id"])
    invoice_id = reference(body.get("latest_invoice"))
    with suppress(StripeUnavailable):
        sync_until_done(scope, account.id, "invoice", invoice_id, cause=scope.actor)
    with reading(scope):
        rows = InvoiceReference.objects.within(scope).filter(stripe_account=account.id, stripe_invoice_id=invoice_id)
        invoice = rows.first()
        payment = {
            "invoiceId": invoice.public_id if invoice else None,
            "hostedInvoiceUrl": invoice.hosted_invoice_url if invoice else None,
            "expiresAt": render(moment((body.get("pending_update") or {}).get("expires_at"))),
        }
    waits = invoice is not None and invoice.action_required
    return (PaymentActionRequired if waits else PaymentFailed)(extra={"payment": payment})


def _withdraw(scope: Scope, row: Subscription, claim_id: UUID | None) -> None:
    """Take back what waits, whichever way it waits, and follow."""
    account, stripe_id = ConnectedAccount(row.stripe_account), row.stripe_subscription_id
    body = account.fetch("subscription", stripe_id)
    if row.next_awaits == PAYMENT or body.get("pending_update"):
        _void(scope, account, reference(body.get("latest_invoice")), claim_id)
    release_schedule(scope, account, body, claim_id)
    _follow(scope, account, stripe_id)


def _void(scope: Scope, account: ConnectedAccount, invoice_id: str, claim_id: UUID | None) -> None:
    """Void the invoice of a change that was not paid for, which drops the change; one that was paid stays."""
    with change(scope):
        intent = record_intent(scope, VOID, invoice_id, account.id, claim_id=claim_id)
    try:
        perform(scope, intent, lambda: account.update("invoice", invoice_id, {}, intent=intent, action="void"))
    except StripeRefused:
        if account.fetch("invoice", invoice_id).get("status") == "open":
            raise
        return
    with change(scope):
        settle(scope, intent, invoice_id)
