"""What billing holds on a person, how it is exported and how it is let go.

The law keeps what was invoiced, to whom and for how much. What stays is the reference: the customer
is a number whose name nobody can read any more, and the invoice's page, which shows a name, is
sealed under the key that erasure destroys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.models import OrganizationMember
from billing.events import invoice_as_event, subscription_as_event
from billing.models import (
    Access,
    Checkout,
    EntitlementOverride,
    InvoiceReference,
    StripeCustomer,
    Subscription,
    SubscriptionTransition,
)
from billing.services.access import refresh_access
from billing.services.subscriptions import end_free_subscriptions
from stackbe.kernel.clock import now, render
from stackbe.kernel.ids import encode
from stackbe.kernel.subjects import register

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope


def export_subscriptions(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return a customer's subscriptions, each with its history, oldest first."""
    moment = now(scope)
    rows = Subscription.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    steps = SubscriptionTransition.objects.within(scope).filter(subscription__customer_id=subject_id)
    history: dict[UUID, list[dict[str, Any]]] = {}
    for step in steps.order_by("id"):
        shown = {"name": step.name, "to": step.to_status, "occurredAt": render(step.occurred_at)}
        history.setdefault(step.subscription_id, []).append(shown)
    return [
        subscription_as_event(row, moment) | {"cancelReason": row.cancel_reason, "history": history.get(row.id, [])}
        for row in rows
    ]


def erase_subscriptions(scope: Scope, subject_id: UUID) -> int:
    """End what still runs and drop the words that were given as a reason; the rest names nobody.

    What runs at Stripe was ended there first.
    """
    end_free_subscriptions(scope, subject_id)
    rows = Subscription.objects.within(scope).filter(customer_id=subject_id)
    return rows.update(cancel_reason="")


def export_invoices(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return the references to a customer's invoices, oldest first."""
    rows = InvoiceReference.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return [invoice_as_event(row) for row in rows]


def erase_invoices(scope: Scope, subject_id: UUID) -> int:
    """Forget the invoices' pages. Numbers and totals stay, as the law asks."""
    rows = InvoiceReference.objects.within(scope).filter(customer_id=subject_id)
    return rows.update(hosted_invoice_url=None)


def export_overrides(scope: Scope, subject_id: UUID) -> list[dict[str, Any]]:
    """Return what a customer was granted beside their plan, and why."""
    rows = EntitlementOverride.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return [
        {
            "feature": row.feature,
            "value": row.value,
            "reason": row.reason,
            "subscriptionId": row.subscription_id and encode("sub", row.subscription_id),
            "expiresAt": render(row.expires_at),
            "createdAt": render(row.created_at),
        }
        for row in rows
    ]


def erase_access(scope: Scope, subject_id: UUID) -> int:
    """Delete a customer's overrides and what was worked out for them.

    What was granted to a subscription that they bought for an organization ends for all of it: why it was granted
    is sealed under the buyer's key.
    """
    rows = EntitlementOverride.objects.within(scope).filter(customer_id=subject_id)
    granted = rows.filter(subscription_id__isnull=False).values("subscription_id")
    organizations = Subscription.objects.within(scope).filter(pk__in=granted, organization_id__isnull=False)
    places = OrganizationMember.objects.within(scope).filter(
        organization_id__in=list(organizations.values_list("organization_id", flat=True))
    )
    members = sorted(set(places.values_list("customer_id", flat=True)) - {subject_id})
    overrides = rows.delete()[0]
    for customer_id in members:
        refresh_access(scope, customer_id)
    return overrides + Access.objects.within(scope).filter(customer_id=subject_id).delete()[0]


def export_stripe(scope: Scope, subject_id: UUID) -> dict[str, Any]:
    """Return a customer's names at Stripe and the checkouts that were begun for them."""
    links = StripeCustomer.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    checkouts = Checkout.objects.within(scope).filter(customer_id=subject_id).order_by("id")
    return {
        "customers": [{"account": row.account_id, "id": row.stripe_customer_id} for row in links],
        "checkouts": [
            {
                "id": row.stripe_session_id,
                "planId": encode("plan", row.plan_id),
                "status": row.status,
                "createdAt": render(row.created_at),
            }
            for row in checkouts
        ],
    }


def erase_stripe(scope: Scope, subject_id: UUID) -> int:
    """Delete the links to Stripe: with them gone, nothing here leads to the person there."""
    checkouts = Checkout.objects.within(scope).filter(customer_id=subject_id).delete()[0]
    return checkouts + StripeCustomer.objects.within(scope).filter(customer_id=subject_id).delete()[0]


def _nothing(scope: Scope, subject_id: UUID) -> None:
    """Return nothing: sealed, but about no person."""


def _none(scope: Scope, subject_id: UUID) -> int:
    return 0


def register_holders() -> None:
    """Register with the kernel; called once when the apps are ready."""
    register(
        "subscriptions",
        models=("billing.Subscription", "billing.SubscriptionTransition"),
        export=export_subscriptions,
        erase=erase_subscriptions,
    )
    register("invoices", models=("billing.InvoiceReference",), export=export_invoices, erase=erase_invoices)
    register(
        "entitlements",
        models=("billing.EntitlementOverride", "billing.Access"),
        export=export_overrides,
        erase=erase_access,
    )
    register(
        "stripe",
        models=("billing.StripeCustomer", "billing.Checkout"),
        export=export_stripe,
        erase=erase_stripe,
    )
    register("catalogue", models=("billing.Product",), export=_nothing, erase=_none)
