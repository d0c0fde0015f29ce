"""References to invoices, and what the app is told of payments. Each fact is announced once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts.events import customer_as_event
from accounts.models import Customer
from billing.errors import UnknownStripeReference
from billing.events import invoice_as_event, plan_as_event, subscription_as_event
from billing.facts import StripeInvoiceFacts
from billing.models import InvoiceReference, StripeCustomer, Subscription
from billing.packs import follow_credits
from billing.services.due import settings_of
from billing.services.subscriptions import follow_money
from stackbe.kernel.clock import now
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.outbox import emit

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

PAID, OPEN = InvoiceReference.Status.PAID, InvoiceReference.Status.OPEN


def record_invoice(scope: Scope, facts: StripeInvoiceFacts, cause: str) -> InvoiceReference:
    """Bring the reference to what Stripe says of an invoice, and announce what is new in it.

    The first time it is seen: `invoice.created`; when it is paid: `payment.succeeded`; for each
    failed attempt: `payment.failed`; likewise a confirmation that the bank wants, a refund, a
    dispute. Facts from before what is recorded change nothing. Raises `UnknownStripeReference` for
    somebody who is no customer of ours.
    """
    require_change()
    row = _locked(scope, facts)
    if row is not None and facts.fetched_at < row.facts_at:
        return row
    news = []
    if row is None:
        row = _new(scope, facts)
        # What was paid once at a checkout page has no invoice that could have been made before.
        news += [] if facts.checkout_id else ["invoice.created"]
    was = (row.status, row.attempt_count, row.action_required, row.amount_refunded_cents, row.disputed)
    _write(scope, row, facts)
    news += _news(was, row, facts)
    _follow_money(scope, row, news, cause, won=was[-1] and not row.disputed)
    if news and row.customer.deleted_at is None:
        data = _data(scope, row)
        for event in news:
            emit(scope, event, data, subject=row.customer_id)
    return row


def _follow_money(scope: Scope, row: InvoiceReference, news: list[str], cause: str, *, won: bool) -> None:
    """Let access follow money that came or went back, where the app's settings say so; a dispute that was won is money.

    While another payment of the same subscription is disputed, one that was won gives nothing back.
    """
    if row.subscription_id is None and row.checkout_id is None:
        return
    if won:
        others = InvoiceReference.objects.within(scope).filter(disputed=True)
        same = row.subscription_id
        others = others.filter(checkout_id=row.checkout_id) if same is None else others.filter(subscription_id=same)
        won = not others.exclude(pk=row.pk).exists() and row.amount_refunded_cents < row.amount_paid_cents
    if "payment.succeeded" in news or won:
        _move_access(scope, row, cause, went_back=False)
    settings = settings_of(scope) if {"payment.refunded", "payment.disputed"} & set(news) else None
    if settings is None:
        return
    whole = "payment.refunded" in news and row.amount_refunded_cents >= row.amount_paid_cents > 0
    if (settings.revoke_on_refund and whole) or (settings.revoke_on_dispute and "payment.disputed" in news):
        _move_access(scope, row, cause, went_back=True)


def _move_access(scope: Scope, row: InvoiceReference, cause: str, *, went_back: bool) -> None:
    """Take away what a payment gave, or give it back: a subscription's access, or the credits of a pack."""
    if row.subscription_id is not None:
        follow_money(scope, row.subscription_id, cause, went_back=went_back)
    elif row.checkout_id is not None:
        follow_credits(scope, row.customer_id, row.checkout_id, went_back=went_back)


def _news(was: tuple[str, int, bool, int, bool], row: InvoiceReference, facts: StripeInvoiceFacts) -> list[str]:
    status, attempts, action, refunded, disputed = was
    kinds = (
        (row.status == PAID and status != PAID, "payment.succeeded"),
        (facts.payment_failed and row.status == OPEN and row.attempt_count > attempts, "payment.failed"),
        (row.action_required and not action, "payment.action_required"),
        (row.amount_refunded_cents > refunded, "payment.refunded"),
        (row.disputed and not disputed, "payment.disputed"),
    )
    return [event for holds, event in kinds if holds]


def _locked(scope: Scope, facts: StripeInvoiceFacts) -> InvoiceReference | None:
    rows = InvoiceReference.objects.within(scope).locked().select_related("customer")
    return rows.filter(stripe_account=facts.account, stripe_invoice_id=facts.stripe_invoice_id).first()


def _new(scope: Scope, facts: StripeInvoiceFacts) -> InvoiceReference:
    moment: datetime = facts.created_at or now(scope)
    return InvoiceReference(
        **owned_by(scope),
        customer=_customer(scope, facts),
        stripe_account=facts.account,
        stripe_invoice_id=facts.stripe_invoice_id,
        status=InvoiceReference.Status.DRAFT,
        created_at=moment,
    )


def _write(scope: Scope, row: InvoiceReference, facts: StripeInvoiceFacts) -> None:
    if facts.stripe_subscription_id:
        rows = Subscription.objects.within(scope).filter(stripe_account=facts.account)
        row.subscription = rows.filter(stripe_subscription_id=facts.stripe_subscription_id).first()
    if facts.checkout_id is not None:
        # What a purchase gave stands under its checkout's id, unless it gave credits.
        row.checkout_id = facts.checkout_id
        row.subscription = Subscription.objects.within(scope).filter(pk=facts.checkout_id).first()
    row.number = facts.number[:80]
    row.status = facts.status
    row.amount_due_cents = facts.amount_due_cents
    row.amount_paid_cents = facts.amount_paid_cents
    if facts.amount_refunded_cents is not None:
        row.amount_refunded_cents = facts.amount_refunded_cents
    if facts.disputed is not None:
        row.disputed = facts.disputed
    row.attempt_count = max(row.attempt_count, facts.attempt_count)
    row.action_required = facts.action_required
    row.currency = facts.currency
    row.period_start, row.period_end = facts.period_start, facts.period_end
    if row.customer.deleted_at is None:
        row.hosted_invoice_url = facts.hosted_invoice_url
    row.facts_at = facts.fetched_at
    row.save()


def _customer(scope: Scope, facts: StripeInvoiceFacts) -> Customer:
    links = StripeCustomer.objects.within(scope).filter(account_id=facts.account)
    link = links.filter(stripe_customer_id=facts.stripe_customer_id).first()
    customer_id = facts.customer_id or (link.customer_id if link else None)
    customer = Customer.objects.within(scope).filter(pk=customer_id).first() if customer_id else None
    if (customer is None or customer.deleted_at is not None) and facts.stripe_subscription_id:
        # An organization's subscription goes over to another member when its buyer is deleted.
        rows = Subscription.objects.within(scope).filter(stripe_account=facts.account).select_related("customer")
        known = rows.filter(stripe_subscription_id=facts.stripe_subscription_id).first()
        customer = known.customer if known else customer
    if customer is None:
        raise UnknownStripeReference
    return customer


def _data(scope: Scope, row: InvoiceReference) -> dict[str, Any]:
    subscription = row.subscription
    return {
        "invoice": invoice_as_event(row),
        "subscription": subscription and subscription_as_event(subscription, now(scope)),
        "customer": customer_as_event(row.customer),
        "plan": subscription and plan_as_event(subscription.plan, subscription.plan_version),
    }
