"""Shapes of what customers may do."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.serializers import Name
from billing.models import EntitlementOverride, Subscription
from billing.serializers.catalogue import ID_LENGTH
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import Input, Metadata, Output, Query, Text, Timestamp
from stackbe.kernel.transactions import current

STATUSES = (*Subscription.Status.values, "none")


class EntitlementsQuery(Query):
    """Whose entitlements; a session's own where it is left out."""

    customer_id = Text(required=False, max_length=ID_LENGTH)


class EntitlementsOutput(Output):
    """What a customer's plan (or the app's default plan) grants. `status` is `none` where nothing does."""

    plan_id = Text(allow_null=True)
    plan_name = Text(allow_null=True)
    status = serializers.ChoiceField(choices=STATUSES)
    entitlements = Metadata()
    current_period_end = Timestamp(allow_null=True)

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        """Return what the service worked out."""
        return instance


class FeatureValue(serializers.JSONField):
    """A feature's value. That it fits the feature's type is the service's to say."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the value, every string in it checked."""
        return Metadata().run_validation({"value": data})["value"]


class OverrideInput(Input):
    """A value for one customer: what, until when, and why."""

    value = FeatureValue(allow_null=True)
    expires_at = Timestamp(required=False, allow_null=True)
    reason = Name(max_length=255)


class OverrideOutput(Output):
    """A customer's own value for a feature."""

    feature = Text()
    value = serializers.JSONField(allow_null=True)
    expires_at = Timestamp(allow_null=True)
    reason = Text()
    granted_by = Text()
    created_at = Timestamp()

    @staticmethod
    def prepare(rows: list[EntitlementOverride], _context: dict[str, Any]) -> None:
        """Open the keys that a page's reasons are sealed with at once."""
        current().keys.preload([row.customer_id for row in rows])

    def to_representation(self, instance: EntitlementOverride) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "feature": instance.feature,
            "value": instance.value,
            "expiresAt": render(instance.expires_at),
            "reason": instance.reason,
            "grantedBy": instance.granted_by,
            "createdAt": render(instance.created_at),
        }
