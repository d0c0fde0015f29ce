"""Rows of the catalogue, of Stripe's side, of subscriptions and of what they grant."""

from billing.models.access import Access, DefaultAccess, EntitlementOverride
from billing.models.catalogue import Feature, Plan, PlanVersion, Price, Product
from billing.models.coupons import Coupon
from billing.models.migrations import PlanMigration
from billing.models.revenue import RevenueDay
from billing.models.stripe import (
    Checkout,
    StripeConnection,
    StripeCustomer,
    StripeEvent,
    StripeIntent,
    StripeLease,
    StripeObject,
)
from billing.models.subscriptions import InvoiceReference, Subscription, SubscriptionTransition

__all__ = [
    "Access",
    "Checkout",
    "Coupon",
    "DefaultAccess",
    "EntitlementOverride",
    "Feature",
    "InvoiceReference",
    "Plan",
    "PlanMigration",
    "PlanVersion",
    "Price",
    "Product",
    "RevenueDay",
    "StripeConnection",
    "StripeCustomer",
    "StripeEvent",
    "StripeIntent",
    "StripeLease",
    "StripeObject",
    "Subscription",
    "SubscriptionTransition",
]
