"""What a customer may do, worked out when something changes so that a check only reads."""

from __future__ import annotations

from django.db import models

from stackbe.kernel.clock import wall_clock
from stackbe.kernel.fields import Sealed
from stackbe.kernel.tenancy import AppOwned


class Access(AppOwned):
    """What one customer's subscription grants, and between which moments.

    It counts from `access_from` (if set) until `access_until` (if set), by the app's clock; outside
    of them the app's DefaultAccess answers. `overrides` holds per feature `{value, until}`, with `then` for
    what counts after that end, and wins over both. `limits` holds per metric `{included, mode, resets,
    windows, rollover, overageCap}`. `version` only ever grows and orders copies that an app keeps.
    """

    customer = models.OneToOneField("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    plan_id = models.UUIDField(null=True)
    plan_name = models.CharField(max_length=120, blank=True)
    status = models.CharField(max_length=10, blank=True)
    source = models.CharField(max_length=120, blank=True)
    subscription_id = models.UUIDField(null=True)
    organization_id = models.UUIDField(null=True)
    entitlements = models.JSONField(default=dict)
    limits = models.JSONField(default=dict)
    overrides = models.JSONField(default=dict)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    access_from = models.DateTimeField(null=True)
    access_until = models.DateTimeField(null=True)
    changes_at = models.DateTimeField(null=True)
    version = models.BigIntegerField(default=1)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        indexes = (
            models.Index(
                fields=["app_id", "changes_at"],
                condition=models.Q(changes_at__isnull=False),
                name="access_that_changes",
            ),
            models.Index(fields=["app_id", "plan_id"], name="access_of_plan"),
        )


class DefaultAccess(AppOwned):
    """What an app's default plan grants to whoever has no subscription."""

    plan_id = models.UUIDField()
    plan_name = models.CharField(max_length=120)
    source = models.CharField(max_length=120)
    entitlements = models.JSONField(default=dict)
    limits = models.JSONField(default=dict)
    version = models.BigIntegerField(default=1)
    updated_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (models.UniqueConstraint(fields=["app_id"], name="one_default_access_per_app"),)


class EntitlementOverride(AppOwned):
    """A value granted to one customer beside their plan: by whom, until when, and why.

    One with a `subscription_id` is granted to whoever that subscription serves, for as long as it counts; the
    customer is who bought it.
    """

    id_prefix = "ovr"

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="+", db_constraint=False)
    subscription_id = models.UUIDField(null=True)
    feature = models.CharField(max_length=64)
    value = models.JSONField()
    reason = Sealed(subject="customer_id")
    granted_by = models.CharField(max_length=80)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=wall_clock)

    class Meta(AppOwned.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=["app_id", "customer", "feature"],
                condition=models.Q(subscription_id__isnull=True),
                name="one_override_per_feature",
            ),
            models.UniqueConstraint(
                fields=["app_id", "subscription_id", "feature"],
                condition=models.Q(subscription_id__isnull=False),
                name="one_override_per_subscription_and_feature",
            ),
        )
