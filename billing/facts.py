"""What the Stripe side tells the services, in plain values: ids, words, whole numbers and moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StripeSubscriptionFacts:
    """A subscription as Stripe showed it at `fetched_at`.

    `status` is Stripe's word. `stripe_price_id` is that of the item that stands for the plan.
    `customer_id` and `organization_id` come from metadata that we wrote; without them the link to
    the Stripe customer decides. `trial_has_card` says whether the trial goes on into a paid period.
    `resumes_at` counts only where `collection_paused`. What starts with `next_` is what it becomes: at
    `next_at` where that awaits the period's end, by then at the latest where it awaits a payment.
    """

    account: str
    stripe_subscription_id: str
    stripe_customer_id: str
    stripe_price_id: str
    status: str
    fetched_at: datetime
    created_at: datetime | None = None
    quantity: int = 1
    current_period_start: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    trial_start: datetime | None = None
    trial_end: datetime | None = None
    trial_has_card: bool = False
    collection_paused: bool = False
    resumes_at: datetime | None = None
    cancel_reason: str = ""
    next_stripe_price_id: str = ""
    next_quantity: int | None = None
    next_at: datetime | None = None
    next_awaits: str = ""
    customer_id: UUID | None = None
    organization_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class StripeInvoiceFacts:
    """An invoice as Stripe showed it at `fetched_at`, or what a `checkout_id` was paid once. Amounts are minor units.

    `payment_failed` says that the last attempt to collect it failed, `action_required` that the
    customer's bank wants a confirmation.
    """

    account: str
    stripe_invoice_id: str
    stripe_customer_id: str
    status: str
    currency: str
    fetched_at: datetime
    stripe_subscription_id: str = ""
    number: str = ""
    amount_due_cents: int = 0
    amount_paid_cents: int = 0
    amount_refunded_cents: int | None = None
    disputed: bool | None = None
    attempt_count: int = 0
    payment_failed: bool = False
    action_required: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None
    hosted_invoice_url: str | None = None
    created_at: datetime | None = None
    customer_id: UUID | None = None
    checkout_id: UUID | None = None
