"""Values granted beside the plan: to one customer, or to whom one subscription serves."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import JSONField, Value

from accounts.services.customers import hold_customer
from billing.errors import FeatureNotFound, IllegalTransition
from billing.models import EntitlementOverride, Subscription
from billing.services import access
from billing.services.features import KEY, find_feature, unfit
from billing.services.steps import served
from billing.services.subscriptions import find_subscription, locked_by_id
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Customer
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet


def overrides_of(scope: Scope, customer: Customer) -> ScopedQuerySet[EntitlementOverride]:
    """Return what was granted to a customer and not taken back; what has expired is among it, and counts no more."""
    return EntitlementOverride.objects.within(scope).filter(customer=customer, subscription_id__isnull=True)


def subscription_overrides(scope: Scope, subscription_id: str) -> ScopedQuerySet[EntitlementOverride]:
    """Return the same of a subscription. Raises `SubscriptionNotFound`."""
    subscription = find_subscription(scope, subscription_id)
    return EntitlementOverride.objects.within(scope).filter(subscription_id=subscription.id)


def grant_override(
    scope: Scope, customer: Customer, feature_key: str, *, value: Any, reason: str, expires_at: datetime | None = None
) -> EntitlementOverride:
    """Give a customer a value of their own for a feature, whatever their plan says, until it expires.

    Granting again replaces the grant. Both are audited with who and why.
    """
    require_change()
    hold_customer(scope, customer.id)
    row = _granted(scope, feature_key, None, customer.id, value=value, reason=reason, expires_at=expires_at)
    _note(scope, "granted", customer.public_id, row)
    access.refresh_access(scope, customer.id)
    return row


def withdraw_override(scope: Scope, customer: Customer, feature_key: str) -> None:
    """Take a grant back: the plan's value counts again. Raises `FeatureNotFound` where there is none."""
    require_change()
    row = _withdrawn(overrides_of(scope, customer), feature_key, "This customer has no override of that feature.")
    _note(scope, "withdrawn", customer.public_id, row)
    access.refresh_access(scope, customer.id)


def grant_subscription_override(
    scope: Scope,
    subscription_id: str,
    feature_key: str,
    *,
    value: Any,
    reason: str,
    expires_at: datetime | None = None,
) -> EntitlementOverride:
    """Give whoever a subscription serves a value of their own for a feature, for as long as the subscription counts.

    A customer's own override wins over it. Raises `SubscriptionNotFound`, and `IllegalTransition` for one that ended.
    """
    require_change()
    subscription = locked_by_id(scope, subscription_id)
    if subscription.status == Subscription.Status.CANCELED:
        raise IllegalTransition("This subscription has ended. Grant the override to the customer.")
    hold_customer(scope, subscription.customer_id)
    row = _granted(
        scope,
        feature_key,
        subscription.id,
        subscription.customer_id,
        value=value,
        reason=reason,
        expires_at=expires_at,
    )
    _note(scope, "granted", subscription.public_id, row)
    for customer_id in served(scope, subscription):
        access.refresh_access(scope, customer_id)
    return row


def withdraw_subscription_override(scope: Scope, subscription_id: str, feature_key: str) -> None:
    """Take a subscription's grant back. Raises `SubscriptionNotFound`, `FeatureNotFound` where there is none."""
    require_change()
    subscription = locked_by_id(scope, subscription_id)
    rows = EntitlementOverride.objects.within(scope).filter(subscription_id=subscription.id)
    row = _withdrawn(rows, feature_key, "This subscription has no override of that feature.")
    _note(scope, "withdrawn", subscription.public_id, row)
    for customer_id in served(scope, subscription):
        access.refresh_access(scope, customer_id)


def _granted(
    scope: Scope,
    feature_key: str,
    subscription_id: UUID | None,
    customer_id: UUID,
    *,
    value: Any,
    reason: str,
    expires_at: datetime | None,
) -> EntitlementOverride:
    """Write a grant in the place of the one before; refuse a value that is none of the feature's."""
    feature = find_feature(scope, feature_key)
    if (sentence := unfit(feature.type, value)) is not None:
        raise ValidationFailed(fields={"value": [sentence]})
    moment = now(scope)
    if expires_at is not None and expires_at <= moment:
        raise ValidationFailed(fields={"expiresAt": ["Must lie in the future."]})
    standing = EntitlementOverride.objects.within(scope).filter(customer_id=customer_id, feature=feature.key)
    standing.filter(subscription_id=subscription_id).delete()
    row = EntitlementOverride(
        **owned_by(scope),
        customer_id=customer_id,
        subscription_id=subscription_id,
        feature=feature.key,
        value=Value(None, JSONField()) if value is None else value,  # JSON's null, not SQL's
        reason=reason,
        granted_by=scope.actor,
        expires_at=expires_at,
        created_at=moment,
    )
    row.save(force_insert=True)
    row.value = value
    return row


def _withdrawn(rows: ScopedQuerySet[EntitlementOverride], feature_key: str, sentence: str) -> EntitlementOverride:
    row = rows.filter(feature=feature_key).first() if KEY.fullmatch(feature_key) else None
    if row is None or not row.delete()[0]:
        raise FeatureNotFound(sentence)
    return row


def _note(scope: Scope, done: str, whose: str, row: EntitlementOverride) -> None:
    detail: dict[str, Any] = {"feature": row.feature}
    if done == "granted":
        detail |= {"value": row.value, "reason": row.reason}
    audit(scope, f"entitlement_override.{done}", whose, subject_id=row.customer_id, detail=detail)
