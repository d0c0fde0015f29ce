"""Values granted to one customer beside their plan."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import JSONField, Value

from accounts.services.customers import hold_customer
from billing.errors import FeatureNotFound
from billing.models import EntitlementOverride
from billing.services import access
from billing.services.features import KEY, find_feature, unfit
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from accounts.models import Customer
    from stackbe.kernel.scope import Scope


def grant_override(
    scope: Scope, customer: Customer, feature_key: str, *, value: Any, reason: str, expires_at: datetime | None = None
) -> EntitlementOverride:
    """Give a customer a value of their own for a feature, whatever their plan says, until it expires.

    Granting again replaces the grant. Both are audited with who and why.
    """
    require_change()
    hold_customer(scope, customer.id)
    feature = find_feature(scope, feature_key)
    if (sentence := unfit(feature.type, value)) is not None:
        raise ValidationFailed(fields={"value": [sentence]})
    moment = now(scope)
    if expires_at is not None and expires_at <= moment:
        raise ValidationFailed(fields={"expiresAt": ["Must lie in the future."]})
    EntitlementOverride.objects.within(scope).filter(customer=customer, feature=feature.key).delete()
    row = EntitlementOverride(
        **owned_by(scope),
        customer=customer,
        feature=feature.key,
        value=Value(None, JSONField()) if value is None else value,  # JSON's null, not SQL's
        reason=reason,
        granted_by=scope.actor,
        expires_at=expires_at,
        created_at=moment,
    )
    row.save(force_insert=True)
    row.value = value
    audit(
        scope,
        "entitlement_override.granted",
        customer.public_id,
        subject_id=customer.id,
        detail={"feature": feature.key, "value": value, "reason": reason},
    )
    access.refresh_access(scope, customer.id)
    return row


def withdraw_override(scope: Scope, customer: Customer, feature_key: str) -> None:
    """Take a grant back: the plan's value counts again. Raises `FeatureNotFound` where there is none."""
    require_change()
    rows = EntitlementOverride.objects.within(scope).filter(customer=customer, feature=feature_key)
    if not KEY.fullmatch(feature_key) or not rows.delete()[0]:
        raise FeatureNotFound("This customer has no override of that feature.")
    audit(
        scope,
        "entitlement_override.withdrawn",
        customer.public_id,
        subject_id=customer.id,
        detail={"feature": feature_key},
    )
    access.refresh_access(scope, customer.id)
