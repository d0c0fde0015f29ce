"""How rows of the catalogue, subscriptions and invoices look in replies and in events."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from billing.lifecycle import status_at
from billing.models import InvoiceReference, Plan, PlanVersion, Price, Subscription
from billing.states import PAYMENT, State
from stackbe.kernel.clock import render
from stackbe.kernel.ids import encode


def price_as_event(price: Price) -> dict[str, Any]:
    """Return one of a plan's prices. Fields that its scheme has no use for are left out."""
    shown: dict[str, Any] = {
        "id": price.public_id,
        "currency": price.currency,
        "interval": price.interval,
        "intervalCount": price.interval_count,
        "scheme": price.scheme,
    }
    if price.unit_amount_cents is not None:
        shown["unitAmountCents"] = price.unit_amount_cents
    if price.tiers:
        shown["tiers"] = price.tiers
    if price.package_size is not None:
        shown["packageSize"] = price.package_size
    if price.tax_behavior:
        shown["taxBehavior"] = price.tax_behavior
    shown["stripePriceId"] = price.stripe_price_id or None
    return shown


def plan_as_event(plan: Plan, version: PlanVersion | None = None) -> dict[str, Any]:
    """Return a plan as the API and the webhooks show it: in its newest version, or in the one given.

    A subscriber's plan is shown in the version that they have.
    """
    version = version or plan.current_version()
    prices = version.live_prices()
    first = prices[0]
    return {
        "id": plan.public_id,
        "productId": encode("prod", plan.product_id),
        "name": plan.name,
        "slug": plan.slug,
        "priceCents": first.unit_amount_cents,
        "currency": first.currency,
        "interval": first.interval,
        "intervalCount": first.interval_count,
        "trialDays": version.trial_days,
        "trialRequiresCard": version.trial_requires_card,
        "prices": [price_as_event(price) for price in prices],
        "usage": version.usage,
        "credits": version.credits,
        "seats": version.seats,
        "addOns": [encode("plan", plan_id) for plan_id in version.add_ons],
        "entitlements": version.entitlements,
        "isDefault": plan.is_default,
        "active": plan.active,
        "stripePriceId": first.stripe_price_id or None,
        "version": version.number,
    }


def subscription_as_event(subscription: Subscription, moment: datetime) -> dict[str, Any]:
    """Return a subscription as the API and the webhooks show it at a moment of its app's clock."""
    return {
        "id": subscription.public_id,
        "status": status_at(State.of(subscription), moment),
        "customerId": encode("cust", subscription.customer_id),
        "organizationId": _optional("org", subscription.organization_id),
        "planId": encode("plan", subscription.plan_id),
        "quantity": subscription.quantity,
        "currentPeriodStart": render(subscription.current_period_start),
        "currentPeriodEnd": render(subscription.current_period_end),
        "cancelAtPeriodEnd": subscription.cancel_at_period_end,
        "canceledAt": render(subscription.canceled_at),
        "trialStart": render(subscription.trial_start),
        "trialEnd": render(subscription.trial_end),
        "trialConvertedAt": render(subscription.trial_converted_at),
        "pausedAt": render(subscription.paused_at),
        "resumesAt": render(subscription.resumes_at),
        "gracePeriodEndsAt": render(subscription.grace_period_ends_at),
        "scheduledChange": _scheduled_change(subscription),
        "stripeSubscriptionId": subscription.stripe_subscription_id or None,
        "createdAt": render(subscription.created_at),
    }


def _scheduled_change(subscription: Subscription) -> dict[str, Any] | None:
    """Return what a subscription becomes; by `expiresAt` it must be paid for where that is what it waits for."""
    if not subscription.next_awaits or subscription.next_plan_id is None:
        return None
    waits_for_payment = subscription.next_awaits == PAYMENT
    return {
        "planId": encode("plan", subscription.next_plan_id),
        "quantity": subscription.next_quantity,
        "awaits": subscription.next_awaits,
        "effectiveAt": None if waits_for_payment else render(subscription.next_at),
        "expiresAt": render(subscription.next_at) if waits_for_payment else None,
    }


def invoice_as_event(invoice: InvoiceReference) -> dict[str, Any]:
    """Return the reference to an invoice. Read it inside a change or reading: its URL is sealed."""
    return {
        "id": invoice.public_id,
        "number": invoice.number or None,
        "status": invoice.status,
        "amountDueCents": invoice.amount_due_cents,
        "amountPaidCents": invoice.amount_paid_cents,
        "amountRefundedCents": invoice.amount_refunded_cents,
        "disputed": invoice.disputed,
        "currency": invoice.currency,
        "periodStart": render(invoice.period_start),
        "periodEnd": render(invoice.period_end),
        "hostedInvoiceUrl": invoice.hosted_invoice_url,
        "createdAt": render(invoice.created_at),
    }


def _optional(prefix: str, identifier: UUID | None) -> str | None:
    return None if identifier is None else encode(prefix, identifier)
